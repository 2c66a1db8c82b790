"""How much of a labelled set the rules find: ``python -m tests.datasets_app.pii.quality [--half odd|even] [--errors]``.

The set is 1,500 sentences with 2,863 labelled spans of 17 types, made from sentence templates with invented
identities. A finding counts when kind and both ends are exactly those of a label.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_app.core.pii.scanning import find

LABELLED = Path(__file__).resolve().parents[4] / "shared" / "data" / "dev-labelled" / "pii_traces.jsonl"
#: What the labels call the kinds that rules can find.
KIND_OF = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip_address",
    "US_SSN": "us_ssn",
    "DOMAIN_NAME": "url",
    "US_DRIVER_LICENSE": "driver_license",
}
Span = tuple[int, int, str]


@dataclass
class Score:
    """Counts of one type; ``found`` is None where no rule looks for it."""

    labelled: int = 0
    right: int = 0
    found: int | None = 0

    @property
    def recall(self) -> float:
        return self.right / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def f1(self) -> float:
        both = self.recall + self.precision
        return 2 * self.recall * self.precision / both if both else 0.0


def lines(path: Path, half: str = "all") -> Iterator[tuple[str, set[Span]]]:
    """Text and labels; ``half``: every other line, so that the rules can be tried on lines nobody looked at."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if half in ("all", ("even", "odd")[number % 2]):
            row = json.loads(line)
            spans = row["metadata"]["pii_spans"]
            yield row["input"]["messages"][0]["content"], {(s["start"], s["end"], s["type"]) for s in spans}


def measure(path: Path, half: str = "all", misses: list[str] | None = None) -> dict[str, Score]:
    """Scores by label type. ``misses`` gets one line per label not found and per finding that is no label."""
    counted: Counter[str] = Counter()
    right: Counter[str] = Counter()
    made: Counter[str] = Counter()
    types = {kind: label for label, kind in KIND_OF.items()}
    for text, labels in lines(path, half):
        counted.update(label for _, _, label in labels)
        found = {(one.start, one.end, types[one.kind]) for one in find(text) if one.kind in types}
        made.update(label for _, _, label in found)
        right.update(label for _, _, label in found & labels)
        if misses is not None:
            misses += [
                f"missed {t}: {text[a:b]!r} in {text[max(0, a - 30) : b + 15]!r}"
                for a, b, t in labels - found
                if t in KIND_OF
            ]
            misses += [f"wrong {t}: {text[a:b]!r} in {text[max(0, a - 30) : b + 15]!r}" for a, b, t in found - labels]
            misses += [f"other: {one.kind} {one.value!r}" for one in find(text) if one.kind not in types]
    order = sorted(counted, key=lambda label: (label not in KIND_OF, -counted[label]))
    return {t: Score(counted[t], right[t], made[t] if t in KIND_OF else None) for t in order}


def table(scores: dict[str, Score]) -> str:
    """The scores as a Markdown table."""
    rows = [
        "| label | kind | labelled | found | precision | recall | F1 |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    for label, score in scores.items():
        if score.found is None:
            rows.append(f"| {label} | no rule | {score.labelled} | | | | |")
        else:
            figures = f"{score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f}"
            rows.append(f"| {label} | `{KIND_OF[label]}` | {score.labelled} | {score.found} | {figures} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Precision and recall of the rules for personal data.")
    parser.add_argument("file", nargs="?", type=Path, default=LABELLED)
    parser.add_argument("--half", choices=["all", "even", "odd"], default="all")
    parser.add_argument("--errors", action="store_true", help="list what was missed and what was wrong")
    options = parser.parse_args()
    if not options.file.exists():
        sys.stderr.write(f"{options.file} is not there.\n")
        return 1
    misses: list[str] = []
    sys.stdout.write(table(measure(options.file, options.half, misses)) + "\n")
    if options.errors:
        sys.stdout.write("\n".join(misses) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

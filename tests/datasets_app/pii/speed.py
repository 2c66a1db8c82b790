"""CPU of the scan against a loop of ``re`` patterns that finds the same: ``python -m tests.datasets_app.pii.speed``.

Both run the same rules, checks and choice among overlaps; only the loop has no set that says which rules can hit.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from datasets_app.core.pii.rules import Rule
from datasets_app.core.pii.scanning import RULES, Finding, Match, checked, find, resolved
from tests.datasets_app.pii.examples import EXAMPLES

_LOOP = [(rule, re.compile(rule.pattern, re.ASCII)) for rule in RULES]
_WORDS = """the customer asked about an order that was placed last week and has not been delivered yet, so please check
the status of shipment 81-224 in the warehouse system; reply politely in at most 3 sentences and offer a refund of
12.50 EUR if it is 5 days late. Tool result: {"status": "in_transit", "eta": "2024-05-06", "items": 2}"""


@dataclass(frozen=True)
class Speed:
    """CPU seconds of both over the same texts; ``spans`` is what both found."""

    texts: int
    characters: int
    with_findings: int
    spans: int
    set_seconds: float
    loop_seconds: float

    @property
    def ratio(self) -> float:
        return self.set_seconds / self.loop_seconds


def made_texts(count: int, *, share: float = 0.3, length: int = 2200, seed: int = 1) -> list[str]:
    """Texts of about ``length`` characters; a ``share`` of them holds one to three findings."""
    source = random.Random(seed)
    texts = []
    for _ in range(count):
        words = source.choices(_WORDS.split(), k=length // 6)
        if source.random() < share:
            for _, _, text in source.choices(EXAMPLES, k=source.randint(1, 3)):
                words.insert(source.randrange(len(words)), text)
        texts.append(" ".join(words))
    return texts


def loop(text: str) -> list[Finding]:
    """What a script would do: every pattern over every text."""
    return resolved((one for rule, pattern in _LOOP for one in _found(rule, pattern, text)), text, text)


def _found(rule: Rule, pattern: re.Pattern[str], text: str) -> Iterator[Finding]:
    def search(piece: str, at: int) -> Match | None:
        match = pattern.search(piece, at)
        return (*match.span(), *match.span(rule.group)) if match else None

    matches = ((*match.span(), *match.span(rule.group)) for match in pattern.finditer(text))
    return checked(rule, matches, text, search)


def compare(texts: list[str]) -> Speed:
    """Raises AssertionError where the two do not find the same."""
    find(texts[0])  # compiles its automaton
    started = time.process_time()
    ours = [find(text) for text in texts]
    between = time.process_time()
    theirs = [loop(text) for text in texts]
    ended = time.process_time()
    assert ours == theirs
    hits = [len(found) for found in ours if found]
    return Speed(len(texts), sum(map(len, texts)), len(hits), sum(hits), between - started, ended - between)


def main() -> int:
    for share in (0.0, 0.1, 0.3, 1.0):
        found = compare(made_texts(1500, share=share))
        ours, theirs = (seconds / found.texts * 1e6 for seconds in (found.set_seconds, found.loop_seconds))
        sys.stdout.write(
            f"{found.with_findings} of {found.texts} texts hold {found.spans} findings: "
            f"{ours:.0f} µs a text, loop of re {theirs:.0f} µs, ratio {found.ratio:.4f}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

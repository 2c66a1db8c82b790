"""What a version changed: its document against the one before, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import SequenceMatcher

from rft_project.platforms.types import JsonDict

AROUND = 2  # lines that did not change, shown beside those that did
MOST = 4_000  # lines of one document; above it the comparison would take longer than a page may


@dataclass(frozen=True)
class ChangedLine:
    """``state``: ``gone``, ``new``, ``same`` or ``gap`` (lines left out; ``text`` is empty)."""

    state: str
    text: str


def changed_lines(before: JsonDict, after: JsonDict) -> list[ChangedLine] | None:
    """The lines that differ and those beside them; [] where nothing does, None where there are too many to compare."""
    left, right = _lines(before), _lines(after)
    if max(len(left), len(right)) > MOST:
        return None
    found: list[ChangedLine] = []
    last = 0
    for group in SequenceMatcher(None, left, right).get_grouped_opcodes(AROUND):
        if group[0][1] > last:
            found.append(ChangedLine("gap", ""))
        for kind, a, b, c, d in group:
            if kind == "equal":
                found += [ChangedLine("same", line) for line in left[a:b]]
                continue
            found += [ChangedLine("gone", line) for line in left[a:b]]
            found += [ChangedLine("new", line) for line in right[c:d]]
        last = group[-1][2]
    if found and last < len(left):
        found.append(ChangedLine("gap", ""))
    return found


def _lines(config: JsonDict) -> list[str]:
    """The document as it is shown, but with the line ends of sources and prompts as such."""
    return json.dumps(config, ensure_ascii=False, indent=2).replace("\\n", "\n").splitlines()

"""Word-level difference of two answers, as pieces a template can render. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Op = Literal["equal", "delete", "insert"]
MAX_TOKENS = 4000  # per side, words and spaces; longer answers are compared line by line to stay quick
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


class Piece(NamedTuple):
    """Text that both answers have, that only the first has (``delete``) or only the second has (``insert``)."""

    op: Op
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """Pieces in reading order.

    Equal and deleted text joined is ``before``, equal and inserted text joined is ``after``, to the character. White
    space alone between two changes is taken into them, so that a rewritten phrase reads as one change.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > MAX_TOKENS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return list(_joined(_pieces(old, new)))


def _pieces(old: list[str], new: list[str]) -> Iterator[tuple[str, str, bool]]:
    """(deleted, inserted, equal?) per block; of an equal block both texts are the same."""
    for op, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield "".join(old[a:b]), "".join(new[c:d]), op == "equal"


def _joined(blocks: Iterator[tuple[str, str, bool]]) -> Iterator[Piece]:
    items = list(blocks)
    deleted = inserted = ""
    for index, (old, new, equal) in enumerate(items):
        between = 0 < index < len(items) - 1
        if not equal or (between and not old.strip()):
            deleted, inserted = deleted + old, inserted + new
            continue
        yield from _change(deleted, inserted)
        deleted = inserted = ""
        yield Piece("equal", old)
    yield from _change(deleted, inserted)


def _change(deleted: str, inserted: str) -> Iterator[Piece]:
    if deleted:
        yield Piece("delete", deleted)
    if inserted:
        yield Piece("insert", inserted)

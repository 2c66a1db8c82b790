"""Trace formats: one reader module per family, and the table that tells them apart.

A new format is a module with a ``FORMAT`` and a line in the table. The order matters: the first that recognises a line
has it, so the stricter come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from datasets_app.core.formats import canonical, chat, openai_chat
from datasets_app.core.formats.base import Format
from datasets_app.core.records import Trace, Unreadable
from rft_project.platforms.types import JsonDict

TABLE: tuple[Format, ...] = (openai_chat.FORMAT, canonical.FORMAT, chat.FORMAT)
FORMATS: dict[str, Format] = {f.name: f for f in TABLE}
AUTO = "auto"
UNKNOWN_FORMAT = "The format was not recognised. Known are: " + "; ".join(f.label for f in TABLE) + "."


def recognise(line: Any) -> str | None:
    """Name of the first format of the table that recognises the JSON object, or None."""
    if isinstance(line, dict):
        for known in TABLE:
            if known.recognise(line):
                return known.name
    return None


def detect(sample: Sequence[Any]) -> list[tuple[str, float]]:
    """Formats that decoded records can be read as, with their share (0 to 1) of all of them, the largest first.

    An empty list means the format is unknown. What the shares lack to 1 could be read as nothing.
    """
    counts = Counter(name for line in sample if (name := recognise(line)) and _reads(line, name))
    if not counts:
        counts = Counter(
            next((f.name for f in TABLE if f.accepts(line)), "") for line in sample if isinstance(line, dict)
        )
        counts.pop("", None)
    order = list(FORMATS)
    return [(name, n / len(sample)) for name, n in sorted(counts.items(), key=lambda i: (-i[1], order.index(i[0])))]


def _reads(line: JsonDict, name: str) -> bool:
    try:
        FORMATS[name].read(line)
    except Unreadable:
        return False
    return True


def parse(line: Any, format: str) -> Trace:
    """The record in one decoded line. Raises ``Unreadable``, and ``KeyError`` for an unknown format name."""
    known = FORMATS[format]
    if not isinstance(line, dict):
        raise Unreadable(f"The line holds {kind_of(line)}, not a JSON object.")
    return known.read(line)


def kind_of(value: Any) -> str:
    """JSON kind of a value with its article, for sentences."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"

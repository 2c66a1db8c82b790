"""Files to records: format detection, and one parsed or rejected entry per line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from datasets_app.core.formats import AUTO, FORMATS, UNKNOWN_FORMAT, detect, parse, recognise
from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping
from datasets_app.core.reading_lines import LIMITS, Limits, Line, Rejected, UnreadableFile, open_lines, rejected
from datasets_app.core.records import Trace, Unreadable, decode_json
from datasets_app.core.records_fields import FieldInfo, field_value, list_fields

__all__ = [
    "LIMITS",
    "FieldInfo",
    "Limits",
    "Line",
    "Parsed",
    "Rejected",
    "UnreadableFile",
    "detect_format",
    "field_value",
    "list_fields",
    "open_lines",
    "read_traces",
]

SAMPLE = 200  # records that decide on the format
_SAMPLE_BYTES = 64 << 20


@dataclass(slots=True)
class Parsed:
    """One record with its place in the file. ``key`` is the 16-byte digest of the line it was read from."""

    line: int
    key: bytes
    format: str
    trace: Trace
    where: str = ""
    offset: int = 0
    size: int = 0  # bytes of the line

    @property
    def split(self) -> bool:
        """Whether the answer was cut off the end of the conversation."""
        return self.trace.split > 0


@dataclass(slots=True)
class _Decoded:
    line: Line
    value: Any


def read_traces(
    path: Path,
    *,
    format: str = AUTO,
    mapping: FieldMapping = AS_THE_FORMAT_SAYS,
    start_line: int = 0,
    limit: int | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Parsed | Rejected]:
    """The file's records in order, each parsed or rejected with a sentence; memory stays flat.

    ``format`` is a name from ``FORMATS`` or ``auto``: then each line is read as the format that recognises it, and a
    line that none recognises as the file's most frequent one. ``mapping`` says which places of it become answer,
    ids and item fields. ``start_line`` leaves out the lines up to and including that number; ``limit`` ends after so
    many entries.

    Raises ``UnreadableFile`` before the first entry.
    """
    lines = open_lines(path, limits)
    sample = list(_sampled(lines))
    fallback = _format_of(sample, path.name) if format == AUTO else format
    if fallback not in FORMATS:
        raise UnreadableFile(f"There is no format named {format}; use auto or one of {', '.join(FORMATS)}.")
    left = limit if limit is not None else -1
    rest = (_decode(line) for line in lines if _number(line) > start_line)
    for entry in chain(sample, rest):
        if _number(entry) <= start_line:
            continue
        if left == 0:
            return
        left -= 1
        yield entry if isinstance(entry, Rejected) else _parsed(entry, format, fallback, mapping)


def detect_format(path: Path, limits: Limits = LIMITS) -> list[tuple[str, float]]:
    """Formats of the file's first records with their share; raises ``UnreadableFile`` where nothing is recognised."""
    sample = list(_sampled(open_lines(path, limits)))
    _format_of(sample, path.name)
    return detect([entry.value for entry in sample if isinstance(entry, _Decoded)])


def _sampled(lines: Iterator[Line | Rejected]) -> Iterator[_Decoded | Rejected]:
    size = 0
    for number, line in enumerate(lines, 1):
        entry = _decode(line)
        yield entry
        size += len(entry.line.raw) if isinstance(entry, _Decoded) else 0
        if number >= SAMPLE or size >= _SAMPLE_BYTES:
            return


def _format_of(sample: list[_Decoded | Rejected], name: str) -> str:
    """The most frequent format, or the sentence why there is none."""
    values = [entry.value for entry in sample if isinstance(entry, _Decoded)]
    found = detect(values)
    if found:
        return found[0][0]
    if not sample:
        raise UnreadableFile(f"{name} is empty.")
    if values:
        raise UnreadableFile(f"{name}: {UNKNOWN_FORMAT}")
    first = next(entry for entry in sample if isinstance(entry, Rejected))
    if len(sample) == 1:
        raise UnreadableFile(f"{name}: {first.reason}")
    raise UnreadableFile(f"{name} holds no JSON in its first {len(sample)} lines (line {first.line}: {first.reason})")


def _decode(line: Line | Rejected) -> _Decoded | Rejected:
    if isinstance(line, Rejected):
        return line
    try:
        return _Decoded(line, decode_json(line.raw))
    except Unreadable as error:
        return rejected(line, str(error))


def _number(entry: _Decoded | Line | Rejected) -> int:
    if isinstance(entry, Rejected):
        return entry.line
    return entry.number if isinstance(entry, Line) else entry.line.number


def _parsed(entry: _Decoded, format: str, fallback: str, mapping: FieldMapping) -> Parsed | Rejected:
    line = entry.line
    name = (recognise(entry.value) or fallback) if format == AUTO else format
    try:
        trace = mapping.apply(parse(entry.value, name))
    except Unreadable as error:
        return rejected(line, str(error))
    return Parsed(line.number, line.key, name, trace, line.where, line.offset, len(line.raw))

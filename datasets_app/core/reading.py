"""Files to records: format detection, and what was parsed or rejected, several entries where a line holds several.

One call of a model is often logged at several levels, a span within a span. Of those only the innermost is kept; the
others are told as rejected, with the line that is kept (see ``joining.inner_calls`` for how far apart they may be).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

from datasets_app.core.fast import Shape, extras_of
from datasets_app.core.formats import (
    AUTO,
    FORMATS,
    SPANS,
    UNKNOWN_FORMAT,
    detect,
    items_of,
    parse,
    readings,
    recognise,
)
from datasets_app.core.joining import WINDOW, Call, call_of, inner_calls
from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping
from datasets_app.core.quick import Quick, Ready
from datasets_app.core.reading_lines import LIMITS, Limits, Line, Rejected, UnreadableFile, open_lines, rejected
from datasets_app.core.records import Trace, Unreadable, decode_json, dumps
from datasets_app.core.records_fields import FieldInfo, field_value, list_fields

__all__ = [
    "LIMITS",
    "Entry",
    "FieldInfo",
    "Limits",
    "Line",
    "Parsed",
    "Ready",
    "Rejected",
    "UnreadableFile",
    "detect_format",
    "field_value",
    "list_fields",
    "open_lines",
    "read_line",
    "read_traces",
    "whole_lines",
]

SAMPLE = 200  # records that decide on the format
_SAMPLE_BYTES = 64 << 20


@dataclass(slots=True)
class Parsed:
    """One record with its place in the file.

    ``key`` is a 16-byte digest of the line it was read from, and of ``item`` where the line holds several records:
    those are numbered from 0.
    """

    line: int
    key: bytes
    format: str
    trace: Trace
    where: str = ""
    offset: int = 0
    size: int = 0  # bytes of the line
    item: int = 0

    @property
    def split(self) -> bool:
        """Whether the answer was cut off the end of the conversation."""
        return self.trace.split > 0


Entry = Parsed | Ready | Rejected


@dataclass(slots=True)
class _Decoded:
    line: Line
    value: Any


@overload
def read_traces(
    path: Path,
    *,
    format: str = ...,
    mapping: FieldMapping = ...,
    start_line: int = ...,
    limit: int | None = ...,
    limits: Limits = ...,
) -> Iterator[Parsed | Rejected]: ...


@overload
def read_traces(
    path: Path,
    *,
    format: str = ...,
    mapping: FieldMapping = ...,
    start_line: int = ...,
    limit: int | None = ...,
    limits: Limits = ...,
    quick: Quick,
) -> Iterator[Entry]: ...


def read_traces(
    path: Path,
    *,
    format: str = AUTO,
    mapping: FieldMapping = AS_THE_FORMAT_SAYS,
    start_line: int = 0,
    limit: int | None = None,
    limits: Limits = LIMITS,
    quick: Quick | None = None,
) -> Iterator[Any]:
    """The file's records in order, each parsed or rejected with a sentence; memory stays flat.

    ``format`` is a name from ``FORMATS`` or ``auto``: then each line is read as the format that recognises it, and a
    line that none recognises as the file's most frequent one. ``mapping`` says which places of it become answer,
    ids and item fields. ``start_line`` leaves out the lines up to and including that number; ``limit`` ends after so
    many entries. ``quick`` is asked first: what it can judge comes as ``Ready``.

    Raises ``UnreadableFile`` before the first entry.
    """
    lines = open_lines(path, limits)
    sample = list(_sampled(lines))
    fallback = _format_of(sample, path.name) if format == AUTO else format
    if fallback not in FORMATS:
        raise UnreadableFile(f"There is no format named {format}; use auto or one of {', '.join(FORMATS)}.")
    near = _from_near(chain(sample, lines), start_line)
    found: Iterator[_Decoded | Line | Ready | Rejected] = near
    if quick is not None:
        extras = extras_of(entry.value for entry in sample if isinstance(entry, _Decoded))
        undecoded = (entry.line if isinstance(entry, _Decoded) else entry for entry in near)
        found = quick(undecoded, Shape(format, fallback, mapping, tuple(extras)))
    told = _told(map(_decode, found), format, fallback)
    if start_line:
        told = (entry for entry in told if entry.line > start_line)
    for entry in islice(told, limit):
        if mapping is not AS_THE_FORMAT_SAYS and isinstance(entry, Parsed):
            mapping.apply(entry.trace)
        yield entry


def whole_lines(entries: Iterable[Entry], size: int, most: int = 32 << 20) -> Iterator[list[Entry]]:
    """The entries in lists of at least ``size``, of which none ends in the middle of a line (the last may be shorter).

    So a reader that begins behind a list's last line leaves nothing out. Lists of very long lines end earlier, at
    ``most`` bytes.
    """
    chunk: list[Entry] = []
    held = 0
    for entry in entries:
        if (len(chunk) >= size or held >= most) and chunk[-1].line != entry.line:
            yield chunk
            chunk, held = [], 0
        chunk.append(entry)
        held += 0 if isinstance(entry, Rejected) else entry.size
    if chunk:
        yield chunk


def read_line(line: Line, *, format: str = AUTO, mapping: FieldMapping = AS_THE_FORMAT_SAYS) -> list[Parsed | Rejected]:
    """What the text of one line holds, as ``read_traces`` would read it in a file of its own kind."""
    entry = _decoded(line)
    fallback = format
    if format == AUTO and isinstance(entry, _Decoded):
        fallback = recognise(entry.value) or next(iter(FORMATS))
        if isinstance(entry.value, dict) and recognise(entry.value) is None and items_of(entry.value) is None:
            entry = rejected(line, UNKNOWN_FORMAT)
    told = _one_rejection_per_line(_without_outer(_entries([entry], format, fallback)))
    found = [read for read in told if not isinstance(read, Ready)]
    for read in found:
        if isinstance(read, Parsed):
            mapping.apply(read.trace)
    return found


def detect_format(path: Path, limits: Limits = LIMITS) -> list[tuple[str, float]]:
    """Formats of the file's first records with their share; raises ``UnreadableFile`` where nothing is recognised."""
    sample = list(_sampled(open_lines(path, limits)))
    _format_of(sample, path.name)
    return detect([entry.value for entry in sample if isinstance(entry, _Decoded)])


def _sampled(lines: Iterator[Line | Rejected]) -> Iterator[_Decoded | Rejected]:
    size = 0
    for number, line in enumerate(lines, 1):
        entry = _decoded(line)
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
    known = Counter(format for value in values if (format := recognise(value)))
    if known:  # nothing but calls that failed: each line says so
        return known.most_common(1)[0][0]
    if not sample:
        raise UnreadableFile(f"{name} is empty.")
    if values:
        raise UnreadableFile(f"{name}: {UNKNOWN_FORMAT}")
    first = next(entry for entry in sample if isinstance(entry, Rejected))
    if len(sample) == 1:
        raise UnreadableFile(f"{name}: {first.reason}")
    raise UnreadableFile(f"{name} holds no JSON in its first {len(sample)} lines (line {first.line}: {first.reason})")


def _decode(line: _Decoded | Line | Ready | Rejected) -> _Decoded | Ready | Rejected:
    return line if isinstance(line, _Decoded | Ready) else _decoded(line)


def _decoded(line: Line | Rejected) -> _Decoded | Rejected:
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


def _from_near(lines: Iterable[_Decoded | Line | Rejected], start_line: int) -> Iterator[_Decoded | Line | Rejected]:
    """The lines behind ``start_line``, and as many before it as ``inner_calls`` looks back."""
    before: deque[_Decoded | Line | Rejected] = deque(maxlen=WINDOW)
    for line in lines:
        if _number(line) <= start_line:
            before.append(line)
            continue
        while before:
            yield before.popleft()
        yield line


def _told(lines: Iterator[_Decoded | Ready | Rejected], format: str, fallback: str) -> Iterator[Entry]:
    """What becomes of the lines. Up to the first span or container each line is one entry and is told at once."""
    for line in lines:
        entry = _alone(line, format, fallback)
        if entry is None:
            entries = _entries(chain([line], lines), format, fallback)
            yield from _one_rejection_per_line(_without_outer(entries))
            return
        yield entry


def _alone(entry: _Decoded | Ready | Rejected, format: str, fallback: str) -> Entry | None:
    """The entry of a line that has nothing to do with other lines, or None where it may have."""
    if isinstance(entry, Rejected | Ready):
        return entry
    value = entry.value
    name = recognise(value) if format == AUTO else format
    if name in SPANS or ((name is None or format != AUTO) and items_of(value) is not None):
        return None
    line = entry.line
    try:
        trace = parse(value, name or fallback)
    except Unreadable as error:
        return rejected(line, str(error))
    return Parsed(line.number, line.key, name or fallback, trace, line.where, line.offset, len(line.raw))


def _entries(lines: Iterable[_Decoded | Ready | Rejected], format: str, fallback: str) -> Iterator[Entry]:
    """One entry for each record in each line, and for each thing in it that is refused."""
    for entry in lines:
        if isinstance(entry, Rejected | Ready):
            yield entry
            continue
        line = entry.line
        for name, trace in readings(entry.value, format, fallback):
            if isinstance(trace, Trace):
                yield Parsed(line.number, line.key, name, trace, line.where, line.offset, len(line.raw))
            else:
                yield rejected(line, str(trace))


def _without_outer(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Calls that are logged again by a span inside become rejections that name the line which is kept."""
    for entry, inner in inner_calls(entries, _call):
        if inner is None or not isinstance(entry, Parsed):
            yield entry
            continue
        where = f"line {inner.line}" if inner.line != entry.line else "this line"
        line = Line(entry.line, dumps(entry.trace).encode(), entry.where, entry.offset)
        found = rejected(line, f"The same call is logged once more, further in, in {where}; that one is kept.")
        yield replace(found, key=entry.key, repeats=1)


def _call(entry: Entry) -> Call | None:
    return call_of(entry.trace) if isinstance(entry, Parsed) and entry.format in SPANS else None


def _one_rejection_per_line(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Of the calls that one line holds, those read are numbered, and those left out told together behind them."""
    read = 0  # in the line of the entries last seen
    left_out: list[Rejected] = []
    line = -1
    for entry in entries:
        if entry.line != line:
            if left_out:
                yield _told_together(left_out, read)
                left_out = []
            read, line = 0, entry.line
        if not isinstance(entry, Rejected):
            if read and isinstance(entry, Parsed):
                entry.item, entry.key = read, blake2b(b"%s %d" % (entry.key, read), digest_size=16).digest()
            read += 1
            yield entry
        else:
            left_out.append(entry)
    if left_out:
        yield _told_together(left_out, read)


def _told_together(left_out: list[Rejected], read: int) -> Rejected:
    first, number = left_out[0], len(left_out)
    if number == 1 and not read:
        return first
    reason = f"{number} of {number + read} calls in this line were left out: {first.reason}"
    return replace(first, reason=reason, repeats=sum(entry.repeats for entry in left_out))

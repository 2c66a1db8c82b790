"""The beginning of a file as an import would read it: by the reader and the mapping that the import uses, too."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from datasets_app.core.formats import AUTO, FORMATS
from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping, ItemField, item_fields
from datasets_app.core.reading import LIMITS, FieldInfo, Parsed, Rejected, UnreadableFile, list_fields, read_traces
from datasets_app.core.reading_lines import reason_kind
from datasets_app.core.reading_tables import csv_rows, delimiter_of
from datasets_app.core.records import Trace, clean_text

LOOKED_AT = 200  # lines
EXAMPLES = 3
_MOST = 16 << 20  # bytes of lines
_HEAD = 256 << 10  # bytes of a packed file that tell how much it unpacks to


@dataclass(frozen=True, slots=True)
class Trouble:
    """Lines that could not be read for one kind of reason, with the first of them."""

    kind: str
    count: int
    first: Rejected


@dataclass
class Preview:
    """``error``: nothing of the file can be read, in one sentence. ``records``: about how many the whole file holds,
    None where that cannot be told; exact when ``whole``, because all of it was looked at."""

    read: int = 0
    readable: int = 0
    detected: list[tuple[str, float]] = field(default_factory=list)  # label, share of the lines looked at
    examples: list[Trace] = field(default_factory=list)
    places: list[FieldInfo] = field(default_factory=list)
    items: list[ItemField] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    splits: int = 0
    records: int | None = None
    whole: bool = False
    error: str = ""

    @property
    def unreadable(self) -> int:
        return self.read - self.readable

    def mapped(self, mapping: FieldMapping) -> Preview:
        """The same look, with the examples as an import with this mapping would store them."""
        return replace(self, examples=[mapping.apply(deepcopy(trace)) for trace in self.examples])


def look(path: Path, format: str = AUTO, mapping: FieldMapping = AS_THE_FORMAT_SAYS) -> Preview:
    """Reads the first ``LOOKED_AT`` lines, fewer where they are huge, and stores nothing.

    Never raises for what a file holds.
    """
    reader = read_traces(path, format=format)
    try:
        entries = list(_beginning(reader))
        whole = next(reader, None) is None
    except UnreadableFile as error:
        return Preview(error=str(error))
    parsed = [entry for entry in entries if not isinstance(entry, Rejected)]
    refused = [entry for entry in entries if isinstance(entry, Rejected)]
    found = Preview(read=len(entries), readable=len(parsed), troubles=_grouped(refused), whole=whole)
    if not parsed:
        first = refused[0].reason if refused else "It holds no records."
        found.error = f"No line of this file could be read. {first}"
        return found
    counted = Counter(entry.format for entry in parsed)
    found.detected = [(FORMATS[name].label, n / len(entries)) for name, n in counted.most_common()]
    traces = [entry.trace for entry in parsed]
    found.places = [place for place in list_fields(traces) if clean_text(place.path) == place.path]
    found.items = item_fields(traces)
    found.splits = sum(entry.split for entry in parsed)
    found.examples = traces[:EXAMPLES]
    found.records = len(entries) if whole else _rounded(_guess(path, entries, parsed), len(entries))
    return found.mapped(mapping)


def _beginning(entries: Iterator[Parsed | Rejected]) -> Iterator[Parsed | Rejected]:
    size = 0
    for entry in islice(entries, LOOKED_AT):
        yield entry
        size += entry.size if isinstance(entry, Parsed) and entry.item == 0 else 0
        if size > _MOST:
            return


def _grouped(refused: list[Rejected]) -> list[Trouble]:
    firsts: dict[str, Rejected] = {}
    counts: Counter[str] = Counter()
    for entry in refused:
        kind = reason_kind(entry.reason)
        firsts.setdefault(kind, entry)
        counts[kind] += 1
    return [Trouble(kind, n, firsts[kind]) for kind, n in counts.most_common()]


def _rounded(guess: float, least: int) -> int | None:
    """Two digits count; None where there was nothing to guess from."""
    digits = max(0, len(str(int(guess))) - 2)
    return max(least, round(guess / 10**digits) * 10**digits) if guess else None


def _guess(path: Path, entries: list[Parsed | Rejected], parsed: list[Parsed]) -> float:
    """About how many records the file holds: its text divided by the mean length of what was read of it."""
    size, last = path.stat().st_size, entries[-1].offset
    head, text = _text(path, size)
    if head[:4] == b"PAR1":
        return len(entries) * size / last if last else 0.0
    delimiter = delimiter_of(head)
    if delimiter:  # a row has no names; the record made of it has them all
        rows = sum(1 for _ in csv_rows(iter([head]), LIMITS.line_bytes, delimiter))
        return text * rows / len(head)
    lines = [entry.size + 1 for entry in parsed if entry.item == 0]  # and the line's end
    return text * len(parsed) / sum(lines) if lines else 0.0


def _text(path: Path, size: int) -> tuple[bytes, float]:
    """The beginning of the text, and about how many bytes of text there are. Headers are believed: it is a guess."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                with archive.open(members[0]) as first:
                    return first.read(_HEAD), float(sum(member.file_size for member in members))
    if head[:2] != b"\x1f\x8b":
        return head, float(size)
    unpack = zlib.decompressobj(wbits=31)
    text = unpack.decompress(head, 64 * _HEAD)
    packed = len(head) - len(unpack.unconsumed_tail) - len(unpack.unused_data)
    return text[:_HEAD], size * len(text) / packed

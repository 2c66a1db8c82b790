"""Tables as records: rows of CSV and of Parquet as JSON objects, one at a time.

Cells that hold JSON are decoded, empty cells are left out, and no other value is guessed: "007" stays text. What comes
out is JSON text like any other record's, so that formats, keys and rejected lines know nothing of tables.
"""

from __future__ import annotations

import base64
import csv
import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from datasets_app.core.formats.base import parsed
from datasets_app.core.reading_scan import Fatal, Piece
from datasets_app.core.records import clean_text, encode_json

_DELIMITERS = ",;\t"
_NAME = 200  # characters of a column's name
_NO_NAME = re.compile(r'[{}\[\]"\\]|: ')
_ROWS = 64  # rows of Parquet that are in memory at once
_SURROGATE = re.compile("[\ud800-\udfff]")


# --- CSV -------------------------------------------------------------------------------------------------------------


def delimiter_of(head: bytes) -> str:
    """The delimiter of a CSV file, of which ``head`` is the beginning; '' where this is no table.

    A table has at least two columns, each with a short name of its own in the first line, and its second line (where
    there is one) has no more cells than that.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip("\r\n")
    first, _, second_line = text.partition("\n")
    if first[:1] in ("{", "[") or second_line[:1] in ("{", "["):
        return ""
    for delimiter in sorted(_DELIMITERS, key=first.count, reverse=True):
        rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
        try:
            header, second = next(rows, []), next(rows, [])
        except csv.Error:
            continue
        if _is_header(header) and len(second) <= len(header):
            return delimiter
    return ""


def _is_header(cells: list[str]) -> bool:
    names = [cell.strip() for cell in cells]
    if len(names) < 2 or len(set(names)) < len(names):
        return False
    return all(0 < len(name) <= _NAME and not _NO_NAME.search(name) for name in names)


def csv_rows(blocks: Iterator[bytes], cap: int, delimiter: str) -> Iterator[Piece]:
    """Rows as JSON objects, the names of the columns from the first line. ``cap`` is the most bytes of a row."""
    csv.field_size_limit(max(csv.field_size_limit(), cap))
    lines = _Lines(blocks, cap)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.too_long:
                yield b"", Fatal(f"A row is longer than {_mb(cap)}, or a quote is never closed; reading stopped.")
                return
            yield lines.take(), f"Not a valid row of CSV: {error}."
            continue
        text = lines.take()
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        if not header:
            header = [clean_text(cell.strip()) for cell in row]
        else:
            yield _row(header, row, text)


def _row(header: list[str], row: list[str], text: bytes) -> Piece:
    if len(row) > len(header):
        return text, f"The row has {len(row)} cells, but the first line names {len(header)} columns."
    if any(map(_SURROGATE.search, row)):
        return text, "The text is not valid UTF-8; save the file as UTF-8."
    cells = {name: parsed(cell) for name, cell in zip(header, row, strict=False) if cell.strip()}
    return encode_json(cells).encode(), ""


class _Lines:
    """Lines of a stream as text for ``csv.reader``, with what went into the row that is being read."""

    def __init__(self, blocks: Iterator[bytes], cap: int) -> None:
        self._blocks = blocks
        self._cap = cap
        self._pending = b""
        self._row: list[bytes] = []
        self._size = 0
        self._ended = False
        self.too_long = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.too_long:
            raise StopIteration
        while (end := self._pending.find(b"\n")) < 0 and not self._ended:
            block = next(self._blocks, b"")
            self._ended = not block
            self._pending += block
            if len(self._pending) + self._size > self._cap + len(block):
                break
        line, self._pending = (self._pending[: end + 1], self._pending[end + 1 :]) if end >= 0 else (self._pending, b"")
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size > self._cap:
            self.too_long = True
            raise csv.Error("the row is too long")
        self._row.append(line)
        return line.decode("utf-8", "surrogateescape")

    def take(self) -> bytes:
        """The text of the row just read."""
        text, self._row, self._size = b"".join(self._row), [], 0
        return text


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.3g} MB"


# --- Parquet ---------------------------------------------------------------------------------------------------------


class BadTable(Exception):
    """The file is no table that can be read; the text is the end of a sentence about it."""


def parquet_rows(path: Path, cap: int, ratio: int, ratio_after: int) -> Iterator[tuple[Piece, float]]:
    """Rows of a Parquet file as JSON objects, some dozens in memory at a time, each with the share read by then.

    Lists and structures become lists and objects without their nulls: in a column of messages every structure has the
    keys of all. ``cap`` is the most bytes of a row. A group of rows that says it unpacks to more than ``ratio`` times
    the file and ``ratio_after`` bytes is not read. Raises ``BadTable``.
    """
    import pyarrow  # noqa: PLC0415  # half a second that only Parquet is worth
    import pyarrow.parquet  # noqa: PLC0415

    number, size = 0, path.stat().st_size
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as table:
            for group in range(table.num_row_groups):
                unpacked = table.metadata.row_group(group).total_byte_size
                if unpacked > ratio_after and unpacked > ratio * size:
                    reason = f"The rows unpack to more than {ratio} times the file's size; reading stopped here."
                    yield (b"", Fatal(reason)), 1.0
                    return
                for batch in table.iter_batches(batch_size=_ROWS, row_groups=[group]):
                    for row in batch.to_pylist():
                        number += 1
                        yield _parquet_row(row, cap), number / table.metadata.num_rows
    except pyarrow.ArrowException as error:
        raise BadTable(f"is a damaged or protected Parquet file ({str(error).splitlines()[0][:100]})") from None
    except (OSError, ValueError, OverflowError):
        raise BadTable("is a damaged Parquet file, or holds values that JSON has no words for") from None


def _parquet_row(row: dict[str, Any], cap: int) -> Piece:
    raw = encode_json({clean_text(name): _cell(value) for name, value in row.items() if value is not None}).encode()
    return (raw, "") if len(raw) <= cap else (raw[:1000], f"The row is longer than {_mb(cap)}.")


def _cell(value: Any) -> Any:
    """A value of Parquet as JSON, with text that holds JSON decoded at the top of a column."""
    return parsed(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean_text(str(k)): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(item, tuple) and len(item) == 2 for item in value)
        return {str(k): _plain(v) for k, v in value} if pairs else [_plain(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)

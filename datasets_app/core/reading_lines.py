"""Records as raw bytes out of a file: plain, gzip or zip; one per line, a list that is streamed, or a table's rows.

Memory stays at one block and one record whatever the size of the file. Whatever is wrong is said in one sentence:
``UnreadableFile`` where nothing can be read, a ``Rejected`` entry where the rest goes on. The limits against bombs are
measured (2 GiB of zeros are 2.09 MB of gzip; honest traces compress 15:1, very repetitive ones 257:1).
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from datasets_app.core.reading_scan import Fatal, Piece, Shape, decodes, scan_values, shape_of, split_lines
from datasets_app.core.reading_tables import BadTable, csv_rows, delimiter_of, parquet_rows
from datasets_app.core.records import clean_text

BLOCK = 1 << 20
TEXT_KEPT = 1 << 16  # characters of a rejected line; longer ones are cut
_HEAD = 1 << 16
_PARQUET = b"PAR1"
_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_CONTROL = bytes(b for b in range(32) if b not in b"\t\n\r\f\x1b")
_BINARY_SHARE = 0.02


class UnreadableFile(Exception):
    """Nothing in the file can be read; the text is one sentence for people."""


class _Stopped(Exception):
    """Reading can't go on; what was read before counts."""


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes. ``ratio`` is unpacked to packed and is looked at after ``ratio_after`` unpacked bytes."""

    line_bytes: int = 32 << 20
    ratio: int = 500
    ratio_after: int = 64 << 20
    unpacked_bytes: int = 64 << 30
    members: int = 1000


LIMITS = Limits()


@dataclass(slots=True)
class Line:
    """One record's text. ``number`` counts from 1 through the whole file: lines, or the records of a list.

    ``where`` names the member of an archive. ``offset`` is how far the file on disk had been read, in bytes.
    """

    number: int
    raw: bytes
    where: str = ""
    offset: int = 0

    @property
    def key(self) -> bytes:
        """16-byte digest of the raw text: the same line in another file has the same key."""
        return blake2b(self.raw, digest_size=16).digest()


@dataclass(slots=True)
class Rejected:
    """A line that could not be read: its place, why in one sentence, and the beginning of its text.

    ``fatal`` says that reading ended here: what follows in the file was not read. ``repeats`` is how many calls were
    left out only because the file logs them once more.
    """

    line: int
    reason: str
    text: str = ""
    key: bytes = b""
    where: str = ""
    offset: int = 0
    fatal: bool = False
    repeats: int = 0


def rejected(line: Line, reason: str, *, fatal: bool = False) -> Rejected:
    """The line as an entry of what could not be read."""
    text = clean_text(line.raw[: 4 * TEXT_KEPT].decode("utf-8", "replace"))[:TEXT_KEPT]
    return Rejected(line.number, reason, text, line.key, line.where, line.offset, fatal)


def reason_kind(reason: str) -> str:
    """The reason without what differs from line to line: "Not valid JSON" of "Not valid JSON: … at character 7."."""
    return re.split(r"[:(;]", reason, maxsplit=1)[0].strip().rstrip(".")[:80]


def open_lines(path: Path, limits: Limits = LIMITS) -> Iterator[Line | Rejected]:
    """The file's records as raw bytes without surrounding white space; blank lines are counted and left out
    (but not those of a table, whose rows are numbered from 1 without the line of names).

    Raises ``UnreadableFile`` for a directory, a missing, empty, binary or protected file and a damaged archive.
    """
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
        if stat.S_ISDIR(mode):
            raise UnreadableFile(f"{path.name} is a folder; give a file.")
        if not stat.S_ISREG(mode):
            raise UnreadableFile(f"{path.name} is not a regular file; give a file.")
        if size == 0:
            raise UnreadableFile(f"{path.name} is empty.")
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == _PARQUET:
                yield from _parquet_lines(path, limits)
            elif magic in _ZIP:
                yield from _zip_lines(file, path.name, size, limits)
            else:
                blocks = _gunzipped(file) if magic[:2] == _GZIP else iter(lambda: file.read(BLOCK), b"")
                if magic[:2] == _GZIP:
                    blocks = _guarded(blocks, file.tell, limits)
                yield from _numbered(blocks, path.name, "", file.tell, limits, start=0)
    except FileNotFoundError:
        raise UnreadableFile(f"{path.name} does not exist; check the path.") from None
    except PermissionError:
        raise UnreadableFile(f"{path.name} may not be read; check its permissions.") from None
    except OSError as error:
        raise UnreadableFile(f"{path.name} can't be read: {error.strerror or error}.") from None


def _numbered(
    blocks: Iterator[bytes], name: str, where: str, tell: Callable[[], int], limits: Limits, start: int
) -> Iterator[Line | Rejected]:
    """Numbers what a stream holds and tells a stream that holds no text at all."""
    stopped = ""

    def until_stopped() -> Iterator[bytes]:
        nonlocal stopped
        try:
            yield from blocks
        except _Stopped as error:
            stopped = str(error)

    stream = until_stopped()
    head = b""
    for block in stream:
        head += block
        if len(head) >= _HEAD:
            break
    _refuse_binary(head, where or name)
    whole = chain([head.removeprefix(b"\xef\xbb\xbf")], stream)
    delimiter = delimiter_of(head)
    if delimiter:
        pieces = csv_rows(whole, limits.line_bytes, delimiter)
    elif shape_of(head) is Shape.LINES:
        pieces = split_lines(whole, limits.line_bytes)
    else:
        pieces = scan_values(whole, limits.line_bytes)
    number, held = start, None
    for piece in pieces:
        if held is not None:
            number += 1
            yield from _entry(held, Line(number, held[0].strip(), where, tell()))
        held = piece
    tail = b""
    if held is not None and stopped and (held[1] or delimiter or not decodes(held[0])):
        tail = held[0]  # what the fault left over of a record is told with the fault
    elif held is not None:
        number += 1
        yield from _entry(held, Line(number, held[0].strip(), where, tell()))
    if stopped:
        yield rejected(Line(number + 1, tail, where, tell()), stopped, fatal=True)


def _parquet_lines(path: Path, limits: Limits) -> Iterator[Line | Rejected]:
    number, size = 0, path.stat().st_size
    try:
        rows = parquet_rows(path, limits.line_bytes, limits.ratio, limits.ratio_after)
        for number, (piece, share) in enumerate(rows, 1):
            yield from _entry(piece, Line(number, piece[0], offset=int(size * share)))
    except BadTable as error:
        if not number:
            raise UnreadableFile(f"{path.name} {error}; write it again.") from None
        yield rejected(Line(number + 1, b"", offset=size), f"From here on the file {error}.", fatal=True)


def _entry(piece: Piece, line: Line) -> Iterator[Line | Rejected]:
    if piece[1]:
        yield rejected(line, piece[1], fatal=isinstance(piece[1], Fatal))
    elif line.raw:
        yield line


def _refuse_binary(head: bytes, name: str) -> None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableFile(f"{name} is saved as UTF-16; save it as UTF-8.")
    if head[:4] == _PARQUET:
        raise UnreadableFile(f"{name} is a Parquet file inside an archive; give the Parquet file itself.")
    sample = head[:8192]
    if len(sample) - len(sample.translate(None, _CONTROL)) > _BINARY_SHARE * len(sample):
        raise UnreadableFile(f"{name} is a binary file, not JSON; give JSON lines or a JSON list.")


def _guarded(blocks: Iterator[bytes], tell: Callable[[], int], limits: Limits) -> Iterator[bytes]:
    """Stops a stream that unpacks to too much, measured while reading and never from a header."""
    total = 0
    for block in blocks:
        yield block
        total += len(block)
        if total > limits.ratio_after and total > limits.ratio * max(tell(), 1):
            raise _Stopped(f"The file unpacks to more than {limits.ratio} times its size; reading stopped here.")
        if total > limits.unpacked_bytes:
            raise _Stopped(f"The file unpacks to more than {limits.unpacked_bytes >> 30} GB; reading stopped here.")


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    """Blocks of a gzip file with one or more members; every byte before a fault is given."""
    unpack, fresh = zlib.decompressobj(wbits=31), True
    while packed := file.read(BLOCK >> 2):
        while packed:
            if fresh and not (packed := packed.lstrip(b"\0")):  # padding between members is allowed
                break
            try:
                block = unpack.decompress(packed, BLOCK)
            except zlib.error:
                raise _Stopped("The compressed file is damaged here; reading stopped.") from None
            fresh = False
            if block:
                yield block
            packed = unpack.unconsumed_tail
            if unpack.eof:
                packed = unpack.unused_data
                unpack, fresh = zlib.decompressobj(wbits=31), True
    if not fresh:
        while block := unpack.decompress(b"", BLOCK):
            yield block
        if not unpack.eof:
            raise _Stopped("The compressed file ends too early; the lines before this one were read.")


def _zip_lines(file: BinaryIO, name: str, size: int, limits: Limits) -> Iterator[Line | Rejected]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError):
        raise UnreadableFile(f"{name} is a damaged zip archive; make it again.") from None
    members = [m for m in archive.infolist() if not m.is_dir() and not _is_litter(m.filename)]
    if not members:
        raise UnreadableFile(f"{name} holds no files.")
    if len(members) > limits.members:
        raise UnreadableFile(f"{name} holds {len(members):,} files; the limit is {limits.members:,}.")
    number = produced = 0

    def counted(blocks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal produced
        for block in blocks:
            produced += len(block)
            yield block
            # Members of one archive may overlap, so what counts is the archive's size on disk.
            if produced > limits.ratio_after and produced > limits.ratio * size:
                raise _Stopped(f"The archive unpacks to more than {limits.ratio} times its size; reading stopped here.")
            if produced > limits.unpacked_bytes:
                raise _Stopped(f"The archive unpacks to more than {limits.unpacked_bytes >> 30} GB; reading stopped.")

    for member in members:
        where = clean_text(member.filename)[:200]
        try:
            for item in _numbered(counted(_member_blocks(archive, member)), name, where, file.tell, limits, number):
                number = item.number if isinstance(item, Line) else item.line
                yield item
        except UnreadableFile as error:
            number += 1
            yield Rejected(number, str(error), where=where, fatal=True)
        if (produced > limits.ratio_after and produced > limits.ratio * size) or produced > limits.unpacked_bytes:
            return


def _is_litter(filename: str) -> bool:
    """Files that archivers add by themselves."""
    return filename.startswith("__MACOSX/") or filename.rsplit("/", 1)[-1].startswith(".")


def _member_blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _Stopped("This member of the archive is a link; put the file itself into the archive.")
    if member.flag_bits & 1:
        raise _Stopped("This member of the archive is encrypted; make the archive without a password.")
    try:
        with archive.open(member) as stream:
            first = True
            while block := stream.read(BLOCK >> 4):
                if first and (block[:2] == _GZIP or block[:4] in _ZIP):
                    raise _Stopped("This member of the archive is itself compressed; put the plain file in.")
                first = False
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise _Stopped("This member of the archive is damaged or packed in an unknown way; reading stopped.") from None

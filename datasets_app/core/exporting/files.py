"""Files that grow by batches and can go on after a kill: what is committed elsewhere is the length up to here."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import IO

_CHUNK = 1 << 20


class LostFile(Exception):
    """The file is shorter than what was committed of it: what was written is gone, and it has to be made anew."""


class GrowingFile:
    """A file opened at ``length`` bytes; what stands behind them was never committed, and is cut off.

    ``compress`` writes every batch as a gzip member of its own: members one after the other are a gzip file, and a file
    can be cut between them. Raises OSError, and LostFile where the file is shorter than ``length``.
    """

    def __init__(self, path: Path, length: int, *, compress: bool = False) -> None:
        self.length = length
        self._path = path
        self._compress = compress
        self._file: IO[bytes] | None = None

    def __enter__(self) -> GrowingFile:
        if not self.length:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        elif not self._path.is_file():
            raise LostFile(self._path.name)
        self._file = self._path.open("r+b")
        if self._file.seek(0, os.SEEK_END) < self.length:
            self._file.close()
            raise LostFile(self._path.name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, content: bytes) -> int:
        """Write after what is committed, to the disk; the new length, which the caller commits together with its place.

        A batch that was written and not committed, by this process or another, is overwritten by the next.
        """
        assert self._file is not None
        if not content:
            return self.length
        written = gzip.compress(content, mtime=0) if self._compress else content
        self._file.truncate(self.length)
        self._file.seek(self.length)
        self._file.write(written)
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.length + len(written)


def cut(path: Path, length: int) -> None:
    """Take off what was written and never committed. Raises OSError, and LostFile where there is less than that."""
    if not path.is_file() or path.stat().st_size < length:
        raise LostFile(path.name)
    with path.open("r+b") as file:
        file.truncate(length)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in chunks. Raises OSError."""
    hasher = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()

"""Embedding vectors kept in one SQLite file, so that a text is embedded once however often topics are looked for.

Bounded: past ``most`` vectors those written longest ago go. What cannot be read or written is as if it were not there:
a cache that fails costs time, never work. Processes and threads may share the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from rft_project.platforms.embeddings import Vectors

#: 768 bytes each with MiniLM: 150 MB.
MOST = 200_000
_PART = 500  # digests in one query
_TABLE = """
create table if not exists vector (
    number integer primary key autoincrement, model text not null, digest blob not null, half blob not null,
    unique (model, digest)
)
"""


class DiskCache:
    """An :class:`EmbeddingCache` in the file ``path``, made when first needed."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path, self.most = path, most

    def get(self, model: str, digests: Sequence[bytes]) -> dict[bytes, Vectors]:
        found: dict[bytes, Vectors] = {}
        with suppress(sqlite3.Error), self._open() as database:
            for start in range(0, len(digests), _PART):
                part = digests[start : start + _PART]
                marks = ",".join("?" * len(part))
                query = f"select digest, half from vector where model = ? and digest in ({marks})"
                for key, half in database.execute(query, [model, *part]):
                    found[key] = np.frombuffer(half, np.float16).astype(np.float32)
        return found

    def put(self, model: str, vectors: Mapping[bytes, Vectors]) -> None:
        rows = [(model, key, vector.astype(np.float16).tobytes()) for key, vector in vectors.items()]
        with suppress(sqlite3.Error), self._open() as database:
            database.executemany("insert or replace into vector (model, digest, half) values (?, ?, ?)", rows)
            database.execute(
                "delete from vector where number <= (select number from vector order by number desc limit 1 offset ?)",
                [self.most],
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=10)
        try:
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = off")  # a cache may lose its last writes
            database.execute(_TABLE)
            with database:
                yield database
        finally:
            database.close()

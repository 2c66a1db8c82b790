"""What every suite is given: sizes, files, databases, and a way to say how far it is."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from tests.bench import data
from tests.bench.databases import Database, databases


class Bench:
    """The workshop of one suite. Generated files are kept for the next run, everything else is thrown away."""

    def __init__(self, kept: Path, *, small: bool) -> None:
        self.kept = kept
        self.small = small
        self.pairs = 2 if small else 5
        self._stack = ExitStack()
        kept.mkdir(parents=True, exist_ok=True)

    @cached_property
    def folder(self) -> Path:
        """A throw-away folder."""
        folder = tempfile.mkdtemp(prefix="rft-bench-")
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    @cached_property
    def databases(self) -> list[Database]:
        return self._stack.enter_context(databases(self.folder / "databases"))

    def size(self, full: int, small: int) -> int:
        return small if self.small else full

    def traces(self, count: int) -> Path:
        return data.file_of(count, self.kept)

    def tell(self, sentence: str) -> None:
        sys.stderr.write(f"   {sentence}\n")

    def close(self) -> None:
        self._stack.close()

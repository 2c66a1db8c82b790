"""A file's lines with the judgement of ``fast`` on those that it can judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from datasets_app.core.dedupe import Prints
from datasets_app.core.fast import Judge, Shape
from datasets_app.core.judging import Judged
from datasets_app.core.reading_lines import Line, Rejected
from datasets_app.core.records import Trace, loads
from datasets_app.core.sanitizing import SanitizeConfig


@dataclass(slots=True)
class Ready:
    """A line with its judgement, and its place in the prints of a lot where they were made with it."""

    source: Line
    judged: Judged
    prints: tuple[Prints, int] | None = None

    @property
    def line(self) -> int:
        return self.source.number

    @property
    def key(self) -> bytes:
        return self.source.key

    @property
    def offset(self) -> int:
        return self.source.offset

    @property
    def format(self) -> str:
        return self.judged.format

    @property
    def trace(self) -> Trace:
        """The record itself, decoded anew."""
        return loads(self.judged.body)

    @property
    def where(self) -> str:
        return self.source.where

    @property
    def size(self) -> int:
        return len(self.source.raw)

    @property
    def split(self) -> bool:
        return self.judged.split > 0


class Quick(Protocol):
    """Judges of a file's lines those it can; the others, and what was rejected, are handed on in their places."""

    def __call__(self, lines: Iterator[Line | Rejected], shape: Shape) -> Iterator[Line | Ready | Rejected]: ...


class QuickHere:
    """``Quick`` in this process."""

    def __init__(self, config: SanitizeConfig, *, exact: bool = True) -> None:
        self._config, self._exact = config, exact

    def __call__(self, lines: Iterator[Line | Rejected], shape: Shape) -> Iterator[Line | Ready | Rejected]:
        judge = Judge(self._config, shape, exact=self._exact)
        for line in lines:
            if isinstance(line, Line) and (found := judge.quick(line.raw)) is not None:
                yield Ready(line, found)
            else:
                yield line

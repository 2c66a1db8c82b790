"""The short way of ``fast`` in several processes: what comes out is the same, in the same order, for any number."""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec

from datasets_app.core import tokens
from datasets_app.core.dedupe import Prints, Said, prints_of
from datasets_app.core.fast import Judge, Shape
from datasets_app.core.judging import Judged
from datasets_app.core.quick import Ready
from datasets_app.core.reading_lines import Line, Rejected
from datasets_app.core.sanitizing import SanitizeConfig

LOT = 256  # lines that one process is given at a time
_LOT_BYTES = 2 << 20
_AHEAD = 2  # lots that wait for each process
_Settings = tuple[SanitizeConfig, Shape, frozenset[str] | None]
_Found = tuple[list[tuple[Any, ...] | None], Prints | None]


class WorkerLost(Exception):
    """A process of the pool was killed: what it was given is lost, and its pool takes no more."""

    def __init__(self) -> None:
        super().__init__(
            "A worker process was stopped from outside, perhaps because memory ran out; "
            "nothing was written, so run it again with fewer --workers."
        )


class QuickPool:
    """``fast.Quick`` with exact tokens in ``workers`` processes; a context manager, which ends them.

    ``shared`` is set when it is known which lines of user text many records share: the processes then make the prints
    that duplicates are found by, too.
    """

    def __init__(self, config: SanitizeConfig, workers: int) -> None:
        self.shared: frozenset[str] | None = None
        self._config = config
        self._ahead = _AHEAD * workers
        # A forked process has everything loaded already; elsewhere than on Linux libraries do not stand it.
        how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        # The vocabulary is 60 MB; what is loaded now is in memory once. Frozen objects are not visited by the garbage
        # collector, whose marks would make a copy of every page.
        tokens.counter()
        gc.freeze()
        self._processes = ProcessPoolExecutor(workers, mp_context=how)

    def __enter__(self) -> QuickPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._processes.shutdown(cancel_futures=True)
        gc.unfreeze()

    def __call__(self, lines: Iterator[Line | Rejected], shape: Shape) -> Iterator[Line | Ready | Rejected]:
        """The lines in their order, judged where that is quick. Raises WorkerLost."""
        try:
            yield from self._in_order(lines, shape)
        except BrokenProcessPool:
            raise WorkerLost from None

    def _in_order(self, lines: Iterator[Line | Rejected], shape: Shape) -> Iterator[Line | Ready | Rejected]:
        waiting: deque[tuple[list[Line | Rejected], Future[_Found]]] = deque()
        for lot in _lots(lines):
            settings = (self._config, shape, self.shared)
            raw = [line.raw for line in lot if isinstance(line, Line)]
            waiting.append((lot, self._processes.submit(_judge_lot, raw, settings)))
            if len(waiting) > self._ahead:
                yield from _merged(*waiting.popleft())
        while waiting:
            yield from _merged(*waiting.popleft())


def _lots(lines: Iterator[Line | Rejected]) -> Iterator[list[Line | Rejected]]:
    lot: list[Line | Rejected] = []
    size = 0
    for line in lines:
        lot.append(line)
        size += len(line.raw) if isinstance(line, Line) else 0
        if len(lot) >= LOT or size >= _LOT_BYTES:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def _merged(lot: list[Line | Rejected], answer: Future[_Found]) -> Iterator[Line | Ready | Rejected]:
    judgements, prints = answer.result()
    found = iter(judgements)
    row = 0
    for line in lot:
        values = next(found) if isinstance(line, Line) else None
        if isinstance(line, Rejected) or values is None:
            yield line
            continue
        judged = Judged(*values)
        judged.source = judged.source or line.raw.decode()
        if prints is None or judged.issues:
            yield Ready(line, judged)
        else:
            yield Ready(line, judged, (prints, row))
            row += 1


_last: list[tuple[SanitizeConfig, Shape, Judge]] = []  # a file's lines have one judge


def _judge_lot(lines: list[bytes], settings: _Settings) -> _Found:
    """In a process of the pool. Bodies that are the lines themselves do not travel back, nor do turns once compared."""
    config, shape, shared = settings
    if not _last or _last[0][:2] != (config, shape):
        _last[:] = [(config, shape, Judge(config, shape))]
    judge = _last[0][2]
    found: list[tuple[Any, ...] | None] = []
    said: list[Said] = []
    for raw in lines:
        one = judge.quick(raw)
        if one is None:
            found.append(None)
            continue
        if not one.issues:  # only valid records are compared
            said.append(one.said)
        if one.body.encode() == raw:
            one.source = ""
        if shared is not None:
            one.turns = []
        found.append(msgspec.structs.astuple(one))
    return found, None if shared is None else prints_of(said, config.near_duplicates, shared)

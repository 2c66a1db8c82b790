"""Batches of lines graded by several processes, in their order."""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

from graders_app.core.evaluate import Grader, open_grader
from graders_app.core.spec import GraderSpec

from .lines import Graded, Line, grade_lines

_AHEAD = 2  # batches that wait for each process
_open: list[Grader] = []  # in a process of the pool: its grader, open until the process ends
_until_the_end = ExitStack()


class WorkerLost(Exception):
    """A process of the pool was killed, and what it was given is lost; ``str(error)`` is a sentence."""

    def __init__(self) -> None:
        super().__init__(
            "A worker process was stopped from outside, perhaps because memory ran out; nothing was written, so run it "
            "again with --workers 1."
        )


def side_by_side(
    spec: GraderSpec, batches: Iterator[list[Line]], workers: int
) -> Iterator[tuple[list[Line], list[Graded]]]:
    """The batches in their order, each with its results. Raises WorkerLost."""
    # A forked process has everything loaded already; elsewhere than on Linux libraries do not stand it.
    how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    waiting: deque[tuple[list[Line], Future[list[Graded]]]] = deque()
    processes = ProcessPoolExecutor(workers, mp_context=how, initializer=_open_here, initargs=(spec,))
    try:
        for batch in batches:
            waiting.append((batch, processes.submit(_grade_here, batch)))
            if len(waiting) > _AHEAD * workers:
                first, answer = waiting.popleft()
                yield first, answer.result()
        for first, answer in waiting:
            yield first, answer.result()
    except BrokenProcessPool:
        raise WorkerLost from None
    finally:
        processes.shutdown(cancel_futures=True)


def _open_here(spec: GraderSpec) -> None:
    _open[:] = [_until_the_end.enter_context(open_grader(spec))]


def _grade_here(batch: list[Line]) -> list[Graded]:
    return grade_lines(_open[0], batch)

"""Grades a file of answers line by line, with memory that does not grow with the file. No Django, no database.

A line is ``{"item": {…}, "sample": {"output_text": "…", "output_tools": […]}}``; a sample may bring ``output_json`` and
``choices`` of its own. Lines without anything on them are skipped; every other line gets one result, in order.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from graders_app.core.evaluate import Grader
from graders_app.core.spec import GraderSpec, StringCheckSpec, TextSimilaritySpec, children
from rft_project.platforms.types import JsonDict

from .lines import MAX_LINE, Graded, Line, grade_lines
from .side_by_side import side_by_side

BATCH_LINES = 256
BATCH_BYTES = 8 << 20


@dataclass
class BatchReport:
    """``mean`` and ``std`` (of the population) are over the lines that have a reward; ``errors`` counts by kind."""

    count: int = 0
    rewarded: int = 0
    mean: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    first_unreadable: str = ""
    _squares: float = 0.0

    def add(self, line: Graded) -> None:
        self.count += 1
        self.errors.update(line.kinds)
        self.first_unreadable = self.first_unreadable or line.problem
        if line.reward is not None:  # Welford: one pass, no sum that loses digits
            self.rewarded += 1
            delta = line.reward - self.mean
            self.mean += delta / self.rewarded
            self._squares += delta * (line.reward - self.mean)

    @property
    def std(self) -> float:
        return math.sqrt(max(0.0, self._squares) / self.rewarded) if self.rewarded else 0.0

    def to_json(self) -> JsonDict:
        return {
            "count": self.count,
            "mean": self.mean if self.rewarded else None,
            "std": self.std if self.rewarded else None,
            "errors": dict(sorted(self.errors.items())),
            "seconds": round(self.seconds, 3),
        }


def grade_file(
    grader: Grader, source: BinaryIO, write: Callable[[str], object], at: Callable[[int], object], *, workers: int = 1
) -> BatchReport:
    """Grade ``source`` and ``write`` one JSON line per line of it; ``at`` is told the bytes that are done.

    More ``workers`` share the work where every component compares texts: what is written is the same. A python
    component has one process anyway, and a judge is waited for. Raises WorkerLost.
    """
    started = time.monotonic()
    report, done = BatchReport(), 0
    batches = _batches(_lines(source))
    if workers > 1 and compares_texts(grader.spec):
        graded = side_by_side(grader.spec, batches, workers)
    else:
        graded = ((batch, grade_lines(grader, batch)) for batch in batches)
    for batch, lines in graded:
        for line in lines:
            report.add(line)
            write(line.text)
        done += sum(line.size for line in batch)
        at(done)
    report.seconds = time.monotonic() - started
    return report


def compares_texts(spec: GraderSpec) -> bool:
    """Whether the score depends on nothing but the texts and needs no process of its own."""
    return all(isinstance(child, StringCheckSpec | TextSimilaritySpec) for child in children(spec).values())


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += line.size
        if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _lines(source: BinaryIO) -> Iterator[Line]:
    number = 0
    while raw := source.readline(MAX_LINE + 1):
        number += 1
        size, long = len(raw), len(raw) > MAX_LINE
        while long and not raw.endswith(b"\n") and (raw := source.readline(MAX_LINE)):
            size += len(raw)
        if long:
            yield Line(number, None, size)
        elif raw.strip():
            yield Line(number, raw, size)

"""Grades a file of answers line by line, with memory that does not grow with the file. No Django, no database.

A line is ``{"item": {…}, "sample": {"output_text": "…", "output_tools": […]}}``; a sample may bring ``output_json`` and
``choices`` of its own. Lines without anything on them are skipped; every other line gets one result, in order.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import BinaryIO

from graders_app.core.errors import GraderError
from graders_app.core.evaluate import Grader, GraderResult, Pair, make_sample
from rft_project.platforms.types import JsonDict

from .documents import complete_item, read_object

MAX_LINE = 16 << 20  # bytes
BATCH_LINES = 256
BATCH_BYTES = 8 << 20
UNREADABLE = "unreadable_line"


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

    def add(self, result: GraderResult) -> None:
        self.count += 1
        self.errors.update(issue.kind for issue in result.errors)
        if result.reward is not None:  # Welford: one pass, no sum that loses digits
            self.rewarded += 1
            delta = result.reward - self.mean
            self.mean += delta / self.rewarded
            self._squares += delta * (result.reward - self.mean)

    def add_unreadable(self, problem: str) -> None:
        self.count += 1
        self.errors[UNREADABLE] += 1
        self.first_unreadable = self.first_unreadable or problem

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


@dataclass(frozen=True)
class Line:
    """One line that was read: what to grade, or why it cannot be read."""

    size: int
    pair: Pair | None
    problem: str = ""


def grade_file(
    grader: Grader, source: BinaryIO, write: Callable[[str], object], at: Callable[[int], object]
) -> BatchReport:
    """Grade ``source`` and ``write`` one JSON line per line of it; ``at`` is told the bytes that are done."""
    started = time.monotonic()
    report, done = BatchReport(), 0
    for batch in _batches(_lines(source)):
        results = iter(grader.grade_many([line.pair for line in batch if line.pair is not None]))
        for line in batch:
            if line.pair is None:
                report.add_unreadable(line.problem)
                errors: list[JsonDict] = [{"kind": UNREADABLE, "message": line.problem, "component": "", "line": None}]
                write(_json({"reward": None, "sub_rewards": {}, "errors": errors}))
                continue
            result = next(results)
            report.add(result)
            errors = [asdict(issue) for issue in result.errors]
            write(_json({"reward": result.reward, "sub_rewards": result.sub_rewards, "errors": errors}))
        done += sum(line.size for line in batch)
        at(done)
    report.seconds = time.monotonic() - started
    return report


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
            yield Line(size, None, f"Line {number}: it is longer than {MAX_LINE >> 20} MB.")
        elif raw.strip():
            yield _line(number, raw, size)


def _line(number: int, raw: bytes, size: int) -> Line:
    try:
        row = read_object(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        return Line(size, _pair(row))
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text."
    except GraderError as error:
        problem = str(error)
    return Line(size, None, f"Line {number}: {problem}")


def _pair(row: JsonDict) -> Pair:
    item, sample = row.get("item"), row.get("sample")
    if not isinstance(item, dict):
        raise GraderError("give the record as a JSON object.", "item")
    if not isinstance(sample, dict):
        raise GraderError("give the answer as a JSON object with output_text.", "sample")
    text, tools = sample.get("output_text", ""), sample.get("output_tools")
    if not isinstance(text, str) or ("output_text" not in sample and not tools):
        raise GraderError("give the answer's text.", "sample.output_text")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise GraderError("give a list of tool calls.", "sample.output_tools")
    given = {key: value for key, value in sample.items() if key not in ("output_text", "output_tools")}
    return {**make_sample(text, tools), **given}, complete_item(item)


def _json(value: JsonDict) -> str:
    return json.dumps(value) + "\n"

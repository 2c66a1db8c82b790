"""A python grader in a jail, from our side: start once, keep warm, restart after a time-out, give up in time.

What holds the grader is described in ``child.py``; the design and the attacks it was tried against are measured facts,
not assumptions. Not a wall: the grader can see the samples of its own run, keep state between them, and give its own
samples any score.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rft_project.platforms.types import JsonDict

from .imports import DEFAULT_POLICY, Policy, SourceRefused, plan_imports
from .support import JailUnavailable, Support, probe
from .worker import Request, Worker, WorkerFailure, clean, valid_line

MAX_REQUEST_BYTES = 8 << 20
MAX_CRASHES_IN_A_ROW = 20

Pair = tuple[JsonDict, JsonDict]


@dataclass(frozen=True, slots=True)
class Limits:
    """Per grader: seconds of wall clock per sample, bytes of memory above what the libraries take."""

    wall_seconds: float = 2.0
    memory_bytes: int = 512 << 20
    boot_seconds: float = 30.0  # importing the libraries
    load_seconds: float = 5.0  # running the source's top level
    timeouts_in_a_row: int = 3


@dataclass(frozen=True, slots=True)
class JailReply:
    """``score`` in 0..1, or None with ``error``, a sentence; ``line`` is the line of the source that failed.

    ``ours``: the failure is this server's, not the grader's.
    """

    score: float | None
    error: str = ""
    line: int | None = None
    ours: bool = False


_UNREACHED = JailReply(None, "Not graded.", ours=True)


class PythonJail:
    """``with PythonJail(source) as jail: jail.grade(sample, item)``. Thread-safe: one sample or batch at a time.

    Use it in the process that opened it; after a fork it starts a process of its own.
    """

    def __init__(
        self,
        source: str,
        *,
        limits: Limits | None = None,
        policy: Policy = DEFAULT_POLICY,
        support: Support | None = None,
    ) -> None:
        """Raises JailUnavailable where the machine lacks something, SourceRefused for an import or a syntax error."""
        self._source = source
        self._limits = limits or Limits()
        self._support = support
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._stopped: JailReply | None = None
        self._timeouts = 0
        self._crashes = 0
        self._next_id = secrets.randbits(48)
        (support or probe()).require(self._limits.memory_bytes)
        self._plan = plan_imports(source, policy)

    def open(self) -> PythonJail:
        """Start now instead of at the first sample. Raises JailUnavailable or SourceRefused."""
        with self._lock:
            try:
                self._ready()
            except WorkerFailure as failure:
                raise SourceRefused(self._sentence(failure, loading=True)) from None
        return self

    def close(self) -> None:
        """End the process, after the batch that is running; the jail can be used again and starts a new one."""
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None

    def __enter__(self) -> PythonJail:
        return self.open()

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the warm process, None where none is running."""
        return self._worker.pid if self._worker is not None and self._worker.usable else None

    def grade(self, sample: JsonDict, item: JsonDict) -> JailReply:
        """Score of one answer. Never raises for what the grader does; see ``JailReply``."""
        return self.grade_many([(sample, item)])[0]

    def grade_many(self, pairs: Sequence[Pair]) -> list[JailReply]:
        """Scores in order, with samples written ahead of the replies; each sample has its own wall clock.

        A sample that fails the process costs a restart and is reported; the others are graded all the same, until
        ``timeouts_in_a_row`` samples in a row took too long: then the rest is reported as not graded.
        """
        with self._lock:
            done: list[JailReply | None] = [None] * len(pairs)
            waiting = self._encode(pairs, done)
            while waiting and not self._stopped:
                waiting = self._round(waiting, done)
            return [reply or self._stopped or _UNREACHED for reply in done]

    def _encode(self, pairs: Sequence[Pair], done: list[JailReply | None]) -> list[tuple[int, Request]]:
        waiting: list[tuple[int, Request]] = []
        for index, (sample, item) in enumerate(pairs):
            self._next_id += 1
            try:
                line = json.dumps({"id": self._next_id, "sample": sample, "item": item}).encode() + b"\n"
            except (TypeError, ValueError, RecursionError):
                done[index] = JailReply(None, "The record or the answer is not JSON.", ours=True)
                continue
            if len(line) > MAX_REQUEST_BYTES:
                done[index] = JailReply(None, "The record and the answer are longer than 8 MB.", ours=True)
                continue
            waiting.append((index, Request(self._next_id, line)))
        return waiting

    def _round(self, waiting: list[tuple[int, Request]], done: list[JailReply | None]) -> list[tuple[int, Request]]:
        """Grade until the end or the first failure of the process; what is left to do."""
        try:
            worker = self._ready()
        except JailUnavailable as error:
            self._stopped = JailReply(None, str(error), ours=True)
            return waiting
        except SourceRefused as error:
            self._stopped = JailReply(None, f"The source cannot be loaded: {error}.", error.line)
            return waiting
        except WorkerFailure as error:
            self._stopped = JailReply(None, self._sentence(error, loading=True))
            return waiting
        replies, failure = worker.exchange([request for _index, request in waiting], self._limits.wall_seconds)
        for (index, _request), reply in zip(waiting, replies, strict=False):
            done[index] = self._judge(reply)
        if replies:
            self._timeouts = self._crashes = 0
        if failure is None:
            return []
        self._worker = None
        done[waiting[len(replies)][0]] = JailReply(None, self._sentence(failure))
        self._count(failure)
        return waiting[len(replies) + 1 :]

    def _count(self, failure: WorkerFailure) -> None:
        self._timeouts = self._timeouts + 1 if failure.timeout else 0
        self._crashes += 1
        if self._timeouts >= self._limits.timeouts_in_a_row:
            self._stopped = JailReply(None, f"Not graded: {self._timeouts} samples in a row took too long.")
        elif self._crashes >= MAX_CRASHES_IN_A_ROW:
            self._stopped = JailReply(None, f"Not graded: the grader ended its process {self._crashes} times in a row.")

    def _ready(self) -> Worker:
        if self._worker is None or not self._worker.usable:
            if self._worker is not None:
                self._worker.close()
            (self._support or probe()).require(self._limits.memory_bytes)
            self._worker = Worker(
                self._plan,
                self._source,
                memory_bytes=self._limits.memory_bytes,
                boot_seconds=self._limits.boot_seconds,
                load_seconds=self._limits.load_seconds,
            )
        return self._worker

    def _judge(self, reply: dict[str, Any]) -> JailReply:
        """A reply as the truth about one sample: a finite number clamped to 0..1, or the grader's own error."""
        if "error" in reply:
            line = valid_line(reply.get("line"), self._source)
            text = clean(reply["error"]) or "an error without a text"
            return JailReply(None, f"Line {line}: {text}" if line else text, line)
        score = reply.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float):
            return JailReply(None, "grade did not return a number.")
        try:
            number = float(score)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            return JailReply(None, "grade returned a number that is not finite.")
        return JailReply(min(1.0, max(0.0, number)))

    def _sentence(self, failure: WorkerFailure, *, loading: bool = False) -> str:
        text = str(failure)
        if failure.timeout:
            seconds = self._limits.load_seconds if loading else self._limits.wall_seconds
            doing = " while it was loaded" if loading else ""
            return f"The grader took longer than {seconds:g} s{doing} and was stopped."
        return f"{text[0].upper()}{text[1:]}."

"""A python grader in a process of its own, without the environment of ours: start once, keep warm, stop in time.

This keeps credentials and prints apart and ends endless loops. It is not the sandbox of the application: outside it,
the machine that runs the grader has to be one where the grader may run.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

WALL_SECONDS = 2.0  # per sample, as in the application
LOAD_SECONDS = 15.0  # start, imports and the source's top level
TIMEOUTS_IN_A_ROW = 3
#: The interpreter itself may need these; nothing in them is a secret.
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class Reply:
    """``score`` in 0..1, or None with an ``error``, its ``kind`` and the ``line`` of the source."""

    score: float | None
    error: str = ""
    line: int | None = None
    kind: str = "python_grader_runtime_error"


class Stopped(Exception):
    """The process ended, or did not answer in time (``timeout``)."""

    def __init__(self, sentence: str, *, timeout: bool = False) -> None:
        super().__init__(sentence)
        self.timeout = timeout


class Refused(Exception):
    """The source itself cannot be loaded; ``reply`` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.error)
        self.reply = reply


class PythonPart:
    def __init__(self, source: str) -> None:
        self._source = source
        self._process: _Process | None = None
        self._lock = threading.Lock()

    def grade_many(self, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[Reply]:
        """A reply per pair, in order; after three time-outs in a row the rest of the batch is not graded."""
        with self._lock:
            replies: list[Reply] = []
            late = 0
            for sample, item in pairs:
                if late == TIMEOUTS_IN_A_ROW:
                    replies.append(Reply(None, f"Not graded: {late} samples in a row took too long."))
                    continue
                try:
                    replies.append(self._grade(sample, item))
                    late = 0
                except Refused as error:
                    return replies + [error.reply] * (len(pairs) - len(replies))
                except Stopped as error:
                    self._process = None
                    late = late + 1 if error.timeout else 0
                    replies.append(Reply(None, str(error)))
            return replies

    def _grade(self, sample: dict[str, Any], item: dict[str, Any]) -> Reply:
        try:
            request = json.dumps({"id": 0, "sample": sample, "item": item})
        except (TypeError, ValueError, RecursionError):
            return Reply(None, "The record or the answer is not JSON.", kind="python_grader_server_error")
        if self._process is None:
            self._process = self._start()
        reply = self._process.ask(request, WALL_SECONDS)
        if "error" in reply:
            line = reply.get("line")
            text = "".join(char if char.isprintable() else " " for char in str(reply["error"])).strip()
            return Reply(None, f"Line {line}: {text}" if line else text, line)
        score = reply.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
            return Reply(None, "grade did not return a number.")
        return Reply(min(1.0, max(0.0, float(score))))

    def _start(self) -> _Process:
        process = _Process()
        try:
            first = process.ask(json.dumps({"source": self._source}), LOAD_SECONDS)
        except Stopped as error:
            raise Refused(Reply(None, f"{str(error).rstrip('.')}, while it was loaded.")) from None
        if "refused" in first:
            process.stop()
            raise Refused(Reply(None, f"The source cannot be loaded: {first['refused']}.", first.get("line")))
        return process


class _Process:
    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _child_source()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()  # a pipe has no time limit of its own
        atexit.register(self.stop)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stdout:
            for line in stdout:
                self._replies.put(line)
        self._replies.put(b"")

    def ask(self, line: str, seconds: float) -> dict[str, Any]:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()
            reply = self._replies.get(timeout=seconds)
            value = json.loads(reply)
        except queue.Empty:
            self.stop()
            raise Stopped(f"The grader took longer than {seconds:g} s and was stopped.", timeout=True) from None
        except (OSError, ValueError):
            self.stop()
            raise Stopped("The grader ended its process.") from None
        return value if isinstance(value, dict) else {}

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._popen.kill()
        self._popen.wait()
        if self._popen.stdin is not None:
            with suppress(OSError):  # what was not yet written goes nowhere
                self._popen.stdin.close()


def _child_source() -> str:
    """Text of our neighbour, wherever it was loaded from: a folder, a zip or a single file."""
    spec = importlib.util.find_spec(f"{__package__}.python_child")
    if spec is None or spec.loader is None:
        raise ImportError("python_child is missing")
    return str(spec.loader.get_source(spec.name))  # type: ignore[attr-defined]

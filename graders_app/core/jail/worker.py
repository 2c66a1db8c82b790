"""One jailed process and the pipe to it: start, exchange lines under a wall clock, kill.

Nothing that comes out of the pipe is trusted: one line is at most 64 KiB, must be a JSON object and must answer the
request that is next in turn; anything else ends the process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import spawner
from .imports import ImportPlan, SourceRefused
from .support import JailUnavailable

CHILD = Path(__file__).with_name("child.py")
MAX_REPLY = 64 << 10
MAX_ERROR_CHARS = 500
_AHEAD_REQUESTS = 64
_AHEAD_BYTES = 256 << 10
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class WorkerFailure(Exception):
    """The process is gone; ``timeout``: because it took too long. The text is for people, without a full stop."""

    def __init__(self, message: str, *, timeout: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout


@dataclass(frozen=True, slots=True)
class Request:
    id: int
    line: bytes


class Worker:
    """A running, locked and loaded grader. Not thread-safe; belongs to the process that made it."""

    def __init__(self, plan: ImportPlan, source: str, *, memory_bytes: int, boot_seconds: float, load_seconds: float):
        """Start and load. Raises JailUnavailable, SourceRefused (the source failed while loading) or WorkerFailure."""
        self._buffer = b""
        self._owner = os.getpid()
        try:
            self._process = spawner.spawn([sys.executable, "-I", "-B", str(CHILD)], dict(_ENVIRONMENT))
        except OSError as error:
            raise JailUnavailable(f"The grader's process could not be started ({error.strerror}).") from None
        self._close = weakref.finalize(self, _end, self._process, self._owner)
        self._in = _descriptor(self._process.stdin)
        self._out = _descriptor(self._process.stdout)
        self._poll = select.poll()  # not select(), which refuses descriptors above 1023
        self._poll.register(self._out, select.POLLIN)
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        try:
            self._boot(plan, source, memory_bytes, boot_seconds, load_seconds)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """False after a fork (the pipe belongs to the parent), and where the process ended while it was idle."""
        return self._owner == os.getpid() and self._close.alive and self._process.poll() is None

    def close(self) -> None:
        """Kill the process and everything in its session. Safe to call twice."""
        self._close()

    def exchange(
        self, requests: Sequence[Request], wall_seconds: float
    ) -> tuple[list[dict[str, Any]], WorkerFailure | None]:
        """Replies in order. With a failure, it belongs to the request after the last reply, and the process is gone.

        Requests are written ahead of the replies (64 or 256 KiB at most). The clock of a sample starts when the reply
        before it arrived, which is never earlier than its work began.
        """
        replies: list[dict[str, Any]] = []
        try:
            if self._buffer or self._readable():
                raise WorkerFailure("the grader wrote to our pipe between two samples")
            self._exchange(requests, wall_seconds, replies)
        except WorkerFailure as failure:
            self.close()
            return replies, failure
        return replies, None

    def _exchange(self, requests: Sequence[Request], wall_seconds: float, replies: list[dict[str, Any]]) -> None:
        sent = 0
        outgoing = bytearray()
        ahead = 0
        deadline = time.monotonic() + wall_seconds
        while len(replies) < len(requests):
            while sent < len(requests) and sent - len(replies) < _AHEAD_REQUESTS and (ahead < _AHEAD_BYTES):
                outgoing += requests[sent].line
                ahead += len(requests[sent].line)
                sent += 1
            self._wait(bool(outgoing), deadline)
            if outgoing:
                self._write(outgoing)
            for reply in self._read_lines():
                due = requests[len(replies)] if len(replies) < sent else None
                if due is None or reply.get("id") != due.id:
                    raise WorkerFailure("the grader answered out of turn")
                replies.append(reply)
                ahead -= len(due.line)
                deadline = time.monotonic() + wall_seconds

    def _boot(self, plan: ImportPlan, source: str, memory: int, boot_seconds: float, load_seconds: float) -> None:
        first = {"modules": plan.modules, "touch": plan.touch, "memory_bytes": memory, "parent": self._owner}
        try:
            answer = self._ask(first, boot_seconds)
        except WorkerFailure as failure:
            raise JailUnavailable(f"Python graders are off on this server: while starting, {failure}.") from None
        if "unavailable" in answer:
            raise JailUnavailable(f"Python graders are off on this server: {clean(answer['unavailable'])}.")
        if answer != {"locked": True}:
            raise JailUnavailable("Python graders are off on this server: the sandbox gave no clear answer.")
        answer = self._ask({"source": source}, load_seconds)
        if "refused" in answer:
            raise SourceRefused(clean(answer["refused"]), valid_line(answer.get("line"), source))
        if answer != {"ready": True}:
            raise SourceRefused("the source wrote to our pipe while it was loaded")

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        outgoing = bytearray(json.dumps(message).encode() + b"\n")
        deadline = time.monotonic() + seconds
        while True:
            self._wait(bool(outgoing), deadline)
            if outgoing:
                self._write(outgoing)
            for reply in self._read_lines():
                return reply

    def _wait(self, writing: bool, deadline: float) -> None:
        """Until there is something to read, or room to write where ``writing``; not past ``deadline``."""
        if writing:
            self._poll.register(self._in, select.POLLOUT)
        try:
            left = deadline - time.monotonic()
            ready = dict(self._poll.poll(max(0.0, left) * 1000))
        finally:
            if writing:
                self._poll.unregister(self._in)
        if left <= 0 and self._out not in ready:
            raise WorkerFailure("the grader took too long", timeout=True)

    def _readable(self) -> bool:
        return bool(self._poll.poll(0))

    def _write(self, outgoing: bytearray) -> None:
        try:
            written = os.write(self._in, outgoing[: 64 << 10])
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise WorkerFailure(self._last_words()) from None
        del outgoing[:written]

    def _read_lines(self) -> list[dict[str, Any]]:
        try:
            data = os.read(self._out, MAX_REPLY)
        except BlockingIOError:
            return []
        if not data:
            raise WorkerFailure(self._last_words())
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_REPLY or any(len(line) > MAX_REPLY for line in lines):
            raise WorkerFailure("the grader wrote too much")
        return [_decode(line) for line in lines]

    def _last_words(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the grader closed its pipe"
        if code == -signal.SIGSYS:
            return "the grader made a system call that is not allowed"
        if code == -signal.SIGSEGV:
            return "the grader crashed (segmentation fault), often from endless recursion"
        if code == -signal.SIGKILL:
            return "the system ended the grader, often for lack of memory"
        return f"the grader ended its process (code {code})"


def clean(text: object) -> str:
    """Text from the jail made fit to store and show: no surrogates, NUL or control characters, 500 characters."""
    cut = str(text)[:MAX_ERROR_CHARS].encode("utf-8", "replace").decode("utf-8")
    return "".join(char if char.isprintable() else " " for char in cut).strip()


def valid_line(line: object, source: str) -> int | None:
    """``line`` if it is a line of ``source``, else None."""
    is_line = isinstance(line, int) and not isinstance(line, bool) and 1 <= line <= source.count("\n") + 1
    return line if is_line and isinstance(line, int) else None


def _decode(line: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        raise WorkerFailure("the grader wrote something to our pipe that is no reply") from None
    if not isinstance(reply, dict):
        raise WorkerFailure("the grader wrote something to our pipe that is no reply")
    return reply


def _descriptor(pipe: Any) -> int:
    return int(pipe.fileno())


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if owner == os.getpid():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()

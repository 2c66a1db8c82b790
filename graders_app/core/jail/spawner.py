"""Starts every jailed process from one thread that lives as long as we do.

``PR_SET_PDEATHSIG`` kills the child when the *thread* that started it ends, not the process. Our callers are threads
of a web server or a pool, which end while their grader is still warm; so one daemon thread does all the starting.
A forked process gets a thread of its own.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future

_Task = tuple[Callable[[], "subprocess.Popen[bytes]"], "Future[subprocess.Popen[bytes]]"]


class _Spawner:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, make: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="jail-spawner", daemon=True)
                self._thread.start()
        self._tasks.put((make, future))
        return future.result()

    def _work(self) -> None:
        while True:
            make, future = self._tasks.get()
            try:
                future.set_result(make())
            except BaseException as error:  # handed to the thread that asked
                future.set_exception(error)


_spawner = _Spawner()


def _after_fork() -> None:
    global _spawner
    _spawner = _Spawner()


os.register_at_fork(after_in_child=_after_fork)


def spawn(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start ``command`` with pipes on stdin and stdout and nothing else of ours. Raises OSError."""

    def make() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
            close_fds=True,
            bufsize=0,
        )

    return _spawner.start(make)

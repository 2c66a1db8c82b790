"""One child process in a group of its own: started, watched, started again when it dies, ended with all it started."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between a death and the next start
STEADY_SECONDS = 60.0  # up this long, a child counts as healthy again


# Looked up before any fork: after one, only what cannot take a lock is safe.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _ask_for_sigterm() -> None:
    """In the child: get SIGTERM should the parent die without ending us (Linux; elsewhere such a child goes on)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


class Child:
    """``argv`` as a process group. Signals of the terminal do not reach it; its parent ends it.

    ``dies_with_parent``: end it even when the parent is killed. Only where the parent starts it from its main thread.
    """

    def __init__(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, dies_with_parent: bool = False
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = None if env is None else dict(env)
        self.dies_with_parent = dies_with_parent
        self.deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int:
        """Process id, which is the number of the process group too; 0 before the first start."""
        return 0 if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.argv,
            env=self.env,
            start_new_session=True,
            preexec_fn=_ask_for_sigterm if self.dies_with_parent else None,
        )
        self._started_at = time.monotonic()

    def revive(self) -> bool:
        """Start it again if it died and its pause is over: 1 s, 2 s, 4 s … at most 30 s. True when it was started."""
        if self.is_running():
            return False
        now = time.monotonic()
        if not self._not_before:
            self.kill()  # what the dead process left in its group
            self.deaths = 1 if now - self._started_at > STEADY_SECONDS else self.deaths + 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self.deaths - 1))
            self._not_before = now + pause
            logger.error("%s ended with code %s; starting it again in %g s", self.name, self.returncode, pause)
        if now < self._not_before:
            return False
        self._not_before = 0.0
        self.start()
        return True

    def terminate(self) -> None:
        """Ask the first process to end; it knows how to end the others."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the first process to end; True when it has."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the whole group at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

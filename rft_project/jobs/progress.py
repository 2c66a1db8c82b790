"""How far a job is: counted in memory, written at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db.models import F

from .lease import Lease
from .models import Job
from .outcomes import Cancelled

WRITE_EVERY = 1.0  # seconds; SQLite has one writer, and nobody reads faster
RATE_AFTER = 1.0  # seconds of work before a rate means anything


Listener = Callable[["Progress"], object]  # told after each write, for a bar on a terminal


class Progress:
    """Counts of one slice. Core code gets ``advance`` as its callback and knows nothing of jobs.

    ``done`` and ``total`` are absolute numbers of the job's unit; ``total`` is 0 while unknown.
    """

    def __init__(
        self,
        job: Job,
        lease: Lease,
        listener: Listener | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lease = lease
        self._listener = listener
        self.done = job.done
        self.total = job.total
        self.phase = job.phase
        self.note = job.note
        self._rate = job.per_second
        self._since = self._clock()
        self._base = self.done
        self._written_at = float("-inf")
        self._changed = False

    def begin(self, phase: str = "", *, done: int = 0, total: int | None = None, note: str = "") -> None:
        """Enter a phase that starts at ``done`` of ``total`` (None keeps the total); written at once.

        Call it when a slice starts, with counts read from the rows: what was done before does not count for the rate.
        Raises Cancelled or Lost.
        """
        if phase != self.phase:
            self._rate = None
        self.phase, self.done, self.note = phase, done, note
        if total is not None:
            self.total = total
        self._since, self._base = self._clock(), done
        self.flush()

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """``count`` more are done. Raises Cancelled when a stop was asked for, Lost when the job is no longer ours."""
        self.set(self.done + count, note)

    def set(self, done: int, note: str | None = None) -> None:
        """``done`` are done in all. Raises like :meth:`advance`."""
        self.done = done
        if note is not None:
            self.note = note
        self._changed = True
        self.poll()

    def poll(self) -> None:
        """Write what changed, or just ask whether to go on; does nothing within a second of the last time."""
        if self._clock() - self._written_at < WRITE_EVERY:
            return
        if self._changed:
            self.flush()
            return
        self._lease.write()
        self.written()
        if self._lease.cancel_requested:
            raise Cancelled

    def written(self) -> None:
        """What is counted has reached the row."""
        self._written_at = self._clock()
        self._changed = False
        if self._listener is not None:
            self._listener(self)

    def flush(self) -> None:
        """Write now what is counted. Raises like :meth:`advance`."""
        self._lease.write(**self.fields())
        self.written()
        if self._lease.cancel_requested:
            raise Cancelled

    def fields(self) -> dict[str, Any]:
        """The columns that show this progress, measured now."""
        elapsed = self._clock() - self._since
        if elapsed >= RATE_AFTER and self.done > self._base:
            self._rate = (self.done - self._base) / elapsed
        return {
            "done": self.done,
            "total": max(self.total, 0),
            "phase": self.phase[:80],
            "note": self.note[:300],
            "per_second": self._rate,
            "version": F("version") + 1,
        }

"""The right to write for one claim of one job. Every write checks the fence; a writer that lost it changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import F
from django.utils import timezone

from .models import Job
from .outcomes import Lost

# A worker that cannot be seen from the sweeping host counts as gone this long after its last sign of life.
LEASE_SECONDS = 60.0
BEAT_SECONDS = 10.0


class Lease:
    """Fence number ``fence`` of job ``job_id``. ``cancel_requested`` is what the last write learned."""

    def __init__(self, job_id: int, fence: int, *, cancel_requested: bool = False) -> None:
        self.job_id = job_id
        self.fence = fence
        self.cancel_requested = cancel_requested

    def write(self, **fields: Any) -> None:
        """Write ``fields`` and renew the lease, learning in the same query whether a stop was asked for.

        Raises Lost when the job has another holder or has ended.
        """
        now = timezone.now()
        fields |= {"heartbeat_at": now, "lease_until": now + timedelta(seconds=LEASE_SECONDS)}
        held = Job.objects.held(self.job_id, self.fence)
        if not self.cancel_requested and held.filter(cancel_requested=False).update(**fields):
            return
        if not held.update(**fields):
            raise Lost(f"job {self.job_id} passed on after claim {self.fence}")
        self.cancel_requested = True

    def end(self, **fields: Any) -> bool:
        """Give the job back with ``fields`` (a new state among them); False when it was lost before."""
        now = timezone.now()
        fields |= {"heartbeat_at": now, "lease_until": None, "version": F("version") + 1}
        return bool(Job.objects.held(self.job_id, self.fence).update(**fields))

    @contextmanager
    def kept_alive(self, every: float = BEAT_SECONDS) -> Iterator[None]:
        """Renew the lease from a thread every so many seconds, for handlers that compute for long without a word.

        Only for worker processes: the thread has a connection of its own, and does not see what the caller has not
        committed.
        """
        over = threading.Event()
        thread = threading.Thread(
            target=self._beat, args=(over, every), name=f"lease of job {self.job_id}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=2.0)

    def _beat(self, over: threading.Event, every: float) -> None:
        try:
            while not over.wait(every):
                now = timezone.now()
                try:
                    if not Job.objects.held(self.job_id, self.fence).update(
                        heartbeat_at=now, lease_until=now + timedelta(seconds=LEASE_SECONDS)
                    ):
                        return
                except DatabaseError:
                    connection.close()  # a database that is away for a moment: the next beat tries again
        finally:
            connection.close()

"""What a handler gets: its job, and the only ways to write while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from . import shutdown
from .lease import Lease
from .models import Job, JobEvent
from .outcomes import Cancelled
from .progress import Listener, Progress

SLICE_SECONDS = 45.0  # well below the queue's time-out, which is only a safety net


class Batch:
    """One transaction of a handler. ``done`` may be changed inside, when only the writing tells how many it was."""

    def __init__(self, done: int, cursor: dict[str, Any]) -> None:
        self.done = done
        self.cursor = cursor


class JobContext:
    """Handed to every handler. ``job`` is the row as it was at the start of this slice; ``params`` its parameters.

    ``cursor`` is what the handler left for itself in an earlier slice (``batch.cursor = {...}``), {} at first.
    A handler is called once per slice, possibly again for work that a killed worker did not commit: it looks for what
    is still undone, does it in batches, and raises ``Again`` when ``slice_over``.
    """

    def __init__(
        self, job: Job, lease: Lease, *, slice_seconds: float = SLICE_SECONDS, listener: Listener | None = None
    ) -> None:
        self.job = job
        self.params: dict[str, Any] = job.params
        self.cursor: dict[str, Any] = job.cursor
        self.progress = Progress(job, lease, listener)
        self._lease = lease
        self._ends_at = time.monotonic() + slice_seconds

    @property
    def slice_over(self) -> bool:
        """True after about 45 s, or when the worker is closing: commit and raise ``Again``."""
        return time.monotonic() >= self._ends_at or shutdown.requested()

    def check(self) -> None:
        """Raise Cancelled when a stop was asked for, Lost when the job is not ours. Asks at most once a second."""
        if self._lease.cancel_requested:
            raise Cancelled
        self.progress.poll()

    @property
    def stopping(self) -> bool:
        """True when a stop was asked for; for work that ends by itself before ``check`` is called. Raises Lost."""
        try:
            self.check()
        except Cancelled:
            return True
        return False

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log (``level``: info, warning or error); raises Lost."""
        with transaction.atomic():
            self._lease.write()
            JobEvent.objects.create(job_id=self.job.pk, message=message, level=JobEvent.Level(level))

    @contextmanager
    def batch(self, done: int = 0, *, note: str | None = None) -> Iterator[Batch]:
        """Write rows and progress together or not at all: ``with ctx.batch(done=len(rows)): save(rows)``.

        The fence is checked before the rows are written, and the row lock keeps it until the commit (PostgreSQL; SQLite
        has one writer anyway). Never call a network inside. Raises Lost; a stop that was asked for shows at the next
        ``check()``, so that a batch is never half kept.
        """
        progress = self.progress
        before = progress.done, progress.note
        batch = Batch(done, self.cursor)
        try:
            with transaction.atomic():
                self._lease.write()
                yield batch
                progress.done += batch.done
                if note is not None:
                    progress.note = note
                self._lease.write(**progress.fields(), cursor=batch.cursor, deaths=0)
        except BaseException:
            progress.done, progress.note = before
            raise
        self.cursor = batch.cursor
        progress.written()

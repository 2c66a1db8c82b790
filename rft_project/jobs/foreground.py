"""Runs a job to its end in this process, for commands that work without a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.utils import timezone

from . import bell, runner, services, sweep
from .models import Job, State
from .progress import Listener

LOOK_SECONDS = 0.2


def finish(
    job: Job,
    *,
    on_change: Callable[[Job], object] | None = None,
    on_progress: Listener | None = None,
    timeout: float | None = None,
) -> Job:
    """Run ``job`` here, slice after slice, until it has ended; returns it as it ended.

    A job that a worker holds is watched instead, and taken over when that worker dies. ``on_change`` is called with the
    row whenever it changed between slices, ``on_progress`` at most once a second inside one.
    Raises TimeoutError after ``timeout`` seconds (None: never).
    """
    ends_at = None if timeout is None else time.monotonic() + timeout
    seen = -1
    while True:
        job = Job.objects.get(pk=job.pk)
        if on_change is not None and job.version != seen:
            on_change(job)
        seen = job.version
        if not job.is_live:
            return job
        if ends_at is not None and time.monotonic() >= ends_at:
            raise TimeoutError(f"{job} did not end within {timeout:g} s")
        if job.state == State.QUEUED:
            bell.discard(job.message_id)
            runner.run(job.pk, listener=on_progress)
            continue
        sweep.put_back_stale(timezone.now())
        if job.state == State.WAITING and (job.run_after is None or job.run_after <= timezone.now()):
            services.wake(job.pk)
        else:
            time.sleep(LOOK_SECONDS)

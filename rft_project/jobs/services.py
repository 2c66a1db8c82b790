"""What the rest of the product does with jobs: start one, ask it to stop, try it again."""

from __future__ import annotations

from typing import Any, Protocol

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from . import bell
from .models import Job, State, live_job

MAX_LOOKS = 5


class HasPk(Protocol):
    """A saved user."""

    pk: Any


def enqueue(
    kind: str, params: dict[str, Any], *, lock_key: str, by: HasPk | None = None, total: int = 0, unit: str = "records"
) -> Job:
    """Queue a job of ``kind``, or return the unfinished one that has ``lock_key`` already.

    Job row and queue message join the caller's transaction: nothing starts before it commits, nothing is lost after.
    ``params`` is plain JSON (ids, numbers, strings); ``total`` counts ``unit`` and is 0 while unknown.
    Raises KeyError when ``kind`` is not in ``settings.JOB_HANDLERS``.
    """
    if kind not in settings.JOB_HANDLERS:
        raise KeyError(f"no handler is registered for jobs of kind {kind!r}")
    for attempt in range(MAX_LOOKS):
        found = live_job(lock_key)
        if found is not None:
            return found
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind,
                    params=params,
                    lock_key=lock_key,
                    requested_by_id=None if by is None else by.pk,
                    total=total,
                    unit=unit,
                )
                bell.ring(job.pk)
                job.refresh_from_db()
                return job
        except IntegrityError:  # somebody was faster by a moment: the next look finds theirs, unless it ended as fast
            if attempt == MAX_LOOKS - 1:
                raise
    raise AssertionError("unreachable")


def request_cancel(job: Job) -> Job:
    """Ask ``job`` to stop; harmless when it has finished or was asked before. Returns it as it is now.

    A job that never started is cancelled at once. A parked one is woken, because it may have to stop what it started
    on a platform; a running one notices within about a second.
    """
    now = timezone.now()
    row = Job.objects.filter(pk=job.pk)
    with transaction.atomic():
        never_ran = row.filter(state=State.QUEUED, fence=0)
        if not never_ran.update(
            state=State.CANCELLED, cancel_requested=True, finished_at=now, version=F("version") + 1
        ):
            row.live().filter(cancel_requested=False).update(cancel_requested=True, version=F("version") + 1)
            wake(job.pk)
    return Job.objects.get(pk=job.pk)


def wake(job_id: int) -> bool:
    """Put a parked job back in the queue now; False when it was not parked."""
    with transaction.atomic():
        woken = Job.objects.filter(pk=job_id, state=State.WAITING).update(
            state=State.QUEUED, run_after=None, version=F("version") + 1
        )
        if woken:
            bell.ring(job_id)
    return bool(woken)


def retry(job: Job) -> Job:
    """Queue a failed or cancelled job again with its old parameters; what it did already stays done.

    Returns the job, or the unfinished one that took its lock key meanwhile.
    """
    try:
        with transaction.atomic():
            ended = Job.objects.filter(pk=job.pk, state__in=(State.FAILED, State.CANCELLED))
            if ended.update(
                state=State.QUEUED,
                attempts=0,
                deaths=0,
                cancel_requested=False,
                error_code="",
                error_message="",
                traceback="",
                note="",
                run_after=None,
                per_second=None,
                finished_at=None,
                version=F("version") + 1,
            ):
                bell.ring(job.pk)
    except IntegrityError:
        return live_job(job.lock_key) or Job.objects.get(pk=job.pk)
    return Job.objects.get(pk=job.pk)

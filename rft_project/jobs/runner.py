"""Runs one slice of one job: claim, handle, conclude. The only place that catches everything."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.module_loading import import_string

from rft_project.connections.scrub import scrub
from rft_project.platforms.errors import PlatformError

from . import bell, collecting, owner
from .context import SLICE_SECONDS, JobContext
from .lease import LEASE_SECONDS, Lease
from .models import Job, JobEvent, State, as_json
from .outcomes import Again, Cancelled, JobFailed, Lost, WaitUntil
from .progress import Listener

logger = logging.getLogger(__name__)

Handler = Callable[[JobContext], Any]
BACKOFF_CAP = 120.0  # seconds
DISK_FULL = "53100"  # PostgreSQL's code of an error
RETRY_AFTER_CAP = 3600.0  # seconds; a platform that asks for more is asked again after an hour


def claim(job_id: int) -> Job | None:
    """Take a queued job by one conditional UPDATE; None when it is not queued or somebody else was faster.

    The start is counted and committed before the work; the sweep counts one whose worker was lost as a death instead.
    """
    now = timezone.now()
    with transaction.atomic():
        taken = Job.objects.filter(pk=job_id, state=State.QUEUED).update(
            state=State.RUNNING,
            fence=F("fence") + 1,
            attempts=F("attempts") + 1,
            lease_owner=owner.this_process(),
            lease_until=now + timedelta(seconds=LEASE_SECONDS),
            heartbeat_at=now,
            started_at=Coalesce("started_at", Value(now), output_field=DateTimeField()),
            run_after=None,
            version=F("version") + 1,
        )
        return Job.objects.get(pk=job_id) if taken else None


def run(
    job_id: int, *, slice_seconds: float = SLICE_SECONDS, keep_alive: bool = False, listener: Listener | None = None
) -> bool:
    """Run the next slice of a job; False when there was nothing to claim.

    ``keep_alive`` renews the lease from a thread (worker processes); ``listener`` hears of each write of progress.
    Whatever the handler does ends in the row; only SystemExit (the queue's time-out) and KeyboardInterrupt leave this
    function, after the row says so.
    """
    job = claim(job_id)
    if job is None:
        return False
    lease = Lease(job.pk, job.fence, cancel_requested=job.cancel_requested)
    context = JobContext(job, lease, slice_seconds=slice_seconds, listener=listener)
    try:
        with lease.kept_alive() if keep_alive else nullcontext(), collecting.rarely():
            result = as_json(_handler(job.kind)(context))
        _finish(context, lease, State.SUCCEEDED, result=result)
    except Lost:
        logger.warning("job %s: claim %s was lost to another worker", job.pk, job.fence)
    except BaseException as error:
        _conclude(context, lease, error)
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
    return True


def _handler(kind: str) -> Handler:
    try:
        dotted = settings.JOB_HANDLERS[kind]
    except KeyError:
        raise JobFailed(f"This version does not know jobs of kind “{kind}”.", "unknown_kind") from None
    handler: Handler = import_string(dotted)
    return handler


def _conclude(context: JobContext, lease: Lease, error: BaseException) -> None:
    """Write what ``error`` means for the job (the outcome table)."""
    match error:
        case Again():
            _queue_again(context, lease)
        case WaitUntil():
            _park(context, lease, error.seconds, note=error.note, attempts=0, deaths=0)
        case Cancelled():
            _finish(context, lease, State.CANCELLED)
        case JobFailed():
            _fail(context, lease, error.message, error.code)
        case PlatformError():
            _platform_error(context, lease, error)
        case OperationalError() | InterfaceError():
            if not connection.in_atomic_block:
                connection.close()  # it may be the connection that is broken
            _try_later(context, lease, _database_trouble(error), "database", None)
        case SystemExit():
            _fail(context, lease, _too_long(), "timeout", staff=traceback.format_exc())
        case KeyboardInterrupt():
            _queue_again(context, lease)
        case _:
            reference = f"{lease.job_id}-{lease.fence}"
            logger.exception("job %s failed, reference %s", lease.job_id, reference)
            _fail(
                context,
                lease,
                f"Something went wrong here (reference {reference}); try again, or show the reference to an operator.",
                "internal",
                staff=traceback.format_exc(),
            )


def _database_trouble(error: BaseException) -> str:
    cause = error.__cause__  # what the driver raised
    if getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(cause, "sqlstate", "") == DISK_FULL:
        return "The disk of the database is full; free some space."
    return "The database did not answer."


def _too_long() -> str:
    queue: dict[str, Any] = settings.Q_CLUSTER
    minutes = queue["timeout"] / 60
    return f"One step took longer than {minutes:g} minutes and was stopped; try again with less at a time."


def _finish(context: JobContext, lease: Lease, state: State, **fields: Any) -> None:
    shown = context.progress.fields() | {"note": ""}  # the note says what a job is doing
    lease.end(**shown, **fields, state=state, finished_at=timezone.now())


def _fail(context: JobContext, lease: Lease, message: str, code: str, *, staff: str = "") -> None:
    with transaction.atomic():
        ended = lease.end(
            **(context.progress.fields() | {"note": ""}),
            state=State.FAILED,
            finished_at=timezone.now(),
            error_message=message,
            error_code=code[:80],
            traceback=scrub(staff),
        )
        if ended:
            JobEvent.objects.create(job_id=lease.job_id, message=message, level=JobEvent.Level.ERROR)


def _queue_again(context: JobContext, lease: Lease) -> None:
    """A slice that ended well proves that the job is no poison: its counters start anew."""
    with transaction.atomic():
        if lease.end(**context.progress.fields(), state=State.QUEUED, attempts=0, deaths=0):
            bell.ring(lease.job_id)


def _park(context: JobContext, lease: Lease, seconds: float, *, note: str, **fields: Any) -> None:
    """Park for ``seconds``, unless a stop was asked for that this slice did not hear of: then the handler has to."""
    shown = context.progress.fields() | {"note": note[:300]}
    now = timezone.now()
    parked = lease.end(**shown, **fields, state=State.WAITING, run_after=now + timedelta(seconds=seconds))
    if parked and not context.job.cancel_requested:
        unheard = Job.objects.filter(pk=lease.job_id, fence=lease.fence, state=State.WAITING, cancel_requested=True)
        unheard.update(run_after=now)


def _platform_error(context: JobContext, lease: Lease, error: PlatformError) -> None:
    message = scrub(str(error))
    if error.retryable:
        _try_later(context, lease, message, error.code, error.retry_after)
    else:
        _fail(context, lease, message, error.code)


def _try_later(context: JobContext, lease: Lease, message: str, code: str, retry_after: float | None) -> None:
    """Park for what the platform asked, else a growing pause; fail when the attempts are used up."""
    job = context.job
    if job.attempts >= job.max_attempts:
        times = "once" if job.attempts == 1 else f"{job.attempts} times"
        _fail(context, lease, f"{message} Tried {times} without success; try again later.", code)
    else:
        wait = backoff(job.attempts) if retry_after is None else min(retry_after, RETRY_AFTER_CAP)
        _park(context, lease, wait, note=f"{message} Trying again.")


def backoff(attempt: int) -> float:
    """Seconds to wait after failed start number ``attempt`` (1 is the first): 2, 4, 8 … at most 120, half of it random,

    so that many jobs refused together do not come back together.
    """
    return float(min(BACKOFF_CAP, 2.0 ** min(attempt, 10))) * random.uniform(0.5, 1.0)

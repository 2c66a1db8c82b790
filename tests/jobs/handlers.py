"""Job handlers for tests. What they did is read from the job's events, which they write in batches like any rows."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

from django.utils import timezone
from pydantic import BaseModel

from rft_project.jobs.context import JobContext
from rft_project.jobs.models import JobEvent
from rft_project.jobs.outcomes import Again, Cancelled, JobFailed, WaitUntil
from rft_project.jobs.services import request_cancel
from rft_project.jobs.sweep import put_back_stale
from rft_project.platforms.errors import PlatformError


class Counted(BaseModel):
    items: int
    share: float = 1.0


def items(job_id: int) -> list[int]:
    """Numbers that ``count`` wrote, in the order of writing."""
    rows = JobEvent.objects.filter(job_id=job_id, message__startswith="item ").order_by("pk")
    return [int(message.split()[1]) for message in rows.values_list("message", flat=True)]


def count(ctx: JobContext) -> Counted:
    """Write items 0 … n-1 in batches, each after ``delay`` seconds and for ``inside`` seconds.

    ``dies_at`` kills the process before that item.
    """
    n, size, delay = ctx.params["n"], ctx.params.get("batch", 1), ctx.params.get("delay", 0.0)
    start = len(items(ctx.job.pk))
    ctx.progress.begin("Counting", done=start, total=n)
    for first in range(start, n, size):
        ctx.check()
        if ctx.slice_over:
            raise Again
        numbers = range(first, min(first + size, n))
        if ctx.params.get("dies_at") in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(delay)
        with ctx.batch() as batch:
            JobEvent.objects.bulk_create(JobEvent(job_id=ctx.job.pk, message=f"item {number}") for number in numbers)
            time.sleep(ctx.params.get("inside", 0.0))
            batch.done = len(numbers)
    return Counted(items=len(items(ctx.job.pk)))


def scripted(ctx: JobContext) -> dict[str, object] | None:
    """Do what ``steps`` says for this start (the last one for all later): a word, and its argument after a colon."""
    starts = ctx.cursor.get("starts", 0)
    with ctx.batch() as batch:
        batch.cursor = {"starts": starts + 1}
    steps = ctx.params["steps"]
    word, _, argument = steps[min(starts, len(steps) - 1)].partition(":")
    match word:
        case "again":
            raise Again
        case "wait":
            raise WaitUntil(float(argument), "waiting for the other side")
        case "busy":
            raise PlatformError("The platform is busy.", retryable=True, code="429", retry_after=float(argument or 0))
        case "away":
            raise PlatformError("The platform is away.", retryable=True)
        case "refused":
            raise PlatformError("The platform refused the model.", code="bad_model")
        case "failed":
            raise JobFailed("There is nothing to count; add records first.", "empty")
        case "bug":
            raise ValueError(f"unexpected, with {argument}")
        case "check":
            ctx.check()
        case "clean_up":
            try:
                ctx.check()
            except Cancelled:
                ctx.log("stopped what was started elsewhere")
                raise
        case "sleep":
            time.sleep(float(argument))
        case "overslept":
            raise SystemExit("Task exceeded maximum timeout value")
        case "cancel_and_wait":
            request_cancel(ctx.job)
            raise WaitUntil(3600, "waiting for the other side")
        case "usurped":
            put_back_stale(timezone.now() + timedelta(minutes=2))
            ctx.log("never written")
        case "unreadable":
            return {"when": object()}
    return {"starts": starts + 1}


def greedy(ctx: JobContext) -> None:
    """Never looks up; ends only when somebody else ends it."""
    ctx.log("at work")
    while True:
        time.sleep(0.05)

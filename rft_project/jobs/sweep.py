"""Puts right what a lost message, a lost worker or the passing of time left behind. Safe to run anywhere, any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Greatest
from django.utils import timezone
from django_q.models import OrmQ

from . import bell, owner
from .models import Heartbeat, Job, JobEvent, State
from .services import wake

MAX_DEATHS = 1  # a job is put back once; a second worker lost without progress in between ends it
STUCK_SECONDS = 120.0  # a message that a queue process took this long ago is taken for lost
FORGET_HEARTBEATS = timedelta(days=1)


@dataclass(frozen=True)
class Swept:
    """Numbers of jobs: woken because due, rung again because their message was lost, put back, given up."""

    due: int = 0
    lost: int = 0
    requeued: int = 0
    failed: int = 0


def sweep(now: datetime | None = None) -> Swept:
    """One round over due, lost and stale jobs. ``now`` is the clock to go by."""
    now = now or timezone.now()
    due = wake_due(now)
    lost = ring_lost(now)
    requeued, failed = put_back_stale(now)
    return Swept(due, lost, requeued, failed)


def wake_due(now: datetime) -> int:
    due = Job.objects.filter(state=State.WAITING, run_after__lte=now).values_list("pk", flat=True)
    return sum(wake(pk) for pk in list(due))


def ring_lost(now: datetime, *, stuck_seconds: float = STUCK_SECONDS) -> int:
    """Send a new message for queued jobs whose message is gone, or was taken long ago and never led to a start."""
    queue: dict[str, Any] = settings.Q_CLUSTER
    taken = queue["retry"] - stuck_seconds  # the queue locks a message it takes for ``retry`` seconds
    message = OrmQ.objects.filter(pk=OuterRef("message_id"))
    waiting = message.exclude(lock__gt=now, lock__lte=now + timedelta(seconds=taken))
    lost = Job.objects.filter(~Exists(waiting), state=State.QUEUED).values_list("pk", "message_id")
    for pk, message_id in list(lost):
        with transaction.atomic():
            if Job.objects.filter(pk=pk, state=State.QUEUED, message_id=message_id).update(version=F("version") + 1):
                bell.discard(message_id)
                bell.ring(pk)
    return len(lost)


def put_back_stale(now: datetime) -> tuple[int, int]:
    """Take jobs from workers that are gone: put back, or given up. Returns how many of each."""
    requeued = failed = 0
    for job in list(Job.objects.filter(state=State.RUNNING)):
        if not (owner.is_gone(job.lease_owner) or (job.lease_until is not None and job.lease_until < now)):
            continue
        if job.deaths < MAX_DEATHS:
            requeued += _put_back(job)
        else:
            failed += _give_up(job, now)
    return requeued, failed


def _put_back(job: Job) -> bool:
    with transaction.atomic():
        # the fence moves on, so that a worker that was only slow writes nothing any more
        back = Job.objects.held(job.pk, job.fence).update(
            state=State.QUEUED,
            fence=F("fence") + 1,
            deaths=F("deaths") + 1,
            attempts=Greatest(F("attempts") - 1, 0),  # a start that was cut short proves nothing against the job
            lease_until=None,
            version=F("version") + 1,
        )
        if back:
            bell.ring(job.pk)
            message = "The worker stopped while this was running; it goes on from where it was."
            JobEvent.objects.create(job=job, message=message, level=JobEvent.Level.WARNING)
    return bool(back)


def _give_up(job: Job, now: datetime) -> bool:
    message = "The worker stopped twice while doing this, so it was not started again; look at the log, then retry."
    with transaction.atomic():
        ended = Job.objects.held(job.pk, job.fence).update(
            state=State.FAILED,
            fence=F("fence") + 1,
            deaths=F("deaths") + 1,
            lease_until=None,
            finished_at=now,
            note="",
            error_code="worker_lost",
            error_message=message,
            version=F("version") + 1,
        )
        if ended:
            JobEvent.objects.create(job=job, message=message, level=JobEvent.Level.ERROR)
    return bool(ended)


def forget_old_heartbeats(now: datetime | None = None) -> None:
    Heartbeat.objects.filter(beat_at__lt=(now or timezone.now()) - FORGET_HEARTBEATS).delete()

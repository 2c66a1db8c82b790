"""What is running in the background: jobs, their log lines, and the sign of life of the processes that run them."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


class State(models.TextChoices):
    """Where a job stands; the labels are what people read."""

    QUEUED = "QUEUED", "Queued"
    RUNNING = "RUNNING", "Running"
    WAITING = "WAITING", "Waiting"
    SUCCEEDED = "SUCCEEDED", "Done"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Stopped"


LIVE_STATES = (State.QUEUED, State.RUNNING, State.WAITING)


class JobQuerySet(models.QuerySet["Job"]):
    def live(self) -> JobQuerySet:
        return self.filter(state__in=LIVE_STATES)

    def held(self, pk: int, fence: int) -> JobQuerySet:
        """The row as long as the holder of ``fence`` still has it: the condition of every write of a running job."""
        return self.filter(pk=pk, fence=fence, state=State.RUNNING)


class Job(models.Model):
    """One piece of background work. The row is the truth; a queue message only says "wake up, job 17".

    ::

        enqueue ──> QUEUED ──claim──> RUNNING ──result──────────────> SUCCEEDED
                     ^  ^               │ │ └──JobFailed, gave up──> FAILED ────retry──> QUEUED
                     │  └─────Again─────┘ └────Cancelled───────────> CANCELLED ─retry──> QUEUED
                     │                  │
                     └─due── WAITING <──┘ WaitUntil, or an error that may pass

    A worker that vanishes leaves RUNNING behind; the sweep puts the job back in the queue, or fails it when that
    happened before without progress in between. A job that never started is cancelled at once; any other is told
    through ``cancel_requested`` and ends itself, so that it can stop what it started elsewhere.

    ``kind`` is a key of ``settings.JOB_HANDLERS``; ``lock_key`` says what the job is about ("dataset:12:sanitize"), and
    the database allows one unfinished job per key. Domain rows point to the job, never the other way round.
    """

    kind = models.CharField(max_length=40)
    lock_key = models.CharField(max_length=200)
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    phase = models.CharField(max_length=80, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0, help_text="0 while the length is unknown")
    unit = models.CharField(max_length=40, default="records")
    note = models.CharField(max_length=300, blank=True)
    per_second = models.FloatField(null=True, help_text="measured in the slice that ran last")
    version = models.PositiveIntegerField(default=0, help_text="grows with every change a page could show")
    cursor = models.JSONField(default=dict, help_text="what the handler remembers from one slice to the next")

    result = models.JSONField(default=dict)
    error_code = models.CharField(max_length=80, blank=True)
    error_message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)

    attempts = models.PositiveSmallIntegerField(default=0, help_text="starts since the last slice that ended well")
    max_attempts = models.PositiveSmallIntegerField(default=5)
    deaths = models.PositiveSmallIntegerField(default=0, help_text="workers lost since the last progress")
    fence = models.PositiveIntegerField(default=0, help_text="number of the claim that may write")
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    run_after = models.DateTimeField(null=True)
    message_id = models.BigIntegerField(null=True, help_text="queue message that was sent last")
    cancel_requested = models.BooleanField(default=False)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["lock_key"], condition=models.Q(state__in=LIVE_STATES), name="one_unfinished_job_per_lock_key"
            )
        ]
        indexes = [models.Index(fields=["state", "run_after"], name="job_state_run_after")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.state_label})"

    @property
    def is_live(self) -> bool:
        """Not finished: a page that shows it goes on asking."""
        return self.state in LIVE_STATES

    @property
    def is_stopping(self) -> bool:
        """Asked to stop and not stopped yet."""
        return self.is_live and self.cancel_requested

    @property
    def state_label(self) -> str:
        return "Stopping" if self.is_stopping else str(State(self.state).label)

    @property
    def percent(self) -> int | None:
        """Whole percent done, 0 to 100 (100 only when all is done); None while the length is unknown."""
        if not self.total:
            return None
        return min(100, 100 * self.done // self.total)

    @property
    def rate(self) -> float | None:
        """Units per second as measured; None until something was measured."""
        return self.per_second

    @property
    def eta_seconds(self) -> int | None:
        """Seconds left at the measured rate; None when length or rate is unknown or the job is not at work."""
        if not (self.total and self.per_second and self.state in (State.QUEUED, State.RUNNING)):
            return None
        return round(max(0, self.total - self.done) / self.per_second)

    @property
    def seconds(self) -> float | None:
        """From the first start to the end, or to now; None before the first start."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()


class JobEvent(models.Model):
    """One line of a job's log; only ever added."""

    class Level(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        ERROR = "error"

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, choices=Level.choices, default=Level.INFO)
    message = models.TextField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.message


class Heartbeat(models.Model):
    """The last time a worker cluster ran something that came to it through the queue."""

    name = models.CharField(max_length=200, unique=True)
    token = models.CharField(max_length=40, blank=True, help_text="the last ping it answered")
    beat_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name

    def seconds_ago(self) -> float:
        return (timezone.now() - self.beat_at).total_seconds()


def live_job(lock_key: str) -> Job | None:
    """The unfinished job of ``lock_key``, if there is one."""
    return next(iter(Job.objects.live().filter(lock_key=lock_key)[:1]), None)  # there is one at most: no order


def as_json(result: Any) -> dict[str, Any]:
    """A handler's result as it is stored: of a pydantic model its JSON form, of None nothing.

    Raises TypeError for anything else than a pydantic model, a dict or None, or for what JSON does not know; ValueError
    for NaN and infinity, which JSON columns refuse.
    """
    if result is None:
        return {}
    if hasattr(result, "model_dump"):
        result = result.model_dump(mode="json")
    if not isinstance(result, dict):
        raise TypeError(f"a job's result must be a pydantic model or a dict, not {type(result).__name__}")
    json.dumps(result, allow_nan=False)
    return result

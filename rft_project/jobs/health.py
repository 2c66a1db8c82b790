"""Is there a worker? For /readyz and for the pages that would otherwise wait for ever."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from .models import Heartbeat, Job, State

ALIVE_SECONDS = 45.0  # more than four pings


def worker_alive() -> bool:
    """True when a worker answered through the queue, or showed life inside a job, less than 45 s ago."""
    since = timezone.now() - timedelta(seconds=ALIVE_SECONDS)
    return (
        Heartbeat.objects.filter(beat_at__gte=since).exists()
        or Job.objects.filter(state=State.RUNNING, heartbeat_at__gte=since).exists()
    )

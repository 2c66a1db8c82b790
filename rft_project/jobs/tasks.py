"""The functions the queue knows. Their arguments are ids only."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from . import runner, sweep
from .models import Heartbeat


def run(job_id: int) -> None:
    runner.run(job_id, keep_alive=True)


def ping(cluster: str, token: str) -> None:
    """Answer the watchdog: a worker of this cluster ran what came through the queue."""
    Heartbeat.objects.update_or_create(name=cluster, defaults={"token": token, "beat_at": timezone.now()})


def sweep_jobs() -> None:
    sweep.sweep()
    for dotted in settings.HOUSEKEEPING:
        import_string(dotted)()

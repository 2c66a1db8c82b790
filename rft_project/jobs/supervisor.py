"""Keeps one worker cluster at work: starts it, sweeps every second, and starts it anew when the watchdog complains."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.utils import timezone
from django_q.models import Schedule

from . import owner, sweep
from .processes import Child
from .watchdog import PATIENCE, PING_EVERY, Watchdog

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
GRACE_SECONDS = 20.0  # a slice ends at its next look; what has not ended by then goes on elsewhere
SWEEP_TASK = "rft_project.jobs.tasks.sweep_jobs"


class WorkerSupervisor:
    """``run()`` returns after SIGTERM or SIGINT; a second signal ends the cluster without waiting."""

    def __init__(
        self,
        *,
        ping_every: float = PING_EVERY,
        patience: float = PATIENCE,
        grace: float = GRACE_SECONDS,
        tick: float = TICK_SECONDS,
    ) -> None:
        self.ping_every = ping_every
        self.patience = patience
        self.grace = grace
        self.tick = tick
        manage = Path(settings.BASE_DIR) / "manage.py"
        self._child = Child("The worker cluster", [sys.executable, str(manage), "run_worker", "--cluster"])
        self._watchdog: Watchdog | None = None
        self._stop = threading.Event()
        self._hurry = threading.Event()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._child.start()
        self._adopt()
        while not self._stop.wait(self.tick):
            try:
                close_old_connections()
                self._look()
            except DatabaseError:
                logger.exception("the database did not answer; looking again in %g s", self.tick)
                connection.close()
        self._end()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    def _adopt(self) -> None:
        """A new cluster runs: watch it under its own name."""
        self._watchdog = Watchdog(
            owner.cluster_name(self._child.pid), ping_every=self.ping_every, patience=self.patience
        )
        self._fresh = True

    def _look(self) -> None:
        assert self._watchdog is not None
        if self._fresh:
            schedule_sweep()
            sweep.ring_lost(timezone.now(), stuck_seconds=0)  # what an earlier cluster took and did not start
            sweep.forget_old_heartbeats()
            self._fresh = False
        if self._child.revive():
            self._watchdog.forget()
            self._adopt()
            return
        sweep.sweep()
        complaint = self._watchdog.complaint() if self._child.is_running() else None
        if complaint:
            logger.error("The worker cluster does not work (%s); it is started anew.", complaint)
            self._child.kill()

    def _end(self) -> None:
        self._child.terminate()
        ends_at = time.monotonic() + self.grace
        while not self._child.wait(0.1) and time.monotonic() < ends_at and not self._hurry.is_set():
            pass
        self._child.kill()
        try:
            if self._watchdog is not None:
                self._watchdog.forget()
        except DatabaseError:
            logger.warning("the database did not answer while the worker stopped")


def schedule_sweep() -> None:
    """One schedule row, so that a sweep comes every minute even from a cluster without this supervisor."""
    with transaction.atomic():
        rows = Schedule.objects.filter(func=SWEEP_TASK)
        first = rows.first()
        if first is None:
            Schedule.objects.create(name="Sweep of background jobs", func=SWEEP_TASK, schedule_type=Schedule.MINUTES)
        else:
            rows.exclude(pk=first.pk).delete()

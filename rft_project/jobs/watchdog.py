"""Tells a cluster that works from one that only looks alive.

django-q2 can stop in silence (one killed idle worker takes the queue's lock with it), and can run tasks without ever
acknowledging them (a killed monitor). So a ping goes through the queue: it must run, and its message must go away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django_q.models import OrmQ

from . import bell
from .lease import BEAT_SECONDS
from .models import Heartbeat, Job, State

PING_EVERY = 10.0  # seconds
PATIENCE = 20.0  # seconds a ping may wait while no worker of the cluster is busy; usual is 0.2
START_SECONDS = 40.0  # the first ping also waits for the cluster's processes to start, slow on a busy machine
ACKNOWLEDGE = 3  # times the patience: a database that is busy writing delays the acknowledgement of healthy work


@dataclass
class Ping:
    token: str
    message_id: int
    waits_since: float
    ran_since: float | None = None


class Watchdog:
    """Watches the cluster called ``name``; :meth:`complaint` is asked about once a second."""

    def __init__(self, name: str, *, ping_every: float = PING_EVERY, patience: float = PATIENCE) -> None:
        self.name = name
        self.ping_every = ping_every
        self.patience = patience
        self._ping: Ping | None = None
        self._answered = False
        self._answered_at = float("-inf")

    def complaint(self) -> str | None:
        """Why the cluster has to be started anew; None while it works or may still answer."""
        now = time.monotonic()
        if self._ping is None:
            if now - self._answered_at >= self.ping_every:
                token, message_id = bell.ping(self.name)
                self._ping = Ping(token, message_id, now)
            return None
        ping = self._ping
        if ping.ran_since is None and Heartbeat.objects.filter(name=self.name, token=ping.token).exists():
            ping.ran_since = now
        if ping.ran_since is not None:
            return self._acknowledged(ping, now)
        if self._is_busy():
            ping.waits_since = now
        patience = self.patience if self._answered else START_SECONDS
        if now - ping.waits_since > patience:
            return f"no worker took a message for {patience:g} s"
        return None

    def _acknowledged(self, ping: Ping, now: float) -> str | None:
        if not OrmQ.objects.filter(pk=ping.message_id).exists():
            self._ping, self._answered, self._answered_at = None, True, now
            return None
        assert ping.ran_since is not None
        patience = ACKNOWLEDGE * self.patience
        if now - ping.ran_since > patience:
            return f"a finished message was not acknowledged for {patience:g} s"
        return None

    def _is_busy(self) -> bool:
        """A worker of this cluster is inside a job and renews its lease, so messages may well wait."""
        since = timezone.now() - timedelta(seconds=2 * BEAT_SECONDS)
        mine = Job.objects.filter(state=State.RUNNING, lease_owner__startswith=f"{self.name}/")
        return mine.filter(heartbeat_at__gte=since).exists()

    def forget(self) -> None:
        """The cluster is gone: take back the open ping and its sign of life."""
        if self._ping is not None:
            bell.discard(self._ping.message_id)
        Heartbeat.objects.filter(name=self.name).delete()

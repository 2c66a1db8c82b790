"""The django-q2 cluster of one worker host, as a process that ends its slices early when it is told to stop."""

from __future__ import annotations

import os
import signal
from types import FrameType

from django.db import connections
from django_q.cluster import Cluster

from . import shutdown

LOOK_SECONDS = 0.5


class StudioCluster(Cluster):
    """On SIGTERM the workers hear of it (see ``shutdown``) before the cluster waits for them."""

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        shutdown.begin()
        super().sig_handler(signum, frame)


def serve() -> int:
    """Run the cluster until it is told to stop, or until its supervisor is gone. Returns the exit status."""
    parent = os.getppid()
    connections.close_all()  # nothing open may be shared with the processes forked below
    cluster = StudioCluster()
    cluster.start()
    sentinel = cluster.sentinel
    while sentinel.is_alive():
        sentinel.join(LOOK_SECONDS)
        if os.getppid() != parent and not shutdown.requested():
            os.kill(os.getpid(), signal.SIGTERM)
    return 0 if shutdown.requested() else 1

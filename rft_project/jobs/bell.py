"""The bell: a django-q2 message that tells a worker to look at one job. Only this module knows which queue it is."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task

from .models import Job

RUN_TASK = "rft_project.jobs.tasks.run"
PING_TASK = "rft_project.jobs.tasks.ping"


class RecordingBroker(ORM):
    """The database broker, remembering the row it wrote: a message that is gone can then be noticed."""

    message_id: int

    def enqueue(self, task: Any) -> int:
        self.message_id = super().enqueue(task)
        return self.message_id


def _send(function: str, *args: Any) -> int:
    broker = RecordingBroker(list_key=Conf.CLUSTER_NAME)
    async_task(function, *args, broker=broker)
    return broker.message_id


def ring(job_id: int) -> None:
    """Send a message for the job and note its number. Call it inside the transaction that made the job QUEUED.

    Message and job row commit together or not at all (same database), so neither exists without the other.
    """
    with transaction.atomic():
        Job.objects.filter(pk=job_id).update(message_id=_send(RUN_TASK, job_id))


def ping(cluster: str) -> tuple[str, int]:
    """Send a ping that a worker answers in the :class:`Heartbeat` named ``cluster``: its token and message number."""
    token = uuid.uuid4().hex
    with transaction.atomic():
        return token, _send(PING_TASK, cluster, token)


def discard(message_id: int | None) -> None:
    """Take a message out of the queue, if it is still there."""
    if message_id is not None:
        OrmQ.objects.filter(pk=message_id).delete()

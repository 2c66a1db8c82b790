"""What a platform's webhook does: the training job it is about is looked at now. Polling stays the truth."""

from __future__ import annotations

from rft_project.connections import hooks
from rft_project.connections.models import Connection
from rft_project.jobs.services import wake
from rft_project.platforms.openai_webhooks import JOB_EVENTS, Notice

from . import flow
from .models import StepResult


def take(connection: Connection, notice: Notice) -> None:
    """Wake the jobs that wait for the platform's job, unless the message came before."""
    if notice.kind not in JOB_EVENTS or not notice.subject or not hooks.first(connection, notice):
        return
    trained = StepResult.objects.filter(step=flow.TRAIN, run__workspace=connection.workspace_id)
    for job in trained.filter(run__training_handle=notice.subject, job__isnull=False).values_list("job", flat=True):
        wake(job)

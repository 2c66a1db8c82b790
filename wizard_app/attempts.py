"""Attempts at training: what became of the last one, and what the tuned model came from.

Nothing is started while the platform may be at work on an earlier attempt, or have finished it unseen.
"""

from __future__ import annotations

from enum import Enum

from rft_project.connections.services import platform_for
from rft_project.jobs.models import Job
from rft_project.jobs.models import State as JobState
from rft_project.ledger import services as ledger
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import Handle, State

from . import flow
from .models import RFTJob
from .schemas import TrainParams


def as_trained(run: RFTJob) -> RFTJob:
    """``run`` with the connection and base model of its training; a later dry run may have chosen others.

    For reading and calling only: these two must not be saved.
    """
    result = run.steps.filter(step=flow.TRAIN).first()
    params = TrainParams.model_validate(result.params) if result is not None else TrainParams()
    if params.connection and params.connection != str(run.connection_id):
        run.connection = run.workspace.connections.filter(pk=params.connection).first()
    run.base_model = params.model or run.base_model
    return run


def handle_of(run: RFTJob, platform: Platform) -> Handle | None:
    """The platform's job of the run's key: also one whose answer was lost with a worker. Raises PlatformError, and
    Unknown while the platform's list may not show a job that was started."""
    if run.training_handle or not run.training_key:
        return Handle(id=run.training_handle) if run.training_handle else None
    made = ledger.made(run.training_key, ledger.START)
    if made:
        return Handle(id=made)
    found = platform.find_training(run.training_key)
    if found is None:
        ledger.refuse_unsettled(run.platform_connection, run.training_key, ledger.START)
    return found


class Earlier(Enum):
    """What became of an attempt whose job ended without a result."""

    NONE = "none"  # the platform knows of none: its key may be used again
    FOLLOW = "follow"  # it is at work or has a model: look in on it again
    OVER = "over"  # it ended, was stopped or is gone


def earlier(run: RFTJob, job: Job) -> Earlier:
    """Asks the platform about the attempt of ``job``. One that a person stopped is stopped there too, should it still
    run, and not followed. Raises PlatformError."""
    run = as_trained(RFTJob.objects.get(pk=run.pk))
    if not run.training_key or run.connection is None:
        return Earlier.NONE
    platform = platform_for(run.connection)
    try:
        handle = handle_of(run, platform)
        if handle is None:
            return Earlier.NONE
        state = platform.training(handle).state
    except PlatformError as error:
        if error.status == 404:
            return Earlier.OVER
        raise
    if job.state == JobState.CANCELLED:
        if not state.final:
            platform.cancel_training(handle)
        return Earlier.OVER
    return Earlier.FOLLOW if state is State.SUCCEEDED or not state.final else Earlier.OVER

"""A training held where it is by a person, and let go on. Its job goes on looking; a cap holds it in its own way."""

from __future__ import annotations

from typing import Any

from rft_project.connections.models import AuditEntry
from rft_project.connections.services import platform_for
from rft_project.jobs.services import wake
from rft_project.platforms.base import Platform
from rft_project.platforms.types import Handle

from . import flow
from .attempts import as_trained
from .models import RFTJob
from .services import Refused


def pause(run: RFTJob, *, by: Any) -> None:
    """Pressing twice pauses once. Raises Refused, and PlatformError where the platform can't or not yet."""
    platform, handle = _at_work(run)
    platform.pause_training(handle)
    _told(run, "pause training", by)


def go_on(run: RFTJob, *, by: Any) -> None:
    """Pressing twice resumes once. Raises Refused and PlatformError."""
    platform, handle = _at_work(run)
    platform.resume_training(handle)
    _told(run, "resume training", by)


def _at_work(run: RFTJob) -> tuple[Platform, Handle]:
    job, run = flow.state_of(run, flow.TRAIN).job, as_trained(run)
    if job is None or not job.is_live or not run.training_handle:
        raise Refused("No training of this run is under way at its platform.")
    return platform_for(run.platform_connection), Handle(id=run.training_handle)


def _told(run: RFTJob, action: str, by: Any) -> None:
    AuditEntry.write(action, run, workspace=run.workspace, actor=by)
    job = flow.state_of(run, flow.TRAIN).job
    if job is not None:
        wake(job.pk)

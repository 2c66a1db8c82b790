"""The port: what the product needs from any platform. Adapters return values and never save anything."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from .errors import PlatformError
from .journal import UNKEPT, Journal
from .pacing import Pace
from .types import (
    Capabilities,
    Checkpoint,
    DeploymentStatus,
    DeployRequest,
    EventPage,
    Handle,
    Sample,
    SampleRequest,
    TrainingRequest,
    TrainingStatus,
)


class Platform(Protocol):
    """Every method raises :class:`~rft_project.platforms.errors.PlatformError` and nothing else."""

    kind: ClassVar[str]
    label: ClassVar[str]
    credentials: ClassVar[type[BaseModel]]
    pace: Pace

    def capabilities(self) -> Capabilities:
        """Models, grader kinds and limits; may call the platform."""

    def check(self) -> None:
        """One cheap real call that proves the credentials work."""

    def sample(self, request: SampleRequest) -> Sample: ...

    def embed(self, texts: list[str], model: str = "") -> list[list[float]]: ...

    def start_training(self, request: TrainingRequest, journal: Journal = UNKEPT) -> Handle:
        """Start a job, or find the one already started with ``request.key``.

        Uploads and the start go through ``journal``. Raises Unknown while it cannot be told whether an earlier call
        took effect: wait, then call it again.
        """

    def find_training(self, key: str) -> Handle | None:
        """The job an earlier start with this key made, if the platform knows one."""

    def training(self, handle: Handle) -> TrainingStatus: ...

    def events(self, handle: Handle, after: str | None = None) -> EventPage: ...

    def checkpoints(self, handle: Handle) -> list[Checkpoint]: ...

    def cancel_training(self, handle: Handle) -> None:
        """Idempotent."""

    def pause_training(self, handle: Handle) -> None:
        """Idempotent. Raises NotSupported where ``Capabilities.pause`` is false."""

    def resume_training(self, handle: Handle) -> None:
        """Idempotent. Raises NotSupported where ``Capabilities.pause`` is false."""

    def deploy(self, request: DeployRequest, journal: Journal = UNKEPT) -> Handle:
        """Make a tuned model callable, or find the deployment already asked for with ``request.key``. It may take
        minutes until ``deployment`` says SUCCEEDED. Raises Unknown as ``start_training`` does."""

    def deployment(self, handle: Handle) -> DeploymentStatus: ...

    def undeploy(self, handle: Handle) -> None:
        """Idempotent."""

    def promote(self, handle: Handle, model: str) -> None:
        """Put ``model`` behind an existing deployment; a roll-back is the same with the model before. Idempotent.
        Raises NotSupported where ``Capabilities.promote`` is false."""


@runtime_checkable
class CleansUp(Platform, Protocol):
    """A platform where a training leaves things in the customer's own account, beside the model."""

    def clean_up(self, key: str) -> list[str]:
        """Delete what the training with this key left, its model excepted; returns what was deleted, in words.
        Idempotent. Raises PlatformError while it is at work."""


def refuse_at_work(platform: Platform, key: str) -> None:
    """Raises PlatformError while the training of ``key`` is at work."""
    found = platform.find_training(key)
    if found is not None:
        refuse_unfinished(platform, found)


def refuse_unfinished(platform: Platform, handle: Handle) -> None:
    """Raises PlatformError while this training is at work."""
    if not platform.training(handle).state.final:
        raise PlatformError("The training is still at work; cancel it or wait, then clean up.", status=409)

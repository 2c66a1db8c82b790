"""What the engine's store hands out: plain frozen records. Times are epoch seconds."""

from __future__ import annotations

from dataclasses import dataclass

from rft_project.platforms.types import JsonDict

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "queued", "running", "succeeded", "failed", "cancelled"


@dataclass(frozen=True, slots=True)
class FileRecord:
    id: str
    created_at: int
    filename: str
    purpose: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """``error`` is ``{"code", "message", "param"}``; ``number`` counts up in the order of creation."""

    number: int
    id: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    status: str
    model: str
    fine_tuned_model: str | None
    training_file: str
    validation_file: str
    suffix: str
    seed: int
    metadata: dict[str, str]
    method: JsonDict
    error: JsonDict | None
    step: int | None
    total_steps: int | None

    @property
    def final(self) -> bool:
        return self.status in (SUCCEEDED, FAILED, CANCELLED)

    @property
    def tuned_id(self) -> str:
        """Id of the model this job makes."""
        return f"ft:{self.model}:{self.suffix}:{self.id.removeprefix('ftjob-')}"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a client asks for, already checked."""

    model: str
    training_file: str
    validation_file: str
    suffix: str
    seed: int
    metadata: dict[str, str]
    method: JsonDict


@dataclass(frozen=True, slots=True)
class Event:
    """``type`` is "message" or "metrics"; the id of a step's metrics is the same however often the step is run."""

    number: int
    id: str
    created_at: float
    level: str
    type: str
    message: str
    data: JsonDict | None


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """``model`` is the id under which it answers; its weights lie in ``Store.checkpoint_folder(job, step)``."""

    id: str
    job: str
    step: int
    created_at: int
    model: str
    metrics: dict[str, float]

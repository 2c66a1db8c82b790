"""Parameters and summaries of the steps, as they lie in JSON columns. Written with ``extra="forbid"``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from wizard_app.core.diagnosis import Diagnosis
from wizard_app.core.outcome import Outcome
from wizard_app.core.splitting import DEFAULT_RATIO, MIN_VALIDATION, SplitReport
from wizard_app.core.statistics import DryRunSummary


class Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitParams(Stored):
    ratio: float = Field(DEFAULT_RATIO, gt=0.0, lt=1.0)
    stratify: bool = True
    generated_in_validation: bool = False
    min_validation: int = Field(MIN_VALIDATION, ge=1)
    seed: int = Field(0, ge=0)


class SplitSummary(Stored):
    report: SplitReport
    content_hash: str


class GraderParams(Stored):
    grader: int


class GraderSummary(Stored):
    """``missing``: fields the grader reads -> records of the snapshot that lack them."""

    name: str
    type: str
    reads: list[str]
    missing: dict[str, int] = {}
    records: int = 0


class FooledBy(Stored):
    """One cheat: ``tried`` answers with a mean score, and the one that earned most. ``fooled``: see core.attacks."""

    slug: str
    title: str
    trick: str
    tried: int
    mean: float
    fooled: bool
    components: dict[str, float] = {}
    fooled_components: list[str] = []
    prompt: str
    answer: str
    reward: float


class AttackSummary(Stored):
    """``honest``: mean score of the logged answers; ``length`` and ``format``: what their scores go along with."""

    sentence: str
    honest: float | None
    honest_count: int
    length: float | None
    format: float | None
    errors: int
    cheats: list[FooledBy]


class RepeatsSummary(Stored):
    spread: float
    answers: int


class DryRunParams(Stored):
    """``size`` prompts, ``answers`` from the base model to each. ``max_tokens`` None: from the references' lengths."""

    connection: str
    model: str
    size: int = Field(100, ge=1, le=5000)
    answers: int = Field(4, ge=1, le=64)
    temperature: float = Field(1.0, ge=0.0, le=2.0)
    max_tokens: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    from_list: bool = False  # the model chooses its answer from the references
    reasoning_effort: str = ""  # '' is the model's own way; training and comparison ask with the same
    response_format: dict[str, Any] | None = None  # likewise the form an answer must have
    override: str = Field("", max_length=300)  # reason why training may start in spite of a NO-GO


class DryRunResult(Stored):
    summary: DryRunSummary
    diagnosis: Diagnosis
    sampling_key: str
    prompts_asked: int
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class TrainParams(Stored):
    """``connection`` and ``model`` are the base model's, as the dry run had chosen them when training started; so are
    ``reasoning_effort`` and ``response_format``."""

    connection: str = ""
    model: str = ""
    hyperparameters: dict[str, Any] = {}
    options: dict[str, Any] = {}  # by the names of the model's own, such as Azure's training type
    reasoning_effort: str = ""
    response_format: dict[str, Any] | None = None
    seed: int = Field(0, ge=0)
    suffix: str = Field("", max_length=40, pattern=r"^[A-Za-z0-9_-]*$")


class TrainResult(Stored):
    model: str
    steps: int
    detail: str = ""
    best_valid_reward: float | None = None
    first_valid_reward: float | None = None
    seconds: float = 0.0


class DeployResult(Stored):
    model: str
    called: str


class ResultsSummary(Stored):
    """Base and tuned model on the same frozen validation prompts, greedy, with the same grader."""

    outcome: Outcome
    base_key: str
    tuned_key: str
    ungraded: int = 0
    finished: datetime | None = None

"""What the engine's server asks of a model, and what a trainer promises. No Django, no torch at import time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rft_project.platforms.types import JsonDict, Message

#: Grades one batch: ``[(sample, item), …]`` -> one GradedAnswer each, in order.
Grade = Callable[[Sequence[tuple[JsonDict, JsonDict]]], "list[GradedAnswer]"]


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """``reward`` in 0..1 (0.0 where the grader failed, with ``error`` set); ``components`` of a multi grader."""

    reward: float
    components: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. ``tokens`` counts the generated tokens, the end token included."""

    text: str
    tokens: int
    finish_reason: str = "stop"  # or "length"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request for ``n`` answers. ``allowed`` is the list of allowed answers, for models that need one."""

    messages: Sequence[Message]
    n: int = 1
    temperature: float = 1.0
    max_tokens: int = 24
    allowed: tuple[str, ...] = ()


class Policy(Protocol):
    """A model in memory. Not thread-safe: the server calls it from one thread."""

    id: str

    def generate(self, prompts: Sequence[Prompt], *, seed: int | None = None) -> list[list[Completion]]:
        """Answers per prompt, in order; prompts of one call are decoded together.

        Raises ValueError with a sentence where a prompt cannot be answered (too long, no allowed answers).
        """

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Everything a trainer needs; rows are ``{"messages": […], **item fields}``.

    ``directory`` is the trainer's own: checkpoints go to ``directory/checkpoints/step-<n>`` and whatever it needs to
    go on after a ``kill -9`` to ``directory/resume``. Starting a trainer on a directory with a resume state continues.
    """

    directory: Path
    model: str
    train_rows: list[JsonDict]
    valid_rows: list[JsonDict]
    hyperparameters: JsonDict
    seed: int = 0
    allowed_answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepReport:
    """One training step (``step`` 0 is the validation before training). Rewards are means in 0..1.

    ``flat_share``: share of prompts whose answers all scored the same (no signal); ``entropy``: mean token entropy in
    nat (0.0 where it has no meaning); ``checkpoint``: path of the checkpoint written at this step.
    """

    step: int
    total_steps: int
    train_reward: float | None = None
    valid_reward: float | None = None
    components: dict[str, float] = field(default_factory=dict)
    flat_share: float | None = None
    entropy: float | None = None
    answer_tokens: float | None = None
    seconds: float = 0.0
    errors: int = 0
    checkpoint: Path | None = None
    message: str = ""
    level: str = "info"


class PolicyCollapsed(Exception):
    """Training was stopped because the answers became all alike; the text says so to people."""


class Trainer(Protocol):
    """Runs one job; yields a report per step. The caller may stop iterating at any time (cancel)."""

    def train(self, job: TrainingJob, grade: Grade) -> Iterator[StepReport]: ...


def best_checkpoint(reports: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The checkpoint with the highest validation reward; the earliest of equals (it moved least from the base)."""
    scored = [r for r in reports if r.get("valid_reward") is not None]
    return max(scored, key=lambda r: (r["valid_reward"], -r["step"])) if scored else None

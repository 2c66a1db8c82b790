"""Hyperparameters of the built-in GRPO trainer: what the app shows, and the checked values a run uses. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rft_project.engine.hyperparameters import ANSWERS_PER_PROMPT, PROMPTS_PER_STEP, checked, eval_interval
from rft_project.platforms.types import Bound

#: Defaults are the ones that learned on a CPU; see the notes at each. Order is the order of the form.
HYPERPARAMETERS: dict[str, Bound] = {
    "steps": Bound(
        default=40,
        minimum=1,
        maximum=5000,
        integer=True,
        label="Steps",
        help="How many times the model answers a batch of prompts and is updated once.",
    ),
    "learning_rate": Bound(
        default=2e-4,
        minimum=1e-6,
        maximum=1e-2,
        label="Learning rate",
        help="Size of each update; above 0.0005 small models tend to collapse onto one answer.",
    ),
    "prompts_per_step": PROMPTS_PER_STEP,
    "answers_per_prompt": ANSWERS_PER_PROMPT,
    "max_answer_tokens": Bound(
        default=16,
        minimum=1,
        maximum=512,
        integer=True,
        label="Longest answer (tokens)",
        help="Answers are cut here; training time grows with it.",
    ),
    "temperature": Bound(
        default=1.0,
        minimum=0.1,
        maximum=2.0,
        label="Sampling temperature",
        help="How varied the sampled answers are; 1.0 samples from the model as it is.",
    ),
    "entropy_bonus": Bound(
        default=0.02,
        minimum=0.0,
        maximum=0.2,
        label="Entropy bonus",
        help="Small reward for staying undecided; it keeps the answers from becoming all alike. 0 turns it off.",
    ),
    "entropy_target": Bound(
        default=0.4,
        minimum=0.0,
        maximum=5.0,
        label="Entropy target (nat)",
        help="The entropy bonus acts only while the mean token entropy is below this.",
    ),
    "lora_rank": Bound(
        default=16,
        minimum=1,
        maximum=128,
        integer=True,
        label="LoRA rank",
        help="Size of the adapter that is trained; the model's own weights stay as they are.",
    ),
    "eval_interval": eval_interval(10),
}

#: Not shown: fixed by the measurements behind the defaults.
WARMUP_STEPS = 3
GRADIENT_CLIP = 1.0
LORA_ALPHA_PER_RANK = 2.0
#: Rewards of a group that differ by less are equal.
FLAT_SPREAD = 1e-6
ADAM_BETAS = (0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked hyperparameters of one run; units and ranges as in ``HYPERPARAMETERS``."""

    steps: int
    learning_rate: float
    prompts_per_step: int
    answers_per_prompt: int
    max_answer_tokens: int
    temperature: float
    entropy_bonus: float
    entropy_target: float
    lora_rank: int
    eval_interval: int


def is_flat(rewards: Sequence[float]) -> bool:
    """Whether the answers to one prompt all scored the same, so that none is to be preferred."""
    return max(rewards) - min(rewards) <= FLAT_SPREAD


def parse(values: Mapping[str, Any]) -> Settings:
    """Settings of a run. Missing, ``None`` and ``"auto"`` mean the default.

    Raises ValueError as :func:`rft_project.engine.hyperparameters.checked` does.
    """
    return Settings(**checked(HYPERPARAMETERS, values))

"""Hyperparameters that every built-in model has, and the check of a job's values against a model's bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rft_project.platforms.types import Bound

PROMPTS_PER_STEP = Bound(
    default=12,
    minimum=1,
    maximum=512,
    integer=True,
    label="Prompts per step",
    help="Different training prompts answered in each step.",
)
ANSWERS_PER_PROMPT = Bound(
    default=8,
    minimum=2,
    maximum=64,
    integer=True,
    label="Answers per prompt",
    help="Answers sampled for each prompt and compared with each other; the better ones are made more likely.",
)


def eval_interval(default: int) -> Bound:
    """Steps between two evaluations; what a step costs decides on the default."""
    return Bound(
        default=default,
        minimum=1,
        maximum=1000,
        integer=True,
        label="Evaluation interval (steps)",
        help="The validation prompts are answered, and a checkpoint is kept, every so many steps.",
    )


def checked(bounds: Mapping[str, Bound], values: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every name in ``bounds``; missing, ``None`` and ``"auto"`` mean the default.

    Raises ValueError with one sentence on an unknown name, a value of the wrong kind, or one out of its bounds.
    """
    unknown = sorted(str(name) for name in set(values) - set(bounds))
    if unknown:
        raise ValueError(f"There is no hyperparameter “{unknown[0]}” here; known are {', '.join(bounds)}.")
    return {name: _value(name, bound, values.get(name)) for name, bound in bounds.items()}


def _value(name: str, bound: Bound, value: Any) -> Any:
    if value is None or value == "auto":
        return bound.default
    if bound.choices:
        if value not in bound.choices:
            raise ValueError(f"Hyperparameter “{name}” must be one of {', '.join(bound.choices)}, not {value!r}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"Hyperparameter “{name}” must be a number, not {value!r}.")
    low, high = bound.minimum, bound.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"Hyperparameter “{name}” must be {_range(low, high)}, not {value!r}.")
    if bound.integer and value != int(value):
        raise ValueError(f"Hyperparameter “{name}” must be a whole number, not {value!r}.")
    return int(value) if bound.integer else float(value)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"

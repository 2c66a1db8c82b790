"""What work may cost, as a range with the assumptions behind it. Pure arithmetic: no database, no platform.

Training follows the billing guide's sum: ``hours = (steps x seconds of a step) / 3600``, ``cost = hours x price``, and
the judge's tokens beside it. What nobody knows before the start (the platform's own choice of the batch, how long a
step takes) is a range that is said; the run's own first steps replace it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from .prices import ModelPrice

#: Assumed where the platform chooses for itself.
BATCH, EPOCHS = (8, 32), (1, 3)
#: Seconds of a step: the guide's example run took 731 s with 501 answers a step; small jobs take about a minute.
STEP_SECONDS = (60.0, 731.0)
#: Steps of its own after which a run is its own measure, and how far the rest may differ from them.
MEASURED, MARGIN = 3, 0.25


@dataclass(frozen=True, slots=True)
class Range:
    """``usd`` None: a price that is needed is not known. ``assumptions`` are sentences with their numbers."""

    usd: tuple[float, float] | None
    tokens: tuple[int, int] = (0, 0)
    hours: tuple[float, float] = (0.0, 0.0)
    assumptions: list[str] = field(default_factory=list)

    @property
    def free(self) -> bool:
        return self.usd == (0.0, 0.0)

    def __add__(self, other: Range) -> Range:
        usd = None
        if self.usd is not None and other.usd is not None:
            usd = (self.usd[0] + other.usd[0], self.usd[1] + other.usd[1])
        return Range(
            usd,
            (self.tokens[0] + other.tokens[0], self.tokens[1] + other.tokens[1]),
            (self.hours[0] + other.hours[0], self.hours[1] + other.hours[1]),
            [*self.assumptions, *other.assumptions],
        )


def of_calls(price: ModelPrice, calls: int, given: tuple[float, float], got: tuple[float, float], what: str) -> Range:
    """``calls`` calls of ``what``, each with so many tokens in and out, least and most."""
    low, high = (price.tokens(calls * i, calls * o) for i, o in zip(given, got, strict=True))
    said = f"{calls:,} {what}, each {_span(given)} tokens in and {_span(got)} out."
    return Range(
        None if low is None or high is None else (low, high),
        (round(calls * (given[0] + got[0])), round(calls * (given[1] + got[1]))),
        assumptions=[said] if calls else [],
    )


def of_training(price: ModelPrice, rows: int, hyperparameters: dict[str, Any]) -> Range:
    """A training before it has begun."""
    batch, batch_said = _chosen(hyperparameters.get("batch_size", hyperparameters.get("batchSize")), BATCH)
    epochs, epochs_said = _chosen(hyperparameters.get("n_epochs", hyperparameters.get("epochCount")), EPOCHS)
    steps = (ceil(rows / batch[1]) * epochs[0], ceil(rows / batch[0]) * epochs[1])
    hours = (steps[0] * STEP_SECONDS[0] / 3600, steps[1] * STEP_SECONDS[1] / 3600)
    return Range(
        _by_hour(price, hours),
        hours=hours,
        assumptions=[
            f"{rows:,} prompts, {_span(batch)} in a step{batch_said}, {_span(epochs)} times over{epochs_said}: "
            f"{_span(steps)} steps.",
            f"A step takes {STEP_SECONDS[0]:.0f} to {STEP_SECONDS[1]:.0f} seconds (OpenAI's example run took 731); the "
            "first steps will show how long it takes here.",
        ],
    )


def of_running(price: ModelPrice, seconds: Sequence[float], total_steps: int) -> Range | None:
    """A training that has done some steps; None until it is its own measure."""
    if len(seconds) < MEASURED or total_steps < len(seconds):
        return None
    done, mean = sum(seconds), sum(seconds) / len(seconds)
    left = (total_steps - len(seconds)) * mean
    hours = ((done + left * (1 - MARGIN)) / 3600, (done + left * (1 + MARGIN)) / 3600)
    said = f"{len(seconds):,} of {total_steps:,} steps took {mean:.0f} seconds each; the rest within a quarter of that."
    return Range(_by_hour(price, hours), hours=hours, assumptions=[said])


def _by_hour(price: ModelPrice, hours: tuple[float, float]) -> tuple[float, float] | None:
    rate = price.training_hour
    return None if rate is None else (hours[0] * rate, hours[1] * rate)


def _chosen(value: Any, usual: tuple[int, int]) -> tuple[tuple[int, int], str]:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return usual, " (the platform chooses)"
    return (max(1, number),) * 2, ""


def _span(ends: tuple[float, float]) -> str:
    low, high = round(ends[0]), round(ends[1])
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

"""Reading a reward curve while it grows: warnings with their numbers, and the time left as a range. No I/O.

A curve is ``{series name: [(step, value), …]}`` with the series names of the platform port: ``train_reward``,
``valid_reward``, ``flat_share``, ``entropy``, ``answer_tokens``, ``reward:<component>``,
``observed_reward:<component>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

Series = Sequence[tuple[int, float]]
Curve = Mapping[str, Series]
Slug = Literal["overfitting", "stalled", "gap", "length_drift", "reward_hacking", "collapse"]

VALID_FALL = 0.05  # from its best, over two validation points at least
STALL_STEPS = 20  # training points in which nothing moved
STALL_CHANGE = 0.01  # between the means of their halves
DONE_REWARD = 0.95  # a curve this high is not stalled, it is finished
GAP = 0.10  # train above valid
RECENT = 5  # points a current level is averaged over
LENGTH_FACTOR = 1.5  # answers this many times longer or shorter than at the start
COMPONENT_MOVE = 0.05  # rise of one component and fall of another
FLAT_SHARE = 0.9  # of groups whose answers all get one reward
FLAT_STEPS = 5
COMPONENT = "reward:"
OBSERVED = "observed_reward:"  # of the same, where the platform tells none and the grader's log does


class CurveWarning(NamedTuple):
    """``sentence`` says what is seen and what it means; ``step`` is the last step looked at."""

    slug: Slug
    sentence: str
    step: int


class Eta(NamedTuple):
    """Seconds left, at best and at worst."""

    low: float
    high: float

    @property
    def sentence(self) -> str:
        low, high = _duration(self.low), _duration(self.high)
        return f"about {high} left" if low == high else f"{low} to {high} left"


def warnings(curve: Curve) -> list[CurveWarning]:
    """What is worth a person's attention now; empty while there are too few points to tell."""
    rules: list[Callable[[Curve], CurveWarning | None]] = [_overfitting, _stalled, _gap, _length, _hacking, _collapse]
    return [found for found in (rule(curve) for rule in rules) if found is not None]


def eta(step: int, total: int, seconds_per_step: Sequence[float]) -> Eta | None:
    """Time left from the recent steps' durations in seconds; ``None`` before three are known or when nothing is left.

    The range is the quartiles of the last 20 durations times the steps left, at least 10 % to either side, because
    steps to come are not the steps that were.
    """
    left = total - step
    recent = [value for value in seconds_per_step if value > 0][-20:]
    if left <= 0 or len(recent) < 3:
        return None
    low, middle, high = (float(value) for value in np.percentile(recent, [25, 50, 75]))
    return Eta(left * min(low, 0.9 * middle), left * max(high, 1.1 * middle))


def components(curve: Curve) -> dict[str, list[tuple[int, float]]]:
    """Points of each part of the grader by its name: the platform's, else what the grader itself logged."""
    prefix = COMPONENT if any(name.startswith(COMPONENT) for name in curve) else OBSERVED
    return {name.removeprefix(prefix): _series(curve, name) for name in curve if name.startswith(prefix)}


def _series(curve: Curve, name: str) -> list[tuple[int, float]]:
    return sorted(curve.get(name, ()))


def _mean(points: Sequence[tuple[int, float]]) -> float:
    return sum(value for _, value in points) / len(points)


def _overfitting(curve: Curve) -> CurveWarning | None:
    """At least two validation points after the best one, the last clearly under it and not on its way up."""
    valid = _series(curve, "valid_reward")
    if len(valid) < 3:
        return None
    best = max(range(len(valid)), key=lambda i: valid[i][1])
    last = valid[-1]
    if len(valid) - 1 - best < 2 or valid[best][1] - last[1] < VALID_FALL or last[1] > valid[-2][1]:
        return None
    sentence = (
        f"Validation reward fell from {valid[best][1]:.2f} at step {valid[best][0]} "
        f"to {last[1]:.2f} at step {last[0]}: the model overfits, use the earlier checkpoint."
    )
    return CurveWarning("overfitting", sentence, last[0])


def _stalled(curve: Curve) -> CurveWarning | None:
    train = _series(curve, "train_reward")[-STALL_STEPS:]
    if len(train) < STALL_STEPS:
        return None
    early, late = _mean(train[: STALL_STEPS // 2]), _mean(train[STALL_STEPS // 2 :])
    if abs(late - early) >= STALL_CHANGE or late >= DONE_REWARD:
        return None
    sentence = f"Training reward has stayed at {late:.2f} since step {train[0][0]}: training has stalled."
    return CurveWarning("stalled", sentence, train[-1][0])


def _gap(curve: Curve) -> CurveWarning | None:
    """Train averaged over the points up to the last validation, so that both describe the same model."""
    valid = _series(curve, "valid_reward")
    if not valid:
        return None
    train = [point for point in _series(curve, "train_reward") if point[0] <= valid[-1][0]][-RECENT:]
    if len(train) < RECENT or _mean(train) - valid[-1][1] <= GAP:
        return None
    sentence = (
        f"Training reward is {_mean(train):.2f} and validation reward {valid[-1][1]:.2f}: "
        "the model learns the training prompts rather than the task."
    )
    return CurveWarning("gap", sentence, valid[-1][0])


def _length(curve: Curve) -> CurveWarning | None:
    points = _series(curve, "answer_tokens")
    if len(points) < 2 * RECENT:
        return None
    first, now = _mean(points[:RECENT]), _mean(points[-RECENT:])
    if first <= 0 or 1 / LENGTH_FACTOR <= now / first <= LENGTH_FACTOR:
        return None
    word = "longer" if now > first else "shorter"
    sentence = (
        f"Answers grew {word}, from {first:.0f} to {now:.0f} tokens: check that the grader does not reward length."
    )
    return CurveWarning("length_drift", sentence, points[-1][0])


def _hacking(curve: Curve) -> CurveWarning | None:
    """The component that rose most while another fell."""
    moves = {}
    step = 0
    for name, points in components(curve).items():
        if len(points) >= 2 * RECENT:
            moves[name] = _mean(points[-RECENT:]) - _mean(points[:RECENT])
            step = max(step, points[-1][0])
    if len(moves) < 2:
        return None
    up = max(sorted(moves), key=lambda name: moves[name])
    down = min(sorted(moves), key=lambda name: moves[name])
    if moves[up] < COMPONENT_MOVE or moves[down] > -COMPONENT_MOVE:
        return None
    sentence = (
        f'"{up}" rose by {moves[up]:.2f} while "{down}" fell by {-moves[down]:.2f}: '
        "the model may be gaming one part of the grader."
    )
    return CurveWarning("reward_hacking", sentence, step)


def _collapse(curve: Curve) -> CurveWarning | None:
    points = _series(curve, "flat_share")[-FLAT_STEPS:]
    if len(points) < FLAT_STEPS or min(value for _, value in points) <= FLAT_SHARE:
        return None
    rewards = _series(curve, "train_reward")[-FLAT_STEPS:]
    if rewards and _mean(rewards) >= DONE_REWARD:
        return None  # all alike because all are right: the task is solved
    sentence = (
        f"For {FLAT_STEPS} steps at least {min(v for _, v in points):.0%} of the prompts got answers of one reward: "
        "nothing is left to learn from, or the policy has collapsed."
    )
    return CurveWarning("collapse", sentence, points[-1][0])


def _duration(seconds: float) -> str:
    """Rounded to what a person says: tens of seconds, then minutes, then hours and minutes."""
    if seconds < 50:
        return f"{max(10, 10 * round(seconds / 10))} seconds"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"

"""Names what is wrong with a set of rewards before somebody trains on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

LENIENT, STRICT, FLAT, BINARY, LENGTH = "lenient", "strict", "flat", "binary", "length_driven"
FLAT_BELOW = 0.1  # standard deviation
LENIENT_ABOVE, STRICT_BELOW = 0.9, 0.1
LENGTH_FROM = 0.7  # rank correlation, either sign
MIN_REWARDS = 5
MIN_FOR_LENGTH = 10


@dataclass(frozen=True, slots=True)
class AntiPattern:
    """``code`` is one of the names above; ``message`` one sentence with the numbers; ``value`` what was measured."""

    code: str
    message: str
    value: float


def find_anti_patterns(rewards: Sequence[float], answer_chars: Sequence[int] | None = None) -> list[AntiPattern]:
    """Patterns seen in ``rewards`` (0..1), most telling first; [] for fewer than five.

    lenient: all above 0.9. strict: all below 0.1. flat: standard deviation below 0.1 without being either. binary: just
    two different rewards. length_driven: Spearman's rank correlation with ``answer_chars`` (one per reward) of 0.7 or
    more in size, from ten rewards on.
    """
    found: list[AntiPattern] = []
    if len(rewards) < MIN_REWARDS:
        return found
    low, high, spread = min(rewards), max(rewards), pstdev(rewards)
    if low > LENIENT_ABOVE:
        found.append(AntiPattern(LENIENT, f"Every answer scores above 0.9 (lowest {low:.2f}): nothing to learn.", low))
    elif high < STRICT_BELOW:
        found.append(AntiPattern(STRICT, f"Every answer scores below 0.1 (highest {high:.2f}): no way up.", high))
    elif spread < FLAT_BELOW:
        message = f"All answers score nearly the same (spread {spread:.2f}): the grader hardly tells them apart."
        found.append(AntiPattern(FLAT, message, spread))
    if low < high and len(set(rewards)) == 2:
        message = f"The grader only ever gives {low:g} or {high:g}: partial credit would show the model a way up."
        found.append(AntiPattern(BINARY, message, fmean(reward == high for reward in rewards)))
    if answer_chars is not None and len(rewards) >= MIN_FOR_LENGTH:
        correlation = spearman(rewards, answer_chars)
        if abs(correlation) >= LENGTH_FROM:
            direction = "Longer" if correlation > 0 else "Shorter"
            message = (
                f"{direction} answers score higher (rank correlation {correlation:+.2f}): length may be what is graded."
            )
            found.append(AntiPattern(LENGTH, message, correlation))
    return found


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Spearman's rank correlation in -1..1, ties by mean rank; 0.0 where a side is constant.

    Raises ValueError where the lengths differ.
    """
    if len(left) != len(right):
        raise ValueError("both sides need the same number of values")
    a, b = _ranks(left), _ranks(right)
    mean = (len(a) + 1) / 2
    covariance = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    spread = math.sqrt(sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b))
    return covariance / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + 1 + end) / 2
        start = end
    return ranks

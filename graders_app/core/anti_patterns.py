"""Names what is wrong with a set of rewards before somebody trains on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

LENIENT, STRICT, FLAT, BINARY, LENGTH = "lenient", "strict", "flat", "binary", "length_driven"
EXPENSIVE = "expensive"
FLAT_BELOW = 0.1  # standard deviation
LENIENT_ABOVE, STRICT_BELOW = 0.9, 0.1
LENGTH_FROM = 0.7  # rank correlation, either sign
MIN_REWARDS = 5
MIN_FOR_LENGTH = 10
#: Judge tokens per answer on average. Ours: a rubric and an answer of a page each fit in it, twice.
EXPENSIVE_ABOVE = 2_000
MAX_ROWS = 5


@dataclass(frozen=True, slots=True)
class AntiPattern:
    """``code`` is one of the names above; ``message`` one sentence with the numbers; ``value`` what was measured.

    ``rows``: indices of at most five rewards that show it best, the most telling first.
    """

    code: str
    message: str
    value: float
    rows: tuple[int, ...] = ()


def find_anti_patterns(
    rewards: Sequence[float],
    answer_chars: Sequence[int] | None = None,
    judge_tokens: Sequence[int] | None = None,
) -> list[AntiPattern]:
    """Patterns seen in ``rewards`` (0..1), most telling first; [] for fewer than five.

    lenient: all above 0.9. strict: all below 0.1. flat: standard deviation below 0.1 without being either. binary: just
    two different rewards. length_driven: Spearman's rank correlation with ``answer_chars`` (one per reward) of 0.7 or
    more in size, from ten rewards on. expensive: more than 2,000 ``judge_tokens`` (one per reward) on average.
    """
    if len(rewards) < MIN_REWARDS:
        return []
    found = [_level(rewards), _binary(rewards)]
    if answer_chars is not None and len(rewards) >= MIN_FOR_LENGTH:
        found.append(_length(rewards, answer_chars))
    if judge_tokens is not None:
        found.append(_expensive(judge_tokens))
    return [pattern for pattern in found if pattern is not None]


def _level(rewards: Sequence[float]) -> AntiPattern | None:
    """lenient shows its worst answers, strict its best ones, flat both ends: they are what ought to differ."""
    low, high, spread = min(rewards), max(rewards), pstdev(rewards)
    if low > LENIENT_ABOVE:
        message = f"Every answer scores above 0.9 (lowest {low:.2f}): nothing to learn."
        return AntiPattern(LENIENT, message, low, _first(rewards))
    if high < STRICT_BELOW:
        message = f"Every answer scores below 0.1 (highest {high:.2f}): no way up."
        return AntiPattern(STRICT, message, high, _first([-reward for reward in rewards]))
    if spread < FLAT_BELOW:
        message = f"All answers score nearly the same (spread {spread:.2f}): the grader hardly tells them apart."
        return AntiPattern(FLAT, message, spread, _both_ends(rewards))
    return None


def _binary(rewards: Sequence[float]) -> AntiPattern | None:
    low, high = min(rewards), max(rewards)
    if len(set(rewards)) != 2:
        return None
    message = f"The grader only ever gives {low:g} or {high:g}: partial credit would show the model a way up."
    return AntiPattern(BINARY, message, fmean(reward == high for reward in rewards), _both_ends(rewards))


def _length(rewards: Sequence[float], answer_chars: Sequence[int]) -> AntiPattern | None:
    """Shows the answers that carry the correlation: far from the middle in length and in score."""
    correlation = spearman(rewards, answer_chars)
    if abs(correlation) < LENGTH_FROM:
        return None
    direction = "Longer" if correlation > 0 else "Shorter"
    message = f"{direction} answers score higher (rank correlation {correlation:+.2f}): length may be what is graded."
    middle = (len(rewards) + 1) / 2
    ranks = zip(_ranks(rewards), _ranks(answer_chars), strict=True)
    weights = [(score - middle) * (chars - middle) for score, chars in ranks]
    return AntiPattern(LENGTH, message, correlation, _first([-weight * correlation for weight in weights]))


def _expensive(judge_tokens: Sequence[int]) -> AntiPattern | None:
    mean = fmean(judge_tokens)
    if mean <= EXPENSIVE_ABOVE:
        return None
    message = (
        f"A judge reads and writes {mean:,.0f} tokens per answer: a training that asks for 10,000 answers pays for "
        f"{mean / 100:,.0f} million of them."
    )
    return AntiPattern(EXPENSIVE, message, mean, _first([-tokens for tokens in judge_tokens]))


def _first(values: Sequence[float]) -> tuple[int, ...]:
    """Indices of the five lowest values, lowest first; of equal ones the earlier."""
    return tuple(sorted(range(len(values)), key=lambda index: values[index])[:MAX_ROWS])


def _both_ends(values: Sequence[float]) -> tuple[int, ...]:
    """Indices of the three lowest, then of the two highest values, as far as there are as many."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    return (*order[:3], *order[3:][-2:])


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

"""Whether a grader agrees with people: which answers to have rated, how well the two agree, and where they do not.

People rate blind on five steps, 0 (useless) to 4 (perfect); a reward of 0..1 is compared with ``rating / 4``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, pstdev

from .anti_patterns import spearman

STEPS = 5
WANTED = 30  # ratings that make the interval useful
FEWEST = 8  # ratings below which nothing is said
GOOD, FAIR = 0.8, 0.6  # of the rank correlation: go from 0.8, fix below 0.6
RESAMPLES = 2000
WORST = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the 95 % interval of a percentile bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``index`` of the rated answer; ``gap`` is reward − rating, both on 0..1: above 0 the grader is too kind."""

    index: int
    reward: float
    rating: float
    gap: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """``rank``: Spearman's correlation. ``kappa``: quadratic weighted kappa on the five steps. ``bias``: mean of
    reward − rating. ``advice``: one sentence; ``verdict``: ``good``, ``fair``, ``poor`` or ``open``, judged by the
    lower end of the interval of ``rank``."""

    count: int
    rank: Interval
    kappa: Interval
    bias: float
    worst: list[Disagreement]
    verdict: str
    advice: str


def choose_for_rating(
    rewards: Sequence[float], strata: Sequence[str], *, count: int = WANTED, seed: int = 0
) -> list[int]:
    """Indices of the answers to rate, in an order that tells nothing: spread over the rewards and over ``strata``.

    The rewards are cut into five ranks of equal size; cells of rank and stratum take turns, the fullest last, so that
    rare scores and small topics are seen too. All of them where there are no more than ``count``.
    """
    if len(rewards) != len(strata):
        raise ValueError("each answer needs a reward and a stratum")
    random = Random(seed)
    ranked = sorted(range(len(rewards)), key=lambda index: (rewards[index], index))
    cells: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, index in enumerate(ranked):
        cells[place * STEPS // len(ranked), strata[index]].append(index)
    for members in cells.values():
        random.shuffle(members)
    order = sorted(cells, key=lambda cell: (len(cells[cell]), cell))
    chosen: list[int] = []
    taken: dict[int, int] = defaultdict(int)  # by rank, so that each fifth of the scores gets its share
    while len(chosen) < min(count, len(rewards)):
        rank = min((cell[0] for cell in order if cells[cell]), key=lambda rank: (taken[rank], rank))
        cell = min((cell for cell in order if cell[0] == rank and cells[cell]), key=order.index)
        chosen.append(cells[cell].pop())
        taken[rank] += 1
        order.remove(cell)
        order.append(cell)
    random.shuffle(chosen)
    return chosen


def measure_agreement(rewards: Sequence[float], ratings: Sequence[int], *, seed: int = 0) -> Agreement:
    """Agreement of ``rewards`` (0..1) with ``ratings`` (0..4) of the same answers.

    Raises ValueError for ratings out of range, different lengths or fewer than two.
    """
    if len(rewards) != len(ratings) or len(rewards) < 2:
        raise ValueError("at least two answers need both a reward and a rating")
    if any(not 0 <= rating < STEPS for rating in ratings):
        raise ValueError("a rating is a whole number from 0 to 4")
    steps = [_step(reward) for reward in rewards]
    rank = _interval(len(rewards), lambda at: spearman([rewards[i] for i in at], [ratings[i] for i in at]), seed)
    kappa = _interval(len(rewards), lambda at: quadratic_kappa([steps[i] for i in at], [ratings[i] for i in at]), seed)
    gaps = [reward - rating / (STEPS - 1) for reward, rating in zip(rewards, ratings, strict=True)]
    worst = sorted(range(len(gaps)), key=lambda index: (-abs(gaps[index]), index))[:WORST]
    bias = fmean(gaps)
    verdict = _verdict(len(rewards), rank, ratings)
    return Agreement(
        count=len(rewards),
        rank=rank,
        kappa=kappa,
        bias=bias,
        worst=[Disagreement(at, rewards[at], ratings[at] / (STEPS - 1), gaps[at]) for at in worst if gaps[at]],
        verdict=verdict,
        advice=_advice(verdict, len(rewards), rank, bias, ratings),
    )


def quadratic_kappa(left: Sequence[int], right: Sequence[int], steps: int = STEPS) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968) of two raters on 0..steps-1: 1 full agreement, 0 chance.

    1.0 where both are constant and equal, 0.0 where the weights cannot tell.
    """
    count = len(left)
    seen = sum((a - b) ** 2 for a, b in zip(left, right, strict=True)) / count
    first = [left.count(step) for step in range(steps)]
    second = [right.count(step) for step in range(steps)]
    expected = sum(
        first[a] * second[b] * (a - b) ** 2 for a in range(steps) for b in range(steps) if first[a] and second[b]
    ) / (count * count)
    if not expected:
        return 1.0 if not seen else 0.0
    return 1.0 - seen / expected


def self_consistency(repeats: Sequence[Sequence[float]]) -> float | None:
    """Mean spread (standard deviation) of a judge's rewards for the same answer; None where nothing was repeated.

    0 is a judge that always says the same; from 0.15 on its noise is as large as half a step of a rating.
    """
    spreads = [pstdev(rewards) for rewards in repeats if len(rewards) > 1]
    return fmean(spreads) if spreads else None


def _step(reward: float) -> int:
    return min(STEPS - 1, max(0, round(reward * (STEPS - 1))))


def _interval(count: int, figure: Callable[[list[int]], float], seed: int) -> Interval:
    """Percentile bootstrap over the rated answers (Efron 1979), 2,000 resamples."""
    random = Random(seed)
    drawn = sorted(figure(random.choices(range(count), k=count)) for _ in range(RESAMPLES))
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]
    return Interval(figure(list(range(count))), low, high)


def _verdict(count: int, rank: Interval, ratings: Sequence[int]) -> str:
    if count < FEWEST or len(set(ratings)) < 2:
        return "open"
    if rank.low >= GOOD:
        return "good"
    return "fair" if rank.low >= FAIR else "poor"


def _advice(verdict: str, count: int, rank: Interval, bias: float, ratings: Sequence[int]) -> str:
    if len(set(ratings)) < 2:
        return "All answers got the same rating, so agreement cannot be measured: rate answers that differ."
    if verdict == "open":
        return f"{count} ratings are too few to tell: rate about {WANTED}."
    figures = f"rank correlation {rank.value:.2f}, at least {rank.low:.2f}".replace("-", "−")
    if verdict == "good":
        return f"The grader ranks answers as you do ({figures}): it can be trained on."
    if rank.value >= GOOD and count < WANTED:
        return f"The grader seems to rank answers as you do ({figures}): rate {WANTED - count} more to be sure."
    kind = "too kind" if bias > 0.1 else "too harsh" if bias < -0.1 else ""
    also = f" and is {kind} on the whole" if kind else ""
    if verdict == "fair":
        return f"The grader mostly agrees with you ({figures}){also}: look at the worst disagreements before training."
    return f"The grader often disagrees with you ({figures}){also}: change it before training on it."

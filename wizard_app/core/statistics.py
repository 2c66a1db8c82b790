"""Statistics of rewards: distribution, spread per prompt and what it means for RL, paired comparison. No I/O.

Rewards are floats, 0..1 for every grader a platform accepts. ``None`` stands for an answer whose grading failed; it is
left out of every figure and counted apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

Reward = float | None

SIGNAL_SPREAD = 0.05  # highest minus lowest reward of a prompt's answers from which they count as different
SOLVED_AT = 0.9  # all answers at or above: solved, however they differ
SOLVED_MEAN = 0.75  # answers that do not differ: solved from this mean on, else out of reach
TIE = 1e-6  # rewards closer than this are equal
WEAK_TOPIC = 0.15  # mean below
STRONG_TOPIC = 0.9  # mean above
FEW_PROMPTS = 3  # a topic with fewer prompts is not judged
PERCENTILES = (10, 25, 75, 90)


class Bucket(StrEnum):
    """What RL can do with a prompt."""

    ALREADY_SOLVED = "already_solved"
    CAN_LEARN = "can_learn"
    OUT_OF_REACH = "out_of_reach"


@dataclass(frozen=True)
class PromptScores:
    """The K answers to one prompt. ``components``: the same length per grader component."""

    prompt_id: str | int
    rewards: tuple[Reward, ...]
    topic: str | None = None
    components: Mapping[str, tuple[Reward, ...]] = field(default_factory=dict)


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RewardStatistics(_Report):
    """Distribution of graded answers. ``std`` is the population's (divided by n). Percentiles interpolate linearly.
    ``histogram[i]`` counts rewards in [edges[i], edges[i+1]), the last bin with its upper edge."""

    count: int
    mean: float = 0.0
    std: float = 0.0
    min: float = 0.0
    max: float = 0.0
    median: float = 0.0
    p10: float = 0.0
    p25: float = 0.0
    p75: float = 0.0
    p90: float = 0.0
    share_above_0: float = 0.0
    share_at_1: float = 0.0
    histogram: list[int] = []
    edges: list[float] = []


class TopicRewards(_Report):
    """``count`` graded answers of ``prompts`` prompts. ``few``: too few prompts to judge."""

    mean: float
    std: float
    count: int
    prompts: int
    status: Literal["ok", "weak", "solved", "few"]


class DryRunSummary(_Report):
    """All figures of a dry run. ``judged`` prompts have two graded answers at least, so their spread is known;
    ``buckets`` and ``signal`` are about these. Shares 0..1."""

    prompts: int
    answers: int
    errors: int
    answers_per_prompt: int
    rewards: RewardStatistics
    topics: dict[str, TopicRewards]
    components: dict[str, RewardStatistics]
    judged: int
    buckets: dict[Bucket, int]
    signal: float
    component_signal: dict[str, float]

    @property
    def error_share(self) -> float:
        return self.errors / self.answers if self.answers else 0.0

    def bucket_share(self, bucket: Bucket) -> float:
        return self.buckets.get(bucket, 0) / self.judged if self.judged else 0.0


class Interval(NamedTuple):
    """Mean difference and the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


class Duels(NamedTuple):
    """On how many prompts the second of a pair was better, equal, worse."""

    win: int
    tie: int
    loss: int


def graded(rewards: Iterable[Reward]) -> list[float]:
    """The rewards that are there."""
    return [reward for reward in rewards if reward is not None]


def reward_statistics(rewards: Iterable[Reward], bins: int = 20) -> RewardStatistics:
    """Distribution of ``rewards``; of none at all every figure is 0. Bins cover 0..1, or further where rewards go."""
    values = np.asarray(graded(rewards), dtype=np.float64)
    if not values.size:
        return RewardStatistics(
            count=0, histogram=[0] * bins, edges=[float(edge) for edge in np.linspace(0, 1, bins + 1)]
        )
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    histogram, edges = np.histogram(values, bins=bins, range=(low, high))
    p10, p25, p75, p90 = (float(value) for value in np.percentile(values, PERCENTILES))
    return RewardStatistics(
        count=int(values.size),
        mean=float(values.mean()),
        std=float(values.std()),
        min=float(values.min()),
        max=float(values.max()),
        median=float(np.median(values)),
        p10=p10,
        p25=p25,
        p75=p75,
        p90=p90,
        share_above_0=float((values > TIE).mean()),
        share_at_1=float((values >= 1.0 - TIE).mean()),
        histogram=[int(count) for count in histogram],
        edges=[float(edge) for edge in edges],
    )


def spread(rewards: Iterable[Reward]) -> float | None:
    """Highest minus lowest of a prompt's answers; ``None`` when fewer than two were graded."""
    values = graded(rewards)
    return max(values) - min(values) if len(values) > 1 else None


def bucket(rewards: Iterable[Reward]) -> Bucket | None:
    """Where a prompt stands; ``None`` when fewer than two of its answers were graded.

    All answers at 0.9 or above: already solved. Else, answers that differ by 0.05 or more: can learn, for the policy
    gradient lives on differences between answers to one prompt. Else, flat: solved from a mean of 0.75, below it out of
    reach (the model never finds anything better in K tries).
    """
    values = graded(rewards)
    if len(values) < 2:
        return None
    if min(values) >= SOLVED_AT:
        return Bucket.ALREADY_SOLVED
    if max(values) - min(values) >= SIGNAL_SPREAD - TIE:
        return Bucket.CAN_LEARN
    return Bucket.ALREADY_SOLVED if sum(values) / len(values) >= SOLVED_MEAN else Bucket.OUT_OF_REACH


def summarize(prompts: Sequence[PromptScores], bins: int = 20) -> DryRunSummary:
    """Every figure of a dry run. Signal overall: share of *can learn*; of a component: share of its spread >= 0.05."""
    every = [reward for prompt in prompts for reward in prompt.rewards]
    names = list(dict.fromkeys(name for prompt in prompts for name in prompt.components))
    placed = [place for place in (bucket(prompt.rewards) for prompt in prompts) if place is not None]
    buckets = {place: placed.count(place) for place in Bucket}
    return DryRunSummary(
        prompts=len(prompts),
        answers=len(every),
        errors=sum(reward is None for reward in every),
        answers_per_prompt=max((len(prompt.rewards) for prompt in prompts), default=0),
        rewards=reward_statistics(every, bins),
        topics=topic_rewards(prompts),
        components={
            name: reward_statistics((r for prompt in prompts for r in prompt.components.get(name, ())), bins)
            for name in names
        },
        judged=len(placed),
        buckets=buckets,
        signal=buckets[Bucket.CAN_LEARN] / len(placed) if placed else 0.0,
        component_signal={name: _component_signal(prompts, name) for name in names},
    )


def _component_signal(prompts: Sequence[PromptScores], name: str) -> float:
    spreads = [spread(prompt.components.get(name, ())) for prompt in prompts]
    known = [value for value in spreads if value is not None]
    return sum(value >= SIGNAL_SPREAD - TIE for value in known) / len(known) if known else 0.0


def topic_rewards(prompts: Sequence[PromptScores]) -> dict[str, TopicRewards]:
    """Per topic, by name; prompts without one are left out."""
    members: dict[str, list[PromptScores]] = defaultdict(list)
    for prompt in prompts:
        if prompt.topic:
            members[prompt.topic].append(prompt)
    result = {}
    for name in sorted(members):
        stats = reward_statistics(reward for prompt in members[name] for reward in prompt.rewards)
        status: Literal["ok", "weak", "solved", "few"] = "ok"
        if len(members[name]) < FEW_PROMPTS or not stats.count:
            status = "few"
        elif stats.mean < WEAK_TOPIC:
            status = "weak"
        elif stats.mean > STRONG_TOPIC:
            status = "solved"
        result[name] = TopicRewards(
            mean=stats.mean, std=stats.std, count=stats.count, prompts=len(members[name]), status=status
        )
    return result


def paired_interval(
    before: Sequence[float], after: Sequence[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of ``after - before`` over prompts and its percentile bootstrap interval, resampling prompts in pairs.

    Raises ``ValueError`` for sequences that are empty or of different length.
    """
    if len(before) != len(after) or not before:
        raise ValueError("A paired comparison needs the same prompts on both sides, one at least.")
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    chunk = max(1, 2_000_000 // len(differences))  # keeps the index array under 16 MB
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        picks = generator.integers(0, len(differences), size=(size, len(differences)))
        means[start : start + size] = differences[picks].mean(axis=1)
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(differences.mean()), float(low), float(high))


def win_tie_loss(before: Sequence[float], after: Sequence[float], tie: float = TIE) -> Duels:
    """Prompts where ``after`` is better, equal within ``tie``, worse."""
    differences = [new - old for old, new in zip(before, after, strict=True)]
    win = sum(value > tie for value in differences)
    loss = sum(value < -tie for value in differences)
    return Duels(win, len(differences) - win - loss, loss)

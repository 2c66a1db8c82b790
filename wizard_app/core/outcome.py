"""What training changed, in words: baseline and tuned model on the same validation prompts. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from .statistics import paired_interval, win_tie_loss

CLEAR_GAIN = 0.10  # relative to the baseline's mean
BASELINE_FLOOR = 0.10  # a lower baseline counts as this, or any gain over nothing would be "infinite"
FEW_IN_TOPIC = 5  # a topic with fewer prompts cannot be called down


class Verdict(StrEnum):
    IMPROVED = "improved_significantly"
    MARGINAL = "marginal"
    NONE = "none"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Pair:
    """Mean reward of one validation prompt's answers, before and after training."""

    prompt_id: str | int
    before: float
    after: float
    topic: str | None = None

    @property
    def change(self) -> float:
        return self.after - self.before


class Change(BaseModel):
    """Means over ``prompts`` and the 95 % paired bootstrap interval (``low``, ``high``) of their difference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: int
    before: float
    after: float
    change: float
    low: float
    high: float
    win: int
    tie: int
    loss: int

    @property
    def down(self) -> bool:
        """Worse beyond chance: the whole interval is below zero, on enough prompts to say so."""
        return self.high < 0 and self.prompts >= FEW_IN_TOPIC

    @property
    def up(self) -> bool:
        """Better beyond chance."""
        return self.low > 0

    @property
    def relative(self) -> float:
        """Change as a share of the baseline's mean, which counts as 0.10 at least."""
        return self.change / max(self.before, BASELINE_FLOOR)


class Outcome(BaseModel):
    """``sentence`` says the verdict with its numbers, ``advice`` whether to deploy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    sentence: str
    advice: str
    overall: Change
    topics: dict[str, Change]
    topics_down: list[str]


class Extremes(NamedTuple):
    """Prompts whose answers gained and lost most, largest change first; prompts without a change are in neither."""

    improved: list[Pair]
    damaged: list[Pair]


def compare(pairs: Sequence[Pair], *, seed: int = 0) -> Change:
    """Before and after over ``pairs``; raises ``ValueError`` when there are none."""
    before, after = [pair.before for pair in pairs], [pair.after for pair in pairs]
    interval = paired_interval(before, after, seed=seed)
    mean_before, mean_after = sum(before) / len(pairs), sum(after) / len(pairs)
    duels = win_tie_loss(before, after)
    return Change(
        prompts=len(pairs),
        before=mean_before,
        after=mean_after,
        change=mean_after - mean_before,  # not the mean of the differences: every page rounds the same number
        low=interval.low,
        high=interval.high,
        win=duels.win,
        tie=duels.tie,
        loss=duels.loss,
    )


def judge(pairs: Sequence[Pair], *, seed: int = 0) -> Outcome:
    """The outcome of a training run from its frozen validation prompts.

    Improved significantly: gain above 10 % of the baseline, interval above 0, no topic down. Regression: interval
    below 0. Marginal: interval above 0 without the rest. None: 0 lies within the interval.
    Raises ``ValueError`` for no pairs.
    """
    overall = compare(pairs, seed=seed)
    members: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.topic:
            members[pair.topic].append(pair)
    topics = {name: compare(members[name], seed=seed) for name in sorted(members)}
    down = [name for name, change in topics.items() if change.down]
    verdict = _verdict(overall, down)
    return Outcome(
        verdict=verdict,
        sentence=_sentence(verdict, overall, down),
        advice=_ADVICE[verdict],
        overall=overall,
        topics=topics,
        topics_down=down,
    )


def extremes(pairs: Sequence[Pair], n: int = 5) -> Extremes:
    """The ``n`` most improved and most damaged prompts, ties by id."""
    up = sorted((p for p in pairs if p.change > 0), key=lambda p: (-p.change, str(p.prompt_id)))
    down = sorted((p for p in pairs if p.change < 0), key=lambda p: (p.change, str(p.prompt_id)))
    return Extremes(up[:n], down[:n])


_ADVICE = {
    Verdict.IMPROVED: "Deploy the tuned model.",
    Verdict.MARGINAL: "Read the changed answers before you deploy.",
    Verdict.NONE: "Keep the base model; look at the dry run for what to change.",
    Verdict.REGRESSION: "Do not deploy the tuned model.",
}


def _verdict(overall: Change, down: Sequence[str]) -> Verdict:
    if overall.high < 0:
        return Verdict.REGRESSION
    if not overall.up:
        return Verdict.NONE
    return Verdict.IMPROVED if overall.relative > CLEAR_GAIN and not down else Verdict.MARGINAL


def _sentence(verdict: Verdict, overall: Change, down: Sequence[str]) -> str:
    moved = (
        f"the mean validation reward went from {overall.before:.2f} to {overall.after:.2f} "
        f"({overall.change:+.2f}, 95 % interval {overall.low:+.2f} to {overall.high:+.2f}, "
        f"{overall.prompts} prompts)"
    )
    if verdict is Verdict.IMPROVED:
        return f"Improved significantly: {moved}."
    if verdict is Verdict.REGRESSION:
        return f"Regression: {moved}."
    if verdict is Verdict.NONE:
        return f"No difference can be shown: {moved}."
    if down:
        names = ", ".join(_readable(name) for name in down[:3]) + (" and others" if len(down) > 3 else "")
        return f"Improved, but worse on {names}: {moved}."
    return f"Marginally improved: {moved}."


def _readable(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]

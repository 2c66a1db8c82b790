"""What is to be generated, by which strategy, in how many calls, and when to stop. No I/O.

A plan says per topic how many records are wanted. They are asked for in calls of at most ten; what a call brings is
checked (``generating_checks``), and what did not pass is asked for again, by other calls, until the plan is met, a cap
is reached, or a strategy has shown that it brings next to nothing for a topic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .coverage import CoverageReport

GROWTH = 1.2  # the dataset a plan aims at, in records as they are now
MAX_SYNTHETIC = 0.5  # share of the valid records that may be generated
PER_CALL = 10  # messages asked for in one call
FEWEST = 3  # fewer are not worth a call, and of one message all depends on one
IN_FLIGHT = 8  # calls at once
EXAMPLES = 5  # records shown in one call
MOST = 5000  # records of one topic in one plan
ROUND = 4 * IN_FLIGHT  # calls between two looks at what came out
TRIAL = 20  # messages asked for by one strategy before its pass rate means anything
HOPELESS = 0.1  # pass rate under which a strategy is given up for a topic
MIX = "mix"


class Strategy(StrEnum):
    """How new requests are asked for."""

    FEW_SHOT = "few_shot"
    VARIATION = "variation"
    DESCRIPTION = "description"
    SCENARIO = "scenario"
    TOOL_CHAIN = "tool_chain"


# strategy -> (what it is called, what it does)
STRATEGIES: dict[str, tuple[str, str]] = {
    MIX: ("Mix", "All strategies that are possible for the topic, in turn. What one overlooks another finds."),
    Strategy.FEW_SHOT: ("Examples", "Shows records of the topic that differ most from each other, asks for more."),
    Strategy.VARIATION: ("Variation", "Rewrites the last message of one record: same kind of request, other facts."),
    Strategy.DESCRIPTION: ("Description", "Shows only the topic's name, description and keywords; no record is sent."),
    Strategy.SCENARIO: ("Scenarios", "Invents situations first: who writes, what happened, what makes it hard."),
    Strategy.TOOL_CHAIN: ("Tool chain", "Asks for requests that can only be met by calling the tools of a record."),
}
NEEDS_SEEDS = {Strategy.FEW_SHOT, Strategy.VARIATION}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicPlan(_Value):
    """``number`` records for a leaf; ``examples`` of its records in each call that shows any."""

    topic: str
    number: int = Field(ge=0, le=MOST)
    strategy: str = MIX
    examples: int = Field(EXAMPLES, ge=1, le=12)


class Plan(_Value):
    """What a run was asked to do. Prices in USD per million tokens, None where nobody has said them."""

    topics: list[TopicPlan] = []
    max_synthetic_ratio: float = Field(MAX_SYNTHETIC, gt=0.0, lt=1.0)
    max_calls: int = Field(1000, ge=1, le=100_000)
    price_in: float | None = Field(None, ge=0.0)
    price_out: float | None = Field(None, ge=0.0)
    max_usd: float | None = Field(None, gt=0.0)

    @property
    def total(self) -> int:
        return sum(topic.number for topic in self.topics)

    @property
    def priced(self) -> bool:
        return self.price_in is not None and self.price_out is not None

    def usd(self, tokens_in: float, tokens_out: float) -> float | None:
        """What so many tokens cost; None where a price is not known."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1_000_000


# --- how many ---------------------------------------------------------------------------------------------------------


def room(valid: int, generated: int, ratio: float) -> int:
    """Records that may be added before more than ``ratio`` of the valid ones are generated."""
    return max(0, math.floor((ratio * valid - generated) / (1.0 - ratio) + 1e-9))


def suggested(report: CoverageReport, *, valid: int, generated: int, ratio: float = MAX_SYNTHETIC) -> dict[str, int]:
    """Records to generate per topic under its target, largest need first: what is missing to its share of 1.2 times
    the sorted records, all cut in proportion where more than ``ratio`` of the valid records would be generated."""
    aim = GROWTH * report.total_records
    needs = {
        name: math.ceil(entry.target_percentage / 100.0 * aim - entry.count - 1e-9)
        for name, entry in report.distribution.items()
        if entry.status == "under"
    }
    needs = {name: min(need, MOST) for name, need in sorted(needs.items(), key=lambda pair: -pair[1]) if need > 0}
    return _within(needs, room(valid, generated, ratio))


def _within(needs: Mapping[str, int], most: int) -> dict[str, int]:
    """``needs`` cut to add up to at most ``most``, in proportion, by largest remainders."""
    total = sum(needs.values())
    if total <= most:
        return dict(needs)
    exact = {name: need * most / total for name, need in needs.items()}
    cut = {name: math.floor(share) for name, share in exact.items()}
    left = most - sum(cut.values())
    for name in sorted(exact, key=lambda name: cut[name] - exact[name])[:left]:
        cut[name] += 1
    return cut


def synthetic_share(valid: int, generated: int, more: int) -> float:
    """Share of the valid records that would be generated with ``more`` of them, 0 to 1."""
    return (generated + more) / (valid + more) if valid + more else 0.0


class Estimate(_Value):
    """``calls``, tokens and USD (None: price not known) of a plan, each from all goes well to half of it passes."""

    calls: tuple[int, int]
    tokens_in: tuple[int, int]
    tokens_out: tuple[int, int]
    usd: tuple[float, float] | None


INSTRUCTIONS = 250  # tokens of a request beside its examples
AROUND = 15  # tokens of JSON around one message


def estimate(plan: Plan, tokens: Mapping[str, float], usual: float) -> Estimate:
    """``tokens``: mean tokens of a topic's messages; ``usual``: those of all, for topics that have none."""
    ends: list[tuple[int, float, float]] = []
    for part in (1.0, 0.5):
        calls, given, got = 0, 0.0, 0.0
        for topic in plan.topics:
            asked = math.ceil(topic.number / part)
            own = math.ceil(asked / PER_CALL)
            length = tokens.get(topic.topic, usual)
            calls += own
            given += own * (INSTRUCTIONS + topic.examples * length)
            got += asked * (length + AROUND)
        fits = min(1.0, plan.max_calls / calls) if calls else 1.0
        ends.append((min(calls, plan.max_calls), given * fits, got * fits))
    low, high = ends
    costs = [plan.usd(given, got) for _, given, got in ends]
    return Estimate(
        calls=(low[0], high[0]),
        tokens_in=(round(low[1]), round(high[1])),
        tokens_out=(round(low[2]), round(high[2])),
        usd=(costs[0], costs[1]) if costs[0] is not None and costs[1] is not None else None,
    )


# --- which examples ---------------------------------------------------------------------------------------------------


def farthest_first(vectors: NDArray[np.float32], most: int) -> list[int]:
    """Rows in an order that spreads: first the one nearest to the middle, then always the one farthest from all before.

    ``vectors``: unit vectors [n, d]. Greedy k-centre (Gonzalez 1985): at most twice the best radius. Copies come last.
    """
    if not len(vectors):
        return []
    nearest = vectors @ vectors.mean(axis=0)
    order = [int(nearest.argmax())]
    closeness = vectors @ vectors[order[0]]
    closeness[order[0]] = np.inf
    while len(order) < min(most, len(vectors)):
        pick = int(closeness.argmin())
        order.append(pick)
        closeness = np.maximum(closeness, vectors @ vectors[pick])
        closeness[pick] = np.inf
    return order


def window(items: Sequence[int], number: int, size: int) -> list[int]:
    """``size`` neighbours in the order, others for each ``number``: every item is shown before one is shown again."""
    if not items:
        return []
    start = number * size % len(items)
    return [items[(start + step) % len(items)] for step in range(min(size, len(items)))]


# --- which calls ------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What one strategy has brought for one topic. ``rejected`` by code; ``requested`` counts what calls asked for."""

    requested: int = 0
    generated: int = 0
    valid: int = 0
    calls: int = 0

    @property
    def pass_rate(self) -> float | None:
        """Valid of requested, 0 to 1; None before anything was asked for."""
        return self.valid / self.requested if self.requested else None

    @property
    def hopeless(self) -> bool:
        return self.requested >= TRIAL and self.valid < HOPELESS * self.requested


@dataclass(frozen=True)
class Ask:
    """One call to make: ``number`` messages for ``topic`` by ``strategy``."""

    topic: TopicPlan
    strategy: Strategy
    number: int


Tallies = Mapping[tuple[str, str], Tally]


def next_asks(plan: Plan, tallies: Tallies, possible: Mapping[str, Sequence[Strategy]], most: int) -> list[Ask]:
    """The next calls, at most ``most``, topic by topic in turn: for what is still missing, with the strategies that
    were asked least so far and are not hopeless. Empty when nothing is missing or nothing helps."""
    missing = {topic.topic: topic.number - valid_of(tallies, topic.topic) for topic in plan.topics}
    asked = {(topic, strategy): tally.requested for (topic, strategy), tally in tallies.items()}
    found: list[Ask] = []
    while len(found) < most:
        before = len(found)
        for topic in plan.topics:
            usable = [s for s in possible[topic.topic] if not tallies.get((topic.topic, s), Tally()).hopeless]
            if missing[topic.topic] <= 0 or not usable or len(found) >= most:
                continue
            strategy = min(usable, key=lambda s: asked.get((topic.topic, s), 0))
            number = min(PER_CALL, max(FEWEST, missing[topic.topic]))
            missing[topic.topic] -= number
            asked[topic.topic, strategy] = asked.get((topic.topic, strategy), 0) + number
            found.append(Ask(topic, strategy, number))
        if len(found) == before:
            break
    return found


def valid_of(tallies: Tallies, topic: str) -> int:
    return sum(tally.valid for (name, _), tally in tallies.items() if name == topic)


def strategies_of(wanted: str, *, seeds: bool, tools: bool) -> list[Strategy]:
    """What can be done for a topic: ``seeds``: it has records to show; ``tools``: one of them has tools."""
    could = [s for s in Strategy if (seeds or s not in NEEDS_SEEDS) and (tools or s is not Strategy.TOOL_CHAIN)]
    return could if wanted == MIX else [s for s in could if s == wanted]


def why_not(strategy: str, *, seeds: bool, tools: bool) -> str:
    """The sentence why a strategy cannot be used for a topic; '' where it can."""
    if strategy in NEEDS_SEEDS and not seeds:
        return "needs a record of the topic to start from; choose Description or Scenarios"
    if strategy == Strategy.TOOL_CHAIN and not tools:
        return "needs a record of the topic that has tools; choose another strategy"
    return ""


# --- how good ---------------------------------------------------------------------------------------------------------


def self_similarity(vectors: NDArray[np.float32]) -> float | None:
    """How alike some texts are: the mean cosine of each to the one most like it. None for fewer than two."""
    if len(vectors) < 2:
        return None
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    return float(cosines.max(axis=1).mean())


class Quality(_Value):
    """What a run's valid records are like. Similarities are means over topics of :func:`self_similarity`, those of the
    traces over as many of them; ``on_topic`` is the share that the categorizer, too, puts under the topic asked for."""

    records: int = 0
    self_similarity: float | None = None
    of_traces: float | None = None
    on_topic: float | None = None

    def sentences(self) -> list[str]:
        """What the figures mean."""
        said = []
        if self.self_similarity is not None:
            said.append(_diversity(self.self_similarity, self.of_traces))
        if self.on_topic is not None:
            said.append(_on_topic(self.on_topic))
        return said


def _diversity(own: float, of_traces: float | None) -> str:
    said = f"The generated message most like another has a similarity of {own:.2f} on average"
    if of_traces is None:
        return f"{said}; there are too few traces to compare with."
    if own > of_traces + 0.1:
        return f"{said}, your traces {of_traces:.2f}: they repeat themselves more. Use more examples or a mix."
    if own < of_traces - 0.1:
        return f"{said}, your traces {of_traces:.2f}: they differ more from each other than real ones do."
    return f"{said}, your traces {of_traces:.2f}: they are about as varied as what users really write."


def _on_topic(share: float) -> str:
    said = f"The categorizer would put {share:.0%} of them under the topic they were made for"
    if share >= 0.995:
        return f"{said}."
    if share >= 0.8:
        return f"{said}; the others are marked for review."
    return f"{said}; the others are marked for review. Describe the topic more clearly, or look at them first."


def as_counts(tallies: Tallies) -> dict[str, Any]:
    """Per topic, over its strategies: requested, generated, valid, rejected and pass rate, for reports."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(topic for topic, _ in tallies):
        mine = [tally for (topic, _), tally in tallies.items() if topic == name]
        requested, valid = sum(t.requested for t in mine), sum(t.valid for t in mine)
        found[name] = {
            "requested": requested,
            "generated": sum(t.generated for t in mine),
            "valid": valid,
            "rejected": requested - valid,
            "pass_rate": round(valid / requested, 4) if requested else None,
        }
    return found

"""How the records of a dataset spread over its topics, against targets. No I/O.

Percentages, gaps and recommendations are out of the *categorized* records (``total_records``): unknown and
uncategorized ones are counted beside them, so that advice does not change while a categorizing run is half done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from .topics import UNKNOWN, TopicTree, readable

Status = Literal["under", "ok", "over"]
Band = Literal["excellent", "good", "fair", "poor", "critical", "one topic"]

STATUS_GAP = 5.0  # percentage points either side of the target that still count as ok
RECOMMEND_GAP = 10.0  # percentage points under target from which records should be generated
BANDS: tuple[tuple[float, Band], ...] = ((0.8, "excellent"), (0.6, "good"), (0.4, "fair"), (0.2, "poor"))
_EPSILON = 1e-9  # 100/3 and the like must not tip a threshold or a ceiling


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicCoverage(_Report):
    """One leaf. ``percentage``, ``target_percentage`` and ``gap`` (target - actual) in percentage points."""

    count: int
    percentage: float
    target_percentage: float
    gap: float
    status: Status


class Recommendation(_Report):
    """``needed`` = ceil(gap % x total_records) more records for ``topic``."""

    topic: str
    needed: int
    sentence: str


class CoverageReport(_Report):
    """``balance_score`` = smallest / largest leaf count, 0..1; ``None`` with fewer than two topics."""

    total_records: int
    distribution: dict[str, TopicCoverage]
    balance_score: float | None
    band: Band
    recommendations: list[Recommendation]
    unknown: int = 0
    uncategorized: int = 0

    def to_json(self) -> dict[str, Any]:
        """The promised report; recommendations as sentences, figures rounded to four places."""
        report = self.model_dump()
        for entry in report["distribution"].values():
            entry.update({key: round(entry[key], 4) for key in ("percentage", "target_percentage", "gap")})
        if self.balance_score is not None:
            report["balance_score"] = round(self.balance_score, 4)
        report["recommendations"] = [item.sentence for item in self.recommendations]
        return report


def balance_score(counts: Mapping[str, int]) -> float | None:
    """Smallest count / largest, 0..1, over all topics; 0 when all are empty; ``None`` for fewer than two topics."""
    if len(counts) < 2:
        return None
    largest = max(counts.values())
    return min(counts.values()) / largest if largest else 0.0


def balance_band(score: float | None) -> Band:
    """The word for a balance score; "one topic" where there is none."""
    if score is None:
        return "one topic"
    return next((band for least, band in BANDS if score >= least - _EPSILON), "critical")


def effective_targets(counts: Mapping[str, int], targets: Mapping[str, float] | None = None) -> dict[str, float]:
    """Target percentage of every topic, adding up to 100.

    Topics without a target share what the set ones leave, evenly (all of it when none is set). Set targets that cannot
    add up (above 100, or all set and below) are scaled. Targets of topics that are gone are ignored.
    """
    given = {name: max(0.0, float(value)) for name, value in (targets or {}).items() if name in counts}
    open_topics = [name for name in counts if name not in given]
    used = sum(given.values())
    if used > 100.0 or (not open_topics and used > 0):
        given = {name: value * 100.0 / used for name, value in given.items()}
        used = 100.0
    if not open_topics and used <= 0 and counts:
        return {name: 100.0 / len(counts) for name in counts}
    share = (100.0 - used) / len(open_topics) if open_topics else 0.0
    return {name: given.get(name, share) for name in counts}


def leaf_counts(tree: TopicTree, counts: Mapping[str | None, int]) -> tuple[dict[str, int], int, int]:
    """Stored counts per topic value as (count per leaf of the tree, unknown, uncategorized).

    ``None`` and names that are no leaf of the tree any more are uncategorized.
    """
    leaves = {name: int(counts.get(name, 0)) for name in tree.leaves()}
    unknown = int(counts.get(UNKNOWN, 0))
    return leaves, unknown, int(sum(counts.values())) - sum(leaves.values()) - unknown


def group_counts(tree: TopicTree, leaves: Mapping[str, int]) -> dict[str, int]:
    """Count of every node of the tree: a leaf its own, a group the sum of its leaves."""
    return {name: sum(leaves.get(leaf, 0) for leaf in tree.leaves_below(name)) for name in tree.walk()}


def coverage(
    counts: Mapping[str, int],
    targets: Mapping[str, float] | None = None,
    *,
    unknown: int = 0,
    uncategorized: int = 0,
) -> CoverageReport:
    """The report for ``counts`` per leaf (every leaf of the tree, also the empty ones) and target percentages."""
    if any(value < 0 for value in (*counts.values(), unknown, uncategorized)):
        raise ValueError("Counts of records cannot be negative.")
    total = sum(counts.values())
    wanted = effective_targets(counts, targets)
    distribution = {name: _topic(counts[name], total, wanted[name]) for name in counts}
    score = balance_score(counts)
    return CoverageReport(
        total_records=total,
        distribution=distribution,
        balance_score=score,
        band=balance_band(score),
        recommendations=_recommendations(distribution, total),
        unknown=unknown,
        uncategorized=uncategorized,
    )


def _topic(count: int, total: int, target: float) -> TopicCoverage:
    percentage = 100.0 * count / total if total else 0.0
    gap = target - percentage
    status: Status = "under" if gap > STATUS_GAP + _EPSILON else "over" if gap < -STATUS_GAP - _EPSILON else "ok"
    return TopicCoverage(count=count, percentage=percentage, target_percentage=target, gap=gap, status=status)


def _recommendations(distribution: Mapping[str, TopicCoverage], total: int) -> list[Recommendation]:
    """Largest gap first; none before anything is categorized, when every topic would be "missing"."""
    items = []
    for name, topic in sorted(distribution.items(), key=lambda pair: (-pair[1].gap, pair[0])):
        if total and topic.gap > RECOMMEND_GAP + _EPSILON:
            needed = math.ceil(topic.gap / 100.0 * total - _EPSILON)
            sentence = (
                f"{readable(name)}: generate about {needed} more, "
                f"it has {topic.percentage:.1f} % of the records and should have {topic.target_percentage:.1f} %."
            )
            items.append(Recommendation(topic=name, needed=needed, sentence=sentence))
    return items

"""Coverage as pages tell it: line by line down the tree with subtotals, in words, and between two moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .coverage import CoverageReport, TopicCoverage
from .topics import TopicTree, readable


class Line(NamedTuple):
    """A topic, or a group with the sums of its topics. ``depth`` is 0 at the top; figures in percent and points."""

    name: str
    depth: int
    leaf: bool
    records: int
    percentage: float
    target: float
    gap: float


def lines(tree: TopicTree, report: CoverageReport) -> list[Line]:
    """Every node of the tree in the order shown, groups before their topics. ``report`` is of this tree."""
    found = []
    for name in tree.walk():
        parts = [report.distribution[leaf] for leaf in tree.leaves_below(name)]
        share = sum(part.percentage for part in parts)
        target = sum(part.target_percentage for part in parts)
        count = sum(part.count for part in parts)
        depth, leaf = len(tree.path(name)) - 1, not tree.topics[name].subtopics
        found.append(Line(name, depth, leaf, count, share, target, target - share))
    return found


def gap_words(topic: TopicCoverage) -> str:
    """ "on target", "9.0 points under target"."""
    if topic.status == "ok":
        return "on target"
    return f"{abs(topic.gap):.1f} points {topic.status} target"


def balance_words(report: CoverageReport) -> str:
    """What the balance score says, in one sentence."""
    counts = {name: topic.count for name, topic in report.distribution.items()}
    if not counts:
        return "There are no topics yet."
    if report.balance_score is None:
        return "There is one topic, so there is nothing to balance."
    if not report.total_records:
        return "No record is in a topic yet."
    empty = [name for name, count in counts.items() if not count]
    if empty:
        few = f"{readable(empty[0])} has" if len(empty) == 1 else f"{len(empty)} topics have"
        return f"{few} no records at all."
    small, large = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    return f"{readable(small)} has {report.balance_score:.2f} of the records of {readable(large)}, the largest."


class Moved(NamedTuple):
    """A topic at two moments; shares in percent of the records in topics. None: there was no such topic."""

    name: str
    before: int | None
    after: int | None
    share_before: float
    share_after: float


def compared(before: Mapping[str, int], after: Mapping[str, int], order: Iterable[str]) -> list[Moved]:
    """Every topic that there was or is at one of the moments: as in ``order``, the others after them by name."""
    known = before.keys() | after.keys()
    names = [name for name in order if name in known]
    totals = sum(before.values()), sum(after.values())
    return [
        Moved(name, before.get(name), after.get(name), _share(before, name, totals[0]), _share(after, name, totals[1]))
        for name in (*names, *sorted(known.difference(names)))
    ]


def _share(counts: Mapping[str, int], name: str, total: int) -> float:
    return 100 * counts.get(name, 0) / total if total else 0.0

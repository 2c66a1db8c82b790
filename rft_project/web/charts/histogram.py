"""How scores are spread: columns of equal width and a rule at the mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rft_project.web.charts.scale import AxisTick, Table, pct, tick_text
from rft_project.web.text import number, percent, score

BASE, TALLEST = 210, 168  # px: the axis, and the highest column


@dataclass(frozen=True)
class Column:
    x: float
    width: float
    middle: float
    y: float
    height: float
    count: int
    text: str


@dataclass(frozen=True)
class Histogram:
    template: ClassVar[str] = "ui/chart_histogram.html"
    finding: str
    columns: tuple[Column, ...]
    axis: tuple[AxisTick, ...]
    mean: float | None  # percent
    mean_text: str
    mean_left: bool  # label left of the rule
    unit: str
    caption: str
    table: Table
    height: int = 252
    base: int = BASE


def bin_counts(values: Iterable[float], parts: int = 10, low: float = 0.0, high: float = 1.0) -> list[int]:
    """How many values fall into each of ``parts`` equal bins; ``high`` is in the last, outside counts at the edge."""
    counts = [0] * parts
    for value in values:
        if math.isfinite(value):
            counts[min(parts - 1, max(0, int((value - low) / (high - low) * parts + 1e-9)))] += 1
    return counts


def _columns(counts: Sequence[int]) -> Iterator[Column]:
    each, tallest = 100 / max(len(counts), 1), max(counts, default=0)
    for i, count in enumerate(counts):
        height = round(count / tallest * TALLEST, 1) if tallest else 0.0
        if count:
            height = max(height, 1.0)  # one answer among thousands is still there
        x = round(i * each, 2)
        yield Column(
            x=round(x + 0.5, 2),
            width=round(each - 1, 2),
            middle=round(x + each / 2, 2),
            y=round(BASE - height, 1),
            height=height,
            count=count,
            text=number(count),
        )


def histogram(
    counts: Sequence[int],
    *,
    finding: str,
    mean: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    unit: str = "answers",
    caption: str = "score of one answer, 0 worst to 1 best",
) -> Histogram:
    """Columns of equal width between ``low`` and ``high``; ``mean`` in the same unit gets a rule."""
    parts, total = len(counts), sum(counts)
    each = 100 / parts if parts else 100.0
    step = (high - low) / parts if parts else 1.0
    edges = [low + i * step for i in range(parts + 1)]
    names = [
        tick_text(edge, step) if 0 < i < parts else number(edge, 0 if edge == round(edge) else 2)
        for i, edge in enumerate(edges)
    ]
    axis = tuple(
        AxisTick(
            round(i * each, 2), name, "" if i == 0 else "end" if i == parts else "mid" if i % 2 == 0 else "mid wide"
        )
        for i, name in enumerate(names)
    )
    rows = [
        [
            f"{tick_text(edges[i], step)} to {tick_text(edges[i + 1], step)}",
            number(c),
            percent(c / total if total else None),
        ]
        for i, c in enumerate(counts)
    ]
    at = None if mean is None else pct(mean, low, high)
    return Histogram(
        finding=finding,
        columns=tuple(_columns(counts)),
        axis=axis,
        mean=at,
        mean_text=f"mean {score(mean)}" if mean is not None else "",
        mean_left=at is not None and at > 75,
        unit=unit,
        caption=caption,
        table=Table.of(finding, ("Score", unit.capitalize(), "Share"), rows),
    )

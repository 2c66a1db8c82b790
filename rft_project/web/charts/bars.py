"""Horizontal bars with targets and gaps (coverage)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rft_project.web.charts.scale import Table, cut, pct
from rft_project.web.text import number


@dataclass(frozen=True)
class BarRow:
    """``value`` and ``target`` in one unit. ``text``: bold figure; ``more``: beside it; ``note``: wide screens only.

    ``hatched``: not a group of its own ("unknown"). ``short``: draw the gap to the target (None: when below it).
    """

    label: str
    value: float
    target: float | None = None
    text: str = ""
    more: str = ""
    note: str = ""
    hatched: bool = False
    short: bool | None = None


@dataclass(frozen=True)
class Bar:
    label: str
    text: str
    more: str
    note: str
    hatched: bool
    y: int  # top of the row
    width: float
    gap: float  # width of the gap, 0 for none
    target: float | None

    @property
    def text_y(self) -> int:
        return self.y + 13

    @property
    def bar_y(self) -> int:
        return self.y + 20

    @property
    def bar_bottom(self) -> int:
        return self.y + 32

    @property
    def tick_top(self) -> int:
        return self.y + 17

    @property
    def tick_bottom(self) -> int:
        return self.y + 35


@dataclass(frozen=True)
class BarChart:
    template: ClassVar[str] = "ui/chart_bars.html"
    finding: str
    bars: tuple[Bar, ...]
    height: int
    value_label: str
    target_label: str
    has_gap: bool
    left_out: int
    table: Table | None


def bar_rows(
    rows: Sequence[BarRow],
    *,
    finding: str,
    value_label: str = "records you have",
    target_label: str = "target",
    top: float | None = None,
    most: int = 20,
    table: Table | None = None,
) -> BarChart:
    """Rows of 44 px, longest scale ``top`` (default: a little over the largest value or target).

    Only the first ``most`` rows are drawn; the table has them all and the chart says how many are missing.
    """
    largest = max((max(row.value, row.target or 0) for row in rows), default=0)
    scale = top if top is not None else largest * 1.08
    bars = []
    for index, row in enumerate(rows[:most]):
        width = pct(row.value, 0, scale)
        target = None if row.target is None else pct(row.target, 0, scale)
        short = row.short if row.short is not None else row.target is not None and row.value < row.target
        gap = round(target - width, 2) if short and target is not None and target > width else 0.0
        bars.append(
            Bar(
                cut(row.label),
                row.text or number(row.value),
                row.more,
                row.note,
                row.hatched,
                index * 44,
                width,
                gap,
                target,
            )
        )
    return BarChart(
        finding=finding,
        bars=tuple(bars),
        height=max(0, len(bars) * 44 - 8),
        value_label=value_label,
        target_label=target_label if any(bar.target is not None for bar in bars) else "",
        has_gap=any(bar.gap for bar in bars),
        left_out=max(0, len(rows) - most),
        table=table,
    )

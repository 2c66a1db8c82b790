"""Before and after training: a ring, a dot, and the interval of the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rft_project.web.charts.scale import AxisTick, Table, cut, pct, tick_text, ticks
from rft_project.web.text import change, number, score


@dataclass(frozen=True)
class PairRow:
    """Mean score before and after; ``low``, ``high``: 95 % interval of the change. ``total``: the first, larger row."""

    label: str
    prompts: int
    before: float
    after: float
    low: float | None = None
    high: float | None = None
    total: bool = False

    @property
    def clear(self) -> bool:
        """The interval of the change does not touch 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Pair:
    label: str
    prompts: str
    total: bool
    y: int
    before: float
    after: float
    low: float | None
    high: float | None
    link: tuple[float, float] | None
    values: str
    change: str
    change_css: str
    interval: str

    @property
    def text_y(self) -> int:
        return self.y + 15

    @property
    def mark_y(self) -> int:
        return self.y + 36

    @property
    def cap_top(self) -> int:
        return self.y + 31

    @property
    def cap_bottom(self) -> int:
        return self.y + 41

    @property
    def rule_y(self) -> int:
        return self.y + 51


@dataclass(frozen=True)
class BeforeAfter:
    template: ClassVar[str] = "ui/chart_pairs.html"
    finding: str
    pairs: tuple[Pair, ...]
    axis: tuple[AxisTick, ...]
    base: int
    caption: str
    table: Table

    @property
    def tick_y(self) -> int:
        return self.base + 17

    @property
    def caption_y(self) -> int:
        return self.base + 36

    @property
    def height(self) -> int:
        return self.base + 42


def _pair(row: PairRow, y: int, low: float, high: float) -> Pair:
    def at(value: float) -> float:
        return pct(value, low, high)

    ends = None if row.low is None or row.high is None else (at(row.before + row.low), at(row.before + row.high))
    link = None
    if ends is None:
        link = (at(row.before), at(row.after))
    elif not ends[0] <= at(row.before) <= ends[1]:
        link = (at(row.before), ends[0] if at(row.before) < ends[0] else ends[1])
    css = "strong" if not row.clear else "acc" if row.after >= row.before else "worse"
    if row.low is None:
        interval = ""
    else:
        interval = f"({change(row.low)} to {change(row.high)})"
    noun = "prompt" if row.prompts == 1 else "prompts"
    return Pair(
        label=cut(row.label),
        prompts=f"{number(row.prompts)} {noun}" + ("" if row.clear else " · unclear"),
        total=row.total,
        y=y,
        before=at(row.before),
        after=at(row.after),
        low=ends and ends[0],
        high=ends and ends[1],
        link=link,
        values=f"{score(row.before)} → {score(row.after)}",
        change=change(row.after - row.before),
        change_css=css,
        interval=interval,
    )


def before_after(
    rows: Sequence[PairRow],
    *,
    finding: str,
    caption: str = "mean score on the validation prompts, 0 worst to 1 best",
    head: str = "Topic",
) -> BeforeAfter:
    """A ring (base model) and a dot (your model) per row, with a whisker where the true value lies 95 times in 100.

    The whisker is drawn at the base model's score plus the interval of the change. A row with ``total`` is set apart.
    """
    best = max([1.0, *(v for r in rows for v in (r.before, r.after))])  # no interval can reach beyond the best score
    values = [
        v for r in rows for v in (r.before, r.after, r.before + (r.low or 0), min(best, r.before + (r.high or 0)))
    ]
    scale = ticks(max(0.0, min(values, default=0.0)), max(values, default=1.0), 6)
    low, high, step = scale[0], scale[-1], scale[1] - scale[0]
    pairs, y = [], 0
    for row in rows:
        pairs.append(_pair(row, y, low, high))
        y += 56 if row.total else 50
    last = len(scale) - 1
    axis = tuple(
        AxisTick(pct(t, low, high), tick_text(t, step), "" if i == 0 else "end" if i == last else "mid")
        for i, t in enumerate(scale)
    )
    table = Table.of(
        finding,
        (head, "Prompts", "Before", "After", "Change", "95\u00a0% interval"),
        [
            (
                row.label,
                number(row.prompts),
                score(row.before),
                score(row.after),
                change(row.after - row.before),
                f"{change(row.low)} to {change(row.high)}" if row.low is not None else "–",
            )
            for row in rows
        ],
    )
    return BeforeAfter(finding, tuple(pairs), axis, y + 2, caption, table)

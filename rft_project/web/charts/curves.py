"""Curves over training steps: the reward curve and its small sisters. The rules stand in ``__init__.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rft_project.web.charts.scale import AxisTick, Table, nice_step, pct, tick_text, ticks
from rft_project.web.text import change, number, score

TOP, BOTTOM = 20, 335  # px of the plot's inside
LEFT = 7.69  # percent kept free for the labels on the grid lines
MOST_POINTS = 300  # more are averaged: the eye cannot tell, the page can
APART = 17  # px between two labels

Points = Sequence[tuple[float, float]]  # (step, value), steps rising
Pixels = Sequence[tuple[float, float]]  # (percent, px)


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    text: str  # for hover


@dataclass(frozen=True)
class EndLabel:
    x: float
    y: float
    word: str
    value: str
    css: str
    dx: int


@dataclass(frozen=True)
class GridLine:
    y: float
    text: str
    axis: bool

    @property
    def text_y(self) -> float:
        return self.y - 5


@dataclass(frozen=True)
class LineChart:
    template: ClassVar[str] = "ui/chart_line.html"
    finding: str
    empty: bool
    grid: tuple[GridLine, ...]
    axis: tuple[AxisTick, ...]
    line: str  # "x,y x,y" in a box of 1000 wide
    dots: tuple[Dot, ...]
    thin: str
    base: float | None  # y of the base model
    base_text: str
    base_text_y: float
    base_left: bool  # its label stands left, because the lines end at the right
    labels: tuple[EndLabel, ...]
    ahead: float | None  # x from which nothing has run yet
    x_caption: str
    y_caption: str
    main_label: str
    thin_label: str
    base_label: str
    table: Table
    noun: str = "prompts"  # what the lines are of, in the legend
    left: float = LEFT
    bottom: int = BOTTOM
    height: int = 379

    @property
    def ahead_middle(self) -> float:
        return 0.0 if self.ahead is None else round((self.ahead + 100) / 2, 2)

    @property
    def ahead_width(self) -> float:
        return 0.0 if self.ahead is None else round(100 - self.ahead, 2)


def averaged(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most ``most`` points: neighbours are averaged, the last one stays as it is."""
    if len(points) <= most:
        return list(points)
    size = -(-(len(points) - 1) // (most - 1))
    groups = [points[i : i + size] for i in range(0, len(points) - 1, size)]
    means = [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
    return [*means, points[-1]]


def _path(points: Pixels) -> str:
    return " ".join(f"{x * 10:.1f},{y:.1f}" for x, y in points)


def _end_labels(
    main: Pixels, thin: Pixels, words: tuple[str, str], values: tuple[str, str], last: float
) -> tuple[EndLabel, ...]:
    """Name and value where each line ends: to its right, or, where that is outside, above and below all lines there."""
    inside = last > 80
    ends = [(points[-1][1], i) for i, points in enumerate((main, thin)) if points]
    ends.sort()  # the upper one first
    ys = [y + 4 for y, _ in ends]
    if inside:
        near = [y for points in (main, thin) for x, y in points if x > last - 26]
        ys = [max(12.0, min(near) - 9), min(BOTTOM - 6.0, max(near) + 18)][: len(ends)]
    elif len(ys) == 2 and ys[1] - ys[0] < APART:
        middle = sum(ys) / 2
        ys = [middle - APART / 2, middle + APART / 2]
    made = []
    for (_, i), y in zip(ends, ys, strict=True):
        css = " ".join(part for part in ("acc" if i == 0 else "", "end halo" if inside else "") if part)
        made.append(EndLabel(last, round(y, 1), words[i], values[i], css, -6 if inside else 10))
    return tuple(made)


def _x_axis(end: float) -> tuple[AxisTick, ...]:
    step = max(1.0, nice_step(end, 6))
    made = [AxisTick(LEFT, "0", "mid")]
    value = step
    while value < end * 0.88:
        made.append(AxisTick(round(LEFT + pct(value, 0, end) * (100 - LEFT) / 100, 2), number(value), "mid"))
        value += step
    return (*made, AxisTick(100.0, number(end), "end"))


def _table(points: Points, finding: str, main_label: str, base_label: str, baseline: float | None) -> Table:
    heads = ("Step", f"{main_label.capitalize()} reward", f"Change from {base_label}")
    off = (lambda y: "–") if baseline is None else (lambda y: change(y - baseline, 3))
    return Table.of(finding, heads, [(number(x), score(y, 3), off(y)) for x, y in points])


def reward_curve(
    validation: Points,
    training: Points = (),
    *,
    finding: str,
    baseline: float | None = None,
    total: float | None = None,
    main_label: str = "validation",
    thin_label: str = "training",
    base_label: str = "base model",
    x_caption: str = "training step",
    y_caption: str = "reward, 0 worst to 1 best",
) -> LineChart:
    """Thick line with dots (validation), thin line (training), dashed line (base model), grey: still to run.

    ``total``: the last step planned; None when it is not known or all have run. Where a line ends its name and value
    stand beside it.
    """
    thin = averaged(training)
    points = [*validation, *thin]
    values = [y for _, y in points] + ([baseline] if baseline is not None else [])
    reached = max((x for x, _ in points), default=0)
    end = max(float(total or 0), reached, 1)
    scale = ticks(min(values, default=0.0), max(values, default=1.0), 4)
    low, high, step = scale[0], scale[-1], scale[1] - scale[0]

    def x_of(x: float) -> float:
        return round(LEFT + pct(x, 0, end) * (100 - LEFT) / 100, 2)

    def y_of(y: float) -> float:
        return round(BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP), 1)

    main_line = [(x_of(x), y_of(y)) for x, y in validation]
    thin_line = [(x_of(x), y_of(y)) for x, y in thin]
    ends = (score(validation[-1][1]) if validation else "", score(thin[-1][1]) if thin else "")
    base = None if baseline is None else y_of(baseline)
    latest = validation[-1][1] if validation else (thin[-1][1] if thin else None)
    below = base is not None and base + 18 < BOTTOM and (latest is None or baseline is None or latest >= baseline)
    ahead = x_of(reached) if points and total and reached < total else None
    return LineChart(
        finding=finding,
        empty=not points,
        grid=tuple(GridLine(y_of(t), tick_text(t, step), axis=i == 0) for i, t in enumerate(scale)),
        axis=_x_axis(end),
        line=_path(main_line),
        dots=tuple(Dot(x_of(x), y_of(y), f"step {number(x)}: {score(y, 3)}") for x, y in validation),
        thin=_path(thin_line),
        base=base,
        base_text=f"{base_label} {score(baseline)}" if baseline is not None else "",
        base_text_y=0.0 if base is None else round(base + 16 if below else base - 7, 1),
        base_left=bool(points) and x_of(reached) > 80,
        labels=_end_labels(main_line, thin_line, (main_label, thin_label), ends, x_of(reached)),
        ahead=ahead,
        x_caption=x_caption,
        y_caption=y_caption,
        main_label=main_label if validation else "",
        thin_label=thin_label if thin else "",
        base_label=f"{base_label} before training" if baseline is not None else "",
        table=_table(validation, finding, main_label, base_label, baseline),
    )


def level_curve(points: Points, *, finding: str, label: str, x_caption: str, y_caption: str, table: Table) -> LineChart:
    """One thick line with dots, of any figure from 0 to 1, over steps; ``label`` stands where it ends."""
    drawn = reward_curve(points, finding=finding, main_label=label, x_caption=x_caption, y_caption=y_caption)
    return replace(drawn, table=table, noun="")


@dataclass(frozen=True)
class Sparkline:
    template: ClassVar[str] = "ui/chart_spark.html"
    finding: str
    line: str
    base: float | None
    last: Dot | None
    height: int = 72
    bottom: float = 70.5


def sparkline(
    points: Points, *, finding: str, base: float | None = None, low: float | None = None, high: float | None = None
) -> Sparkline:
    """A small curve without labels; give several of them the same ``low`` and ``high`` to make them comparable."""
    points = averaged(points, 120)
    values = [y for _, y in points] + ([base] if base is not None else [])
    bottom = min(values, default=0.0) if low is None else low
    top = max(values, default=1.0) if high is None else high
    if not top > bottom:
        bottom, top = bottom - 0.5, top + 0.5
    first, end = (points[0][0], points[-1][0]) if points else (0.0, 1.0)

    def x_of(x: float) -> float:
        return pct(x, first, end)

    def y_of(y: float) -> float:
        return round(66 - (y - bottom) / (top - bottom) * 60, 1)

    last = Dot(x_of(end), y_of(points[-1][1]), score(points[-1][1])) if len(points) == 1 else None
    return Sparkline(
        finding, _path([(x_of(x), y_of(y)) for x, y in points]), None if base is None else y_of(base), last
    )

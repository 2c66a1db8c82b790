"""What all charts share: percent places, round ticks, the table under the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rft_project.web.text import number

LABEL_LENGTH = 34  # characters; longer ones are cut in the drawing and whole in the table


@dataclass(frozen=True)
class Cell:
    text: str
    badge: str = ""  # tone; the text then stands in a badge
    label: str = ""  # the column's head, repeated where the table folds
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """The chart's figures as rows; the first cell of a row is its head."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, caption: str, heads: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> Table:
        made = []
        for row in rows:
            cells = [c if isinstance(c, Cell) else Cell(c) for c in row]
            made.append(
                tuple(
                    Cell(c.text, c.badge, "" if i == 0 else head, numeric=i > 0 and not c.badge)
                    for i, (c, head) in enumerate(zip(cells, heads, strict=True))
                )
            )
        return cls(caption, tuple(heads), tuple(made))


def cut(label: str, length: int = LABEL_LENGTH) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"


def pct(value: float, low: float, high: float) -> float:
    """Where ``value`` lies between ``low`` and ``high``, in percent, kept within 0 to 100, two decimals."""
    if high <= low:
        return 0.0
    return round(min(100.0, max(0.0, (value - low) / (high - low) * 100)), 2)


def nice_step(span: float, parts: int) -> float:
    """1, 2 or 5 times a power of ten, the smallest that covers ``span`` in at most ``parts`` steps."""
    raw = span / max(parts, 1)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    for factor in (1, 2, 5, 10):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10 * power


def ticks(low: float, high: float, parts: int = 4) -> tuple[float, ...]:
    """Round values from at or below ``low`` to at or above ``high``; at least two."""
    if not high > low:
        low, high = low - 0.05, high + 0.05
    step = nice_step(high - low, parts)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if last == first:
        last += 1
    return tuple(round(i * step, 10) for i in range(first, last + 1))


def tick_text(value: float, step: float) -> str:
    """``value`` with as many decimals as ``step`` needs, four at most: 0.25 -> "0.50" for two quarters."""
    places = next((p for p in range(4) if math.isclose(round(step, p), step, rel_tol=1e-6)), 4)
    return number(value, places)


@dataclass(frozen=True)
class AxisTick:
    at: float
    text: str
    css: str  # "", "mid", "mid wide", "end"

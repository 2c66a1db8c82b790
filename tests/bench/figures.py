"""What a suite hands back, and how it is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.bench.contest import Contest


@dataclass(frozen=True)
class Bar:
    """One measured bar. ``holds`` is None where there is no bar: a figure for the record."""

    what: str
    measured: str
    bar: str = ""
    holds: bool | None = None

    def cells(self) -> tuple[str, ...]:
        said = {True: "holds", False: "**misses**", None: ""}[self.holds]
        return (self.what, self.measured, self.bar, said)


@dataclass
class Section:
    """The bars of one suite, the tables behind them, and notes on how it was measured."""

    title: str
    bars: list[Bar] = field(default_factory=list)
    tables: list[tuple[tuple[str, ...], list[tuple[str, ...]]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    when: str = ""
    commit: str = ""
    command: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Section:
        bars = [Bar(**bar) for bar in value.pop("bars")]
        tables = [(tuple(head), [tuple(row) for row in rows]) for head, rows in value.pop("tables")]
        return cls(bars=bars, tables=tables, **value)

    def as_markdown(self) -> str:
        parts = [f"## {self.title}", table(("what", "measured", "bar", ""), [bar.cells() for bar in self.bars])]
        parts += [table(head, rows) for head, rows in self.tables]
        parts += self.notes
        parts.append(f"`{self.command}` · {self.when} · commit {self.commit}")
        return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; '' without rows."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) if rows else ""


def ratio_bar(what: str, contest: Contest, limit: float, bar: str = "") -> Bar:
    """Median ratio with its range, against an upper limit."""
    found = contest.ratios
    said = f"{median(found):.3f} ({min(found):.3f}–{max(found):.3f}, {len(found)} pairs)"
    return Bar(what, said, bar or f"≤ {limit:g}", median(found) <= limit)


def at_most(what: str, value: float, limit: float, unit: str, digits: int = 1) -> Bar:
    return Bar(what, f"{value:,.{digits}f} {unit}", f"≤ {limit:g} {unit}", value <= limit)


def seconds_row(name: str, contest: Contest, records: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The absolute figures of a contest: medians, for orientation only."""
    head = (name, "CPU s", "of it database server", "CPU s / 100k records", "wall s")
    rows = []
    for who, runs in (("RFT Studio", contest.ours), ("the other", contest.theirs)):
        cpu, server, wall = (median(getattr(run, field) for run in runs) for field in ("cpu", "server", "wall"))
        rows.append((who, f"{cpu:.2f}", f"{server:.2f}", f"{cpu * 1e5 / records:.2f}", f"{wall:.2f}"))
    return head, rows

"""One bar in parts (better, same, worse), and the three buckets of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rft_project.web.text import number, score


@dataclass(frozen=True)
class Part:
    """``kind``: acc (yours, can learn), mute (before, solved, same) or hatch (out of reach, worse)."""

    label: str
    value: float
    kind: str = "acc"
    note: str = ""  # more words for wide screens


@dataclass(frozen=True)
class Segment:
    x: float
    width: float
    kind: str
    text: str
    note: str
    text_x: float
    css: str


@dataclass(frozen=True)
class StackedBar:
    template: ClassVar[str] = "ui/chart_stacked.html"
    finding: str
    segments: tuple[Segment, ...]
    thickness: int
    labelled: bool

    @property
    def height(self) -> int:
        return self.thickness + 28 if self.labelled else self.thickness

    @property
    def text_y(self) -> int:
        return self.thickness + 20


def stacked(parts: Sequence[Part], *, finding: str = "", thickness: int = 30, labelled: bool = True) -> StackedBar:
    """A bar of full width, a segment for each part; labels below: first left, last right, middle near its part."""
    total = sum(part.value for part in parts)
    segments, start = [], 0.0
    for i, part in enumerate(parts):
        width = part.value / total * 100 if total else 0.0
        middle = start + width / 2
        if i == 0:
            place, anchor = 0.0, ""
        elif i == len(parts) - 1:
            place, anchor = 100.0, "end"
        else:  # kept off the outer labels
            place, anchor = min(66.0, max(36.0, middle)), "mid"
        css = f"{'acc' if part.kind == 'acc' else 'strong'} {anchor}".strip()
        text = f"{number(part.value)} {part.label}"
        segments.append(Segment(round(start, 2), round(width, 2), part.kind, text, part.note, round(place, 2), css))
        start += width
    return StackedBar(finding, tuple(segments), thickness, labelled)


@dataclass(frozen=True)
class BucketRow:
    """One topic: prompts whose answers all score high, differ, or all score low; ``mean`` score of all answers."""

    label: str
    solved: int
    learn: int
    out: int
    mean: float | None = None
    badge: str = ""
    tone: str = "warn"


@dataclass(frozen=True)
class BucketTopic:
    row: BucketRow
    prompts: int
    mean: str
    bar: StackedBar


@dataclass(frozen=True)
class Buckets:
    template: ClassVar[str] = "ui/chart_buckets.html"
    finding: str
    bar: StackedBar
    topics: tuple[BucketTopic, ...] = field(default=())


def _three(solved: int, learn: int, out: int) -> tuple[Part, ...]:
    return (
        Part("solved", solved, "mute"),
        Part("can learn", learn, "acc"),
        Part("out", out, "hatch", " of reach"),
    )


def buckets(solved: int, learn: int, out: int, rows: Sequence[BucketRow] = ()) -> Buckets:
    """The three buckets of a dry run for all prompts, then for each topic."""
    finding = (
        f"Of {number(solved + learn + out)} prompts {number(solved)} are already solved, "
        f"{number(learn)} can learn, {number(out)} are out of reach."
    )
    topics = tuple(
        BucketTopic(
            row,
            row.solved + row.learn + row.out,
            score(row.mean),
            stacked(_three(row.solved, row.learn, row.out), thickness=18, labelled=False),
        )
        for row in rows
    )
    return Buckets(finding, stacked(_three(solved, learn, out), finding=finding), topics)

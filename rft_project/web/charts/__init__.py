"""Geometry of the charts: numbers in, frozen dataclasses out, nothing drawn here. ``{% chart obj %}`` draws them.

Rules (the style page shows each): x in percent of the width, y in pixels, so that text keeps its size on a phone.
Every chart has a ``finding`` (a sentence: the SVG's title) and a table (its accessible form). Accent is what you have
or your model; grey is before; hatched is missing or out of reach; dashed is the base model; a tick is a target.
"""

from __future__ import annotations

from rft_project.web.charts.bars import BarChart, BarRow, bar_rows
from rft_project.web.charts.curves import LineChart, Sparkline, level_curve, reward_curve, sparkline
from rft_project.web.charts.histogram import bin_counts, histogram
from rft_project.web.charts.pairs import PairRow, before_after
from rft_project.web.charts.parts import BucketRow, Part, buckets, stacked
from rft_project.web.charts.scale import Cell, Table

__all__ = [
    "BarChart",
    "BarRow",
    "BucketRow",
    "Cell",
    "LineChart",
    "PairRow",
    "Part",
    "Sparkline",
    "Table",
    "bar_rows",
    "before_after",
    "bin_counts",
    "buckets",
    "histogram",
    "level_curve",
    "reward_curve",
    "sparkline",
    "stacked",
]

"""Geometry by numbers; drawing is only checked where a figure could be lost on the way."""

from __future__ import annotations

import re

import pytest
from django.template import Context, Template

from rft_project.web import charts
from rft_project.web.charts.curves import BOTTOM, LEFT, TOP, averaged
from rft_project.web.charts.scale import cut, nice_step, pct, ticks


def draw(obj: object) -> str:
    return Template("{% chart obj %}").render(Context({"obj": obj}))


@pytest.mark.parametrize(
    ("low", "high", "parts", "expected"),
    [
        (0.45, 0.61, 4, (0.45, 0.5, 0.55, 0.6, 0.65)),
        (0.0, 1.0, 4, (0.0, 0.5, 1.0)),
        (0.2, 0.8, 6, (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
        (0.5, 0.5, 4, (0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56)),
        (-0.09, 0.17, 4, (-0.1, 0.0, 0.1, 0.2)),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low, high, parts, expected):
    made = ticks(low, high, parts)
    if low != high:
        assert made == expected
    assert made[0] <= low
    assert made[-1] >= high
    assert len(made) >= 2


@pytest.mark.parametrize(("span", "parts", "step"), [(0.16, 4, 0.05), (240, 6, 50), (7, 7, 1), (0.0021, 4, 0.001)])
def test_nice_step_is_one_two_or_five_times_a_power_of_ten(span, parts, step):
    assert nice_step(span, parts) == pytest.approx(step)


def test_pct_stays_between_0_and_100():
    assert [pct(v, 10, 20) for v in (5, 10, 12.5, 20, 99)] == [0.0, 0.0, 25.0, 100.0, 100.0]
    assert pct(1, 3, 3) == 0.0


def test_long_labels_are_cut_with_an_ellipsis():
    assert cut("short") == "short"
    assert cut("x" * 40) == "x" * 33 + "…"


def test_bar_rows_place_bars_gaps_and_targets():
    rows = [charts.BarRow("a", 30, 20), charts.BarRow("b", 10, 20), charts.BarRow("c", 5, hatched=True)]
    chart = charts.bar_rows(rows, finding="a leads", top=40)
    assert [(bar.width, bar.gap, bar.target) for bar in chart.bars] == [
        (75.0, 0.0, 50.0),
        (25.0, 25.0, 50.0),
        (12.5, 0.0, None),
    ]
    assert [(bar.text_y, bar.bar_y, bar.tick_bottom) for bar in chart.bars] == [
        (13, 20, 35),
        (57, 64, 79),
        (101, 108, 123),
    ]
    assert (chart.height, chart.has_gap, chart.left_out) == (124, True, 0)


def test_bar_rows_the_caller_decides_what_is_short():
    chart = charts.bar_rows([charts.BarRow("a", 19, 20, short=False)], finding="near enough", top=40)
    assert chart.bars[0].gap == 0.0


def test_bar_rows_without_a_scale_leave_room_over_the_largest():
    chart = charts.bar_rows([charts.BarRow("a", 50, 100), charts.BarRow("b", 10)], finding="")
    assert chart.bars[0].target == pytest.approx(92.59)
    assert chart.bars[1].width == pytest.approx(9.26)


def test_bar_rows_say_how_many_rows_are_not_drawn():
    chart = charts.bar_rows([charts.BarRow(f"t{i}", i) for i in range(77)], finding="77 topics", most=20)
    assert (len(chart.bars), chart.left_out) == (20, 57)
    assert "57 more are in the table" in draw(chart)


def test_bar_rows_of_nothing_draw_an_empty_chart():
    chart = charts.bar_rows([], finding="no records")
    assert (chart.bars, chart.height, chart.target_label) == ((), 0, "")


def test_attributes_of_a_tall_chart_have_no_thousands_comma():
    chart = charts.bar_rows([charts.BarRow(f"t{i}", 12345) for i in range(40)], finding="tall", most=40)
    html = draw(chart)
    assert 'height="1752"' in html
    assert not re.search(r'="[\d.]*,[\d.,]*%?"', html)
    assert "12,345" in html


def test_bin_counts_put_the_upper_edge_into_the_last_bin():
    assert charts.bin_counts([0.0, 0.05, 0.1, 0.3, 0.99, 1.0, 1.7, -3.0, float("nan")]) == [
        3,
        1,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        3,
    ]


def test_histogram_heights_are_shares_of_the_tallest():
    chart = charts.histogram([168, 84, 0, 1], finding="", mean=0.25, unit="answers")
    assert [(c.x, c.width, c.middle) for c in chart.columns] == [
        (0.5, 24.0, 12.5),
        (25.5, 24.0, 37.5),
        (50.5, 24.0, 62.5),
        (75.5, 24.0, 87.5),
    ]
    assert [(c.height, c.y) for c in chart.columns] == [(168.0, 42.0), (84.0, 126.0), (0.0, 210.0), (1.0, 209.0)]
    assert (chart.mean, chart.mean_text, chart.mean_left) == (25.0, "mean 0.25", False)
    assert [cell.text for cell in chart.table.rows[1]] == ["0.25 to 0.50", "84", "33.2\u00a0%"]


def test_histogram_label_of_a_high_mean_stands_left_of_its_rule():
    assert charts.histogram([1, 2], finding="", mean=0.9).mean_left is True


def test_histogram_of_no_scores_has_no_shares():
    chart = charts.histogram([0] * 10, finding="nothing")
    assert {c.height for c in chart.columns} == {0.0}
    assert [row[2].text for row in chart.table.rows] == ["–"] * 10
    assert [tick.text for tick in chart.axis] == [
        "0",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.5",
        "0.6",
        "0.7",
        "0.8",
        "0.9",
        "1",
    ]


def test_stacked_segments_fill_the_width_and_labels_keep_apart():
    bar = charts.stacked([charts.Part("better", 5), charts.Part("same", 0, "mute"), charts.Part("worse", 15, "hatch")])
    assert [(s.x, s.width) for s in bar.segments] == [(0.0, 25.0), (25.0, 0.0), (25.0, 75.0)]
    assert [(s.text_x, s.css) for s in bar.segments] == [(0.0, "acc"), (36.0, "strong mid"), (100.0, "strong end")]
    assert [s.text for s in bar.segments] == ["5 better", "0 same", "15 worse"]
    assert (bar.height, bar.text_y) == (58, 50)


def test_stacked_bar_of_nothing_has_no_width():
    assert [s.width for s in charts.stacked([charts.Part("a", 0), charts.Part("b", 0)]).segments] == [0.0, 0.0]


def test_buckets_add_up_per_topic():
    chart = charts.buckets(76, 168, 56, [charts.BucketRow("order_status", 20, 38, 4, 0.57)])
    assert chart.finding == "Of 300 prompts 76 are already solved, 168 can learn, 56 are out of reach."
    assert (chart.topics[0].prompts, chart.topics[0].mean) == (62, "0.57")
    assert [round(s.width, 1) for s in chart.topics[0].bar.segments] == [32.3, 61.3, 6.5]
    html = draw(chart)
    assert html.count("<svg") == html.count("</svg>")
    assert 'data-l="Can learn"><b>38</b>' in html


def test_before_after_draws_the_whisker_at_baseline_plus_interval():
    rows = [
        charts.PairRow("All", 302, 0.4, 0.6, 0.1, 0.3, total=True),
        charts.PairRow("unclear", 19, 0.4, 0.5, -0.1, 0.3),
        charts.PairRow("worse", 40, 0.8, 0.6, -0.3, -0.1),
    ]
    chart = charts.before_after(rows, finding="")
    assert [tick.text for tick in chart.axis] == ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]
    total, unclear, worse = chart.pairs
    assert (total.before, total.after, total.low, total.high) == (20.0, 60.0, 40.0, 80.0)
    assert total.link == (20.0, 40.0)
    assert (total.y, unclear.y, worse.y, chart.base, chart.height) == (0, 56, 106, 158, 200)
    assert (total.change_css, unclear.change_css, worse.change_css) == ("acc", "strong", "worse")
    assert unclear.prompts == "19 prompts · unclear"
    assert unclear.link is None
    assert worse.link == (100.0, 80.0)
    assert (worse.change, worse.interval) == ("−0.20", "(−0.30 to −0.10)")


def test_before_after_without_an_interval_is_not_called_clear():
    chart = charts.before_after([charts.PairRow("All", 1, 0.2, 0.9)], finding="")
    pair = chart.pairs[0]
    assert (pair.low, pair.interval, pair.change_css, pair.prompts) == (None, "", "strong", "1 prompt · unclear")
    assert chart.table.rows[0][5].text == "–"


def test_reward_curve_maps_steps_and_rewards():
    chart = charts.reward_curve([(0, 0.4), (50, 0.6)], [(0, 0.45), (50, 0.5)], finding="", baseline=0.4, total=100)
    assert [g.text for g in chart.grid] == ["0.40", "0.45", "0.50", "0.55", "0.60"]
    assert (chart.grid[0].y, chart.grid[-1].y) == (BOTTOM, TOP)
    assert [(d.x, d.y) for d in chart.dots] == [(LEFT, 335.0), (53.84, 20.0)]
    assert chart.line == "76.9,335.0 538.4,20.0"
    assert (chart.base, chart.base_text, chart.base_left) == (335.0, "base model 0.40", False)
    assert (chart.ahead, chart.ahead_width) == (53.84, 46.16)
    assert [(label.word, label.value, label.y) for label in chart.labels] == [
        ("validation", "0.60", 24.0),
        ("training", "0.50", 181.5),
    ]
    assert [cell.text for cell in chart.table.rows[1]] == ["50", "0.600", "+0.200"]


def test_reward_curve_labels_that_would_touch_are_moved_apart():
    chart = charts.reward_curve([(0, 0.1), (10, 0.9)], [(0, 0.1), (10, 0.89)], finding="", total=40)
    upper, lower = chart.labels
    assert (upper.word, lower.word) == ("validation", "training")
    assert lower.y - upper.y == pytest.approx(17)


def test_reward_curve_that_has_ended_puts_labels_above_and_below_the_lines():
    chart = charts.reward_curve(
        [(0, 0.4), (90, 0.5), (100, 0.5)], [(0, 0.4), (90, 0.6), (100, 0.6)], finding="", baseline=0.4, total=100
    )
    upper, lower = chart.labels
    near = [
        float(pair.split(",")[1]) for pair in (chart.line + " " + chart.thin).split() if float(pair.split(",")[0]) > 740
    ]
    assert (upper.word, lower.word) == ("training", "validation")
    assert upper.y < min(near) <= max(near) < lower.y
    assert (chart.ahead, chart.base_left) == (None, True)


def test_reward_curve_before_the_first_figure_keeps_its_frame():
    chart = charts.reward_curve([], finding="nothing yet", total=240)
    assert (chart.empty, chart.labels, chart.height) == (True, (), 379)
    assert "No figures yet" in draw(chart)


def test_reward_curve_with_one_flat_point_has_a_scale():
    chart = charts.reward_curve([(0, 0.5)], finding="start", baseline=0.5)
    assert chart.grid[0].y == BOTTOM
    assert chart.grid[-1].y == TOP
    assert len(chart.dots) == 1


def test_reward_curve_x_labels_end_at_the_last_step():
    chart = charts.reward_curve([(0, 0.1)], finding="", total=240)
    assert [(t.text, t.css) for t in chart.axis] == [
        ("0", "mid"),
        ("50", "mid"),
        ("100", "mid"),
        ("150", "mid"),
        ("200", "mid"),
        ("240", "end"),
    ]


def test_averaged_keeps_the_last_point_and_the_mean():
    points = [(i, float(i % 2)) for i in range(10_001)]
    made = averaged(points, 300)
    assert len(made) <= 300
    assert made[-1] == (10_000, 0.0)
    assert all(0.4 < y < 0.6 for _, y in made[:-2])
    assert averaged(points[:5], 300) == points[:5]


def test_sparkline_shares_a_scale_when_told_to():
    spark = charts.sparkline([(0, 0.3), (10, 0.7)], finding="rising", base=0.3, low=0.0, high=1.0)
    assert spark.line == "0.0,48.0 1000.0,24.0"
    assert spark.base == 48.0
    single = charts.sparkline([(3, 0.5)], finding="one")
    assert single.last is not None


def test_every_drawing_states_its_finding_and_escapes_it():
    finding = 'Rise & fall of "<b>"'
    escaped = "<title>Rise &amp; fall of &quot;&lt;b&gt;&quot;</title>"
    made = [
        charts.bar_rows([charts.BarRow("<i>", 1, 2)], finding=finding),
        charts.histogram([1, 2], finding=finding, mean=0.5),
        charts.stacked([charts.Part("a", 1)], finding=finding),
        charts.before_after([charts.PairRow("<i>", 3, 0.1, 0.2, 0.0, 0.2)], finding=finding),
        charts.reward_curve([(0, 0.1), (5, 0.2)], finding=finding, baseline=0.1),
        charts.sparkline([(0, 0.1), (5, 0.2)], finding=finding),
    ]
    for chart in made:
        html = draw(chart)
        assert escaped in html
        assert "<i>" not in html
        assert "style=" not in html

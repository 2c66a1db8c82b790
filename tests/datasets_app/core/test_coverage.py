from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.coverage import (
    balance_band,
    balance_score,
    coverage,
    effective_targets,
    group_counts,
    leaf_counts,
)
from datasets_app.core.topics import parse_tree

COUNTS = st.dictionaries(st.sampled_from([f"t{i}" for i in range(12)]), st.integers(0, 500), min_size=1)
TARGETS = st.dictionaries(st.sampled_from([f"t{i}" for i in range(14)]), st.floats(0, 150))


def test_the_report_of_a_known_dataset() -> None:
    report = coverage({"a": 60, "b": 30, "c": 10}, unknown=5, uncategorized=2)
    assert report.to_json() == {
        "total_records": 100,
        "distribution": {
            "a": {"count": 60, "percentage": 60.0, "target_percentage": 33.3333, "gap": -26.6667, "status": "over"},
            "b": {"count": 30, "percentage": 30.0, "target_percentage": 33.3333, "gap": 3.3333, "status": "ok"},
            "c": {"count": 10, "percentage": 10.0, "target_percentage": 33.3333, "gap": 23.3333, "status": "under"},
        },
        "balance_score": 0.1667,
        "band": "critical",
        "recommendations": ["C: generate about 24 more, it has 10.0 % of the records and should have 33.3 %."],
        "unknown": 5,
        "uncategorized": 2,
    }


@pytest.mark.parametrize(
    ("count", "target", "status", "needed"),
    [
        (50, 55.0, "ok", None),  # gap of exactly 5
        (50, 55.1, "under", None),
        (50, 45.0, "ok", None),
        (50, 44.9, "over", None),
        (50, 60.0, "under", None),  # gap of exactly 10
        (50, 60.1, "under", 11),  # 10.1 % of 100
        (50, 61.0, "under", 11),  # not 12: 11.000000000000007 is 11
    ],
)
def test_thresholds(count: int, target: float, status: str, needed: int | None) -> None:
    report = coverage({"a": count, "b": 100 - count}, {"a": target})
    assert report.distribution["a"].status == status
    assert [item.needed for item in report.recommendations if item.topic == "a"] == ([needed] if needed else [])


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (1.0, "excellent"),
        (0.8, "excellent"),
        (0.79, "good"),
        (0.6, "good"),
        (0.59, "fair"),
        (0.4, "fair"),
        (0.39, "poor"),
        (0.2, "poor"),
        (0.19, "critical"),
        (0.0, "critical"),
        (None, "one topic"),
    ],
)
def test_bands(score: float | None, band: str) -> None:
    assert balance_band(score) == band


def test_one_topic_is_not_a_perfect_balance() -> None:
    report = coverage({"only": 40})
    assert (report.balance_score, report.band) == (None, "one topic")
    assert report.distribution["only"].status == "ok"
    assert report.recommendations == []


def test_an_empty_topic_makes_the_balance_nothing() -> None:
    report = coverage({"a": 50, "b": 50, "c": 0})
    assert (report.balance_score, report.band) == (0.0, "critical")
    assert [(item.topic, item.needed) for item in report.recommendations] == [("c", 34)]


def test_all_unknown() -> None:
    report = coverage({"a": 0, "b": 0}, unknown=90, uncategorized=10)
    assert report.total_records == 0
    assert report.balance_score == 0.0
    assert report.recommendations == []
    assert [entry.percentage for entry in report.distribution.values()] == [0.0, 0.0]


def test_no_topics_at_all() -> None:
    report = coverage({}, uncategorized=3)
    assert (report.total_records, report.distribution, report.band) == (0, {}, "one topic")


def test_targets() -> None:
    counts = {"a": 1, "b": 1, "c": 1}
    assert effective_targets(counts, {"a": 50}) == {"a": 50, "b": 25, "c": 25}
    assert effective_targets(counts, {"a": 30, "b": 30, "c": 30}) == pytest.approx(
        {"a": 100 / 3, "b": 100 / 3, "c": 100 / 3}
    )
    assert effective_targets(counts, {"a": 150, "b": 50}) == {"a": 75, "b": 25, "c": 0}
    assert effective_targets(counts, {"a": 0, "b": 0, "c": 0}) == pytest.approx(
        {"a": 100 / 3, "b": 100 / 3, "c": 100 / 3}
    )
    assert effective_targets(counts, {"gone": 50}) == pytest.approx({"a": 100 / 3, "b": 100 / 3, "c": 100 / 3})


def test_nested_trees_count_by_leaf() -> None:
    tree = parse_tree({"topics": {"group": {"subtopics": ["x", "y"]}, "z": {}}})
    stored = {"x": 3, "z": 4, "group": 2, "gone": 1, None: 5, "unknown": 6}
    leaves, unknown, uncategorized = leaf_counts(tree, stored)
    assert (leaves, unknown, uncategorized) == ({"x": 3, "y": 0, "z": 4}, 6, 8)
    assert group_counts(tree, leaves) == {"group": 3, "x": 3, "y": 0, "z": 4}


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        coverage({"a": -1})


@given(COUNTS, TARGETS)
def test_shares_and_targets_add_up(counts: dict[str, int], targets: dict[str, float]) -> None:
    report = coverage(counts, targets)
    assert sum(entry.target_percentage for entry in report.distribution.values()) == pytest.approx(100)
    if report.total_records:
        assert sum(entry.percentage for entry in report.distribution.values()) == pytest.approx(100)
        assert sum(entry.gap for entry in report.distribution.values()) == pytest.approx(0, abs=1e-6)


@given(COUNTS, TARGETS)
def test_recommendations_are_exactly_the_large_gaps(counts: dict[str, int], targets: dict[str, float]) -> None:
    report = coverage(counts, targets)
    large = {name for name, entry in report.distribution.items() if entry.gap > 10 + 1e-9 and report.total_records}
    assert {item.topic for item in report.recommendations} == large
    for item in report.recommendations:
        exact = report.distribution[item.topic].gap / 100 * report.total_records
        assert exact - 1e-6 <= item.needed <= math.ceil(exact)


@given(COUNTS)
def test_balance_is_the_smallest_over_the_largest(counts: dict[str, int]) -> None:
    score = balance_score(counts)
    if len(counts) < 2:
        assert score is None
    elif max(counts.values()) == 0:
        assert score == 0.0
    else:
        assert score == min(counts.values()) / max(counts.values())

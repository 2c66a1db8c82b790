from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.coverage import coverage
from datasets_app.core.coverage_lines import Line, Moved, balance_words, compared, gap_words, lines
from datasets_app.core.topics import parse_tree

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50))


def test_groups_stand_before_their_topics_with_the_sums() -> None:
    tree = parse_tree(
        {
            "topics": {
                "top": {"subtopics": ["mid", "c"]},
                "mid": {"subtopics": ["a", "b"]},
                "a": {},
                "b": {},
                "c": {},
                "d": {},
            }
        }
    )
    found = lines(tree, coverage({"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 40}))
    assert [tuple(round(x, 6) if isinstance(x, float) else x for x in line) for line in found] == [
        Line("top", 0, False, 6, 60.0, 80.0, 20.0),
        Line("mid", 1, False, 3, 30.0, 60.0, 30.0),
        Line("a", 2, True, 1, 10.0, 40.0, 30.0),
        Line("b", 2, True, 2, 20.0, 20.0, 0.0),
        Line("c", 1, True, 3, 30.0, 20.0, -10.0),
        Line("d", 0, True, 4, 40.0, 20.0, -20.0),
    ]
    assert lines(parse_tree({"topics": {}}), coverage({})) == []


def test_gaps_in_words() -> None:
    report = coverage({"a": 60, "b": 30, "c": 10}, unknown=5)
    assert [gap_words(topic) for topic in report.distribution.values()] == [
        "26.7 points over target",
        "on target",
        "23.3 points under target",
    ]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "There are no topics yet."),
        ({"a": 9}, "There is one topic, so there is nothing to balance."),
        ({"a": 0, "b": 0}, "No record is in a topic yet."),
        ({"a": 0, "b": 4}, "A has no records at all."),
        ({"a": 0, "b": 4, "c": 0}, "2 topics have no records at all."),
        ({"a": 1, "card_arrival": 4}, "A has 0.25 of the records of Card arrival, the largest."),
    ],
)
def test_the_balance_in_words(counts: dict[str, int], sentence: str) -> None:
    assert balance_words(coverage(counts, unknown=3)) == sentence


def test_two_moments_with_topics_that_came_and_went() -> None:
    assert compared({"a": 3, "b": 1}, {"c": 1, "b": 1}, ["b", "c", "later"]) == [
        Moved("b", 1, 1, 25.0, 50.0),
        Moved("c", None, 1, 0.0, 50.0),
        Moved("a", 3, None, 75.0, 0.0),
    ]


@given(COUNTS, COUNTS, st.permutations("abcdef"))
def test_every_topic_is_compared_once_and_shares_add_up(
    before: dict[str, int], after: dict[str, int], order: list[str]
) -> None:
    found = compared(before, after, order)
    assert sorted(move.name for move in found) == sorted(before.keys() | after.keys())
    assert sum(move.share_after for move in found) == pytest.approx(100 if sum(after.values()) else 0)
    assert sum(move.share_before for move in found) == pytest.approx(100 if sum(before.values()) else 0)

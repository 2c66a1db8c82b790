from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from graders_app.core.anti_patterns import find_anti_patterns, spearman

GOOD = [0.1, 0.5, 0.3, 0.9, 0.7, 0.2, 0.6, 0.4, 0.8, 1.0]


@pytest.mark.parametrize(
    ("rewards", "codes"),
    [
        (GOOD, []),
        ([], []),
        ([1.0] * 4, []),
        ([0.91, 0.95, 1.0, 0.99, 0.92], ["lenient"]),
        ([0.9, 0.95, 1.0, 0.99, 0.92], ["flat"]),
        ([0.0, 0.05, 0.09, 0.01, 0.02], ["strict"]),
        ([0.0] * 8, ["strict"]),
        ([0.5, 0.52, 0.48, 0.5, 0.51], ["flat"]),
        ([0.0, 1.0, 1.0, 0.0, 0.0], ["binary"]),
        ([0.95, 1.0, 1.0, 0.95, 0.95], ["lenient", "binary"]),
        ([0.5] * 6, ["flat"]),
    ],
)
def test_patterns_are_named(rewards, codes):
    assert [pattern.code for pattern in find_anti_patterns(rewards)] == codes


def test_messages_hold_the_numbers():
    assert find_anti_patterns([0.0, 1.0, 1.0, 0.0, 0.0])[0].message == (
        "The grader only ever gives 0 or 1: partial credit would show the model a way up."
    )
    assert find_anti_patterns([0.91, 0.95, 1.0, 0.99, 0.92])[0].message == (
        "Every answer scores above 0.9 (lowest 0.91): nothing to learn."
    )


@pytest.mark.parametrize(
    ("lengths", "found"),
    [
        ([int(100 * reward) for reward in GOOD], ("Longer", 1.0)),
        ([int(1000 - 100 * reward) for reward in GOOD], ("Shorter", -1.0)),
        ([50] * 10, None),
        ([9, 2, 8, 5, 1, 3, 7, 6, 4, 2], None),
    ],
)
def test_rewards_that_follow_length_are_told(lengths, found):
    patterns = find_anti_patterns(GOOD, lengths)

    if found is None:
        assert patterns == []
    else:
        assert [(pattern.code, pattern.value) for pattern in patterns] == [("length_driven", found[1])]
        assert patterns[0].message.startswith(f"{found[0]} answers score higher (rank correlation {found[1]:+.2f})")


@pytest.mark.parametrize(
    ("rewards", "chars", "tokens", "rows"),
    [
        ([0.96, 0.91, 1.0, 0.99, 0.92, 0.95], None, None, {"lenient": (1, 4, 5, 0, 3)}),  # the worst that still pass
        ([0.0, 0.05, 0.09, 0.01, 0.02, 0.0], None, None, {"strict": (2, 1, 4, 3, 0)}),  # the best that still fail
        ([0.5, 0.52, 0.48, 0.5, 0.51, 0.5], None, None, {"flat": (2, 0, 3, 4, 1)}),  # both ends
        ([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0], None, None, {"binary": (1, 4, 5, 2, 3)}),
        (GOOD, [int(100 * r) for r in GOOD], None, {"length_driven": (0, 9, 3, 5, 2)}),
        (GOOD, [int(900 - 100 * r) for r in GOOD], None, {"length_driven": (0, 9, 3, 5, 2)}),
        (GOOD, None, [2000] * 10, {}),
        (GOOD, None, [2000] * 7 + [2001, 2003, 2002], {"expensive": (8, 9, 7, 0, 1)}),
    ],
)
def test_each_pattern_names_the_rows_that_show_it_best(rewards, chars, tokens, rows):
    assert {found.code: found.rows for found in find_anti_patterns(rewards, chars, tokens)} == rows


def test_an_expensive_judge_is_told_with_what_a_training_would_take():
    (found,) = find_anti_patterns(GOOD, None, [3000, 4000] * 5)

    assert found.message == (
        "A judge reads and writes 3,500 tokens per answer: a training that asks for 10,000 answers pays for 35 million "
        "of them."
    )
    assert found.value == 3500


def test_length_needs_ten_rewards():
    assert find_anti_patterns(GOOD[:9], list(range(9))) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_rank_correlation_equals_scipys(pairs):
    left, right = [list(side) for side in zip(*pairs, strict=True)]
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert spearman(left, right) == 0.0
    else:
        assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic, abs=1e-9)


def test_rank_correlation_needs_two_sides_of_one_length():
    with pytest.raises(ValueError, match="same number"):
        spearman([1, 2], [1])

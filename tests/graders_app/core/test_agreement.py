from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders_app.core.agreement import (
    choose_for_rating,
    measure_agreement,
    quadratic_kappa,
    self_consistency,
)

STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


def agreeing(count: int, noise: float, seed: int = 1) -> tuple[list[float], list[int]]:
    random = Random(seed)
    ratings = [random.randrange(5) for _ in range(count)]
    return [min(1.0, max(0.0, rating / 4 + random.uniform(-noise, noise))) for rating in ratings], ratings


def test_kappa_of_a_worked_example():
    # Observed squared distances 0, 0, 1, 4, 0; expected ones from the margins of both raters: 2.36 per pair.
    left, right = [0, 1, 2, 4, 3], [0, 1, 3, 2, 3]
    expected = sum((a - b) ** 2 for a in left for b in right) / 25

    assert quadratic_kappa(left, right) == pytest.approx(1 - (5 / 5) / expected)


def test_kappa_at_its_ends():
    assert quadratic_kappa([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]) == 1.0
    assert quadratic_kappa([0, 4], [4, 0]) == -1.0
    assert quadratic_kappa([2, 2], [2, 2]) == 1.0
    assert quadratic_kappa([2, 2], [0, 4]) == 0.0


@given(STEPS)
def test_kappa_is_symmetric_and_at_most_one(pairs):
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    kappa = quadratic_kappa(left, right)

    assert kappa <= 1.0
    assert kappa == pytest.approx(quadratic_kappa(right, left))


def test_a_grader_that_ranks_as_people_do_can_be_trained_on():
    rewards, ratings = agreeing(30, noise=0.1)
    found = measure_agreement(rewards, ratings)

    assert found.verdict == "good"
    assert found.rank.low <= found.rank.value <= found.rank.high
    assert found.rank.low > 0.8
    assert found.kappa.value > 0.85
    assert found.advice.startswith("The grader ranks answers as you do (rank correlation 0.9")


def test_a_grader_that_looks_good_on_few_ratings_is_not_believed_yet():
    rewards, ratings = agreeing(10, noise=0.3, seed=5)
    found = measure_agreement(rewards, ratings)

    assert found.rank.value > 0.8 > found.rank.low
    assert found.advice.endswith("rate 20 more to be sure.")


def test_a_grader_that_has_it_backwards_is_poor_and_its_worst_answers_are_listed():
    rewards, ratings = agreeing(30, noise=0.0)
    found = measure_agreement([1 - reward for reward in rewards], ratings)

    assert found.verdict == "poor"
    assert found.rank.value == pytest.approx(-1.0)
    assert [abs(one.gap) for one in found.worst] == [1.0] * 5
    assert found.advice.endswith("change it before training on it.")


def test_a_kind_grader_is_called_kind():
    _, ratings = agreeing(30, noise=0.0)
    found = measure_agreement([0.9 + 0.001 * (rating % 2) for rating in ratings], ratings)

    assert found.bias > 0.1
    assert "is too kind on the whole" in found.advice


@pytest.mark.parametrize(
    ("rewards", "ratings", "advice"),
    [
        ([0.1, 0.9], [0, 4], "2 ratings are too few to tell: rate about 30."),
        (
            [0.1] * 30,
            [3] * 30,
            "All answers got the same rating, so agreement cannot be measured: rate answers that differ.",
        ),
    ],
)
def test_what_cannot_be_measured_is_said(rewards, ratings, advice):
    found = measure_agreement(rewards, ratings)

    assert (found.verdict, found.advice) == ("open", advice)


@pytest.mark.parametrize(("rewards", "ratings"), [([0.5], [1]), ([0.5, 0.6], [1]), ([0.5, 0.6], [1, 5])])
def test_ratings_that_cannot_be(rewards, ratings):
    with pytest.raises(ValueError, match="rating"):
        measure_agreement(rewards, ratings)


def test_the_same_ratings_give_the_same_interval():
    rewards, ratings = agreeing(20, noise=0.4)

    assert measure_agreement(rewards, ratings) == measure_agreement(rewards, ratings)


def test_answers_to_rate_are_spread_over_scores_and_topics():
    random = Random(3)
    rewards = [0.0] * 80 + [random.random() for _ in range(20)]  # most answers are worthless
    topics = ["common"] * 70 + ["rare"] * 5 + ["common"] * 20 + ["rare"] * 5
    chosen = choose_for_rating(rewards, topics, count=30)

    assert len(chosen) == len(set(chosen)) == 30
    ranked = sorted(range(100), key=lambda index: (rewards[index], index))
    fifth = {index: place // 20 for place, index in enumerate(ranked)}
    assert Counter(fifth[index] for index in chosen) == dict.fromkeys(range(5), 6)
    assert Counter(topics[index] for index in chosen)["rare"] >= 6
    assert choose_for_rating(rewards, topics, count=30) == chosen
    assert sorted(chosen) != chosen


@given(st.lists(st.floats(0, 1), min_size=0, max_size=60), st.integers(1, 40))
def test_as_many_are_chosen_as_wanted_and_none_twice(rewards, count):
    chosen = choose_for_rating(rewards, ["a"] * len(rewards), count=count)

    assert len(chosen) == len(set(chosen)) == min(count, len(rewards))


def test_a_judge_is_consistent_where_it_repeats_itself():
    assert self_consistency([[0.5, 0.5], [0.2, 0.2, 0.2]]) == 0.0
    assert self_consistency([[0.0, 1.0], [0.5, 0.5]]) == 0.25
    assert self_consistency([[0.4], []]) is None

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rft_project.money.prices import FREE, ModelPrice
from rft_project.money.ranges import Range, of_calls, of_running, of_training

PRICE = ModelPrice(input=2.0, output=8.0, training_hour=100.0)


def test_a_dry_run_is_calls_times_tokens_times_price():
    cost = of_calls(PRICE, 1200, (250, 250), (1, 64), "answers")
    assert cost.usd == (1200 * (250 * 2 + 1 * 8) / 1e6, 1200 * (250 * 2 + 64 * 8) / 1e6)
    assert cost.tokens == (1200 * 251, 1200 * 314)
    assert cost.assumptions == ["1,200 answers, each 250 tokens in and 1 to 64 out."]


def test_training_is_steps_times_seconds_times_the_hour():
    cost = of_training(PRICE, 100, {"batch_size": 10, "n_epochs": 2})
    assert cost.hours == (20 * 60 / 3600, 20 * 731 / 3600)
    assert cost.usd == (cost.hours[0] * 100, cost.hours[1] * 100)
    assert cost.assumptions[0] == "100 prompts, 10 in a step, 2 times over: 20 steps."


def test_what_the_platform_chooses_is_a_range_that_is_said():
    cost = of_training(PRICE, 320, {"batch_size": "auto", "epochCount": 3})
    assert (
        cost.assumptions[0] == "320 prompts, 8 to 32 in a step (the platform chooses), 3 times over: 30 to 120 steps."
    )


def test_what_nobody_knows_stays_unknown_and_what_is_free_is_free():
    unknown = of_training(ModelPrice(), 100, {})
    assert (unknown.usd, unknown.free) == (None, False)
    assert of_calls(ModelPrice(output=1.0), 10, (5, 5), (1, 1), "answers").usd is None
    assert of_calls(ModelPrice(output=1.0), 10, (0, 0), (1, 1), "answers").usd == (10 / 1e6, 10 / 1e6)
    assert of_training(FREE, 100, {}).free
    assert (of_training(FREE, 100, {}) + unknown).usd is None


def test_a_run_becomes_its_own_measure():
    assert of_running(PRICE, [60.0, 60.0], 20) is None
    cost = of_running(PRICE, [90.0] * 4, 20)
    assert cost is not None
    assert cost.hours == ((360 + 16 * 90 * 0.75) / 3600, (360 + 16 * 90 * 1.25) / 3600)
    whole = of_running(PRICE, [90.0] * 20, 20)
    assert whole is not None and whole.usd == (50.0, 50.0)


counts = st.integers(0, 10_000)


@given(calls=counts, more=counts, given_=counts, got=counts)
def test_more_never_costs_less(calls, more, given_, got):
    def cost(n: int) -> Range:
        return of_calls(PRICE, n, (given_, given_), (0, got), "answers")

    few, many = cost(calls), cost(calls + more)
    assert few.usd is not None and many.usd is not None
    assert few.usd[0] <= few.usd[1] <= many.usd[1]
    assert few.usd[0] <= many.usd[0]

from __future__ import annotations

import pytest

from wizard_app.core.curve import Eta, eta, warnings


def line(start: float, end: float, steps: int = 30) -> list[tuple[int, float]]:
    return [(step, start + (end - start) * step / (steps - 1)) for step in range(steps)]


def found(curve: dict) -> list[str]:
    return [warning.slug for warning in warnings(curve)]


GOOD = {"train_reward": line(0.2, 0.7), "valid_reward": [(0, 0.2), (10, 0.4), (20, 0.6), (29, 0.68)]}


@pytest.mark.parametrize(
    ("curve", "slugs"),
    [
        ({}, []),
        (GOOD, []),
        ({"train_reward": line(0.5, 0.5)}, ["stalled"]),
        ({"train_reward": line(0.98, 0.98)}, []),  # finished, not stalled
        ({"train_reward": line(0.5, 0.5, 19)}, []),  # too early
        ({"valid_reward": [(0, 0.2), (10, 0.6), (20, 0.55), (30, 0.5)]}, ["overfitting"]),
        ({"valid_reward": [(0, 0.2), (10, 0.6), (20, 0.5)]}, []),  # one point may be chance
        ({"valid_reward": [(0, 0.2), (10, 0.6), (20, 0.5), (30, 0.54)]}, []),  # on its way up again
        ({"train_reward": line(0.2, 0.9), "valid_reward": [(0, 0.2), (29, 0.6)]}, ["gap"]),
        ({"train_reward": line(0.2, 0.9), "valid_reward": [(0, 0.2)]}, []),  # the gap is not known yet
        ({**GOOD, "answer_tokens": line(20, 60)}, ["length_drift"]),
        ({**GOOD, "answer_tokens": line(60, 20)}, ["length_drift"]),
        ({**GOOD, "answer_tokens": line(20, 25)}, []),
        ({**GOOD, "reward:format": line(0.2, 0.9), "reward:label": line(0.6, 0.4)}, ["reward_hacking"]),
        ({**GOOD, "reward:format": line(0.2, 0.9), "reward:label": line(0.6, 0.6)}, []),
        ({**GOOD, "reward:format": line(0.2, 0.9)}, []),
        ({"observed_reward:format": line(0.2, 0.9), "observed_reward:label": line(0.6, 0.4)}, ["reward_hacking"]),
        ({**GOOD, "flat_share": [(i, 0.95) for i in range(5)]}, ["collapse"]),
        ({**GOOD, "flat_share": [(0, 0.5)] + [(i, 0.95) for i in range(1, 5)]}, []),
    ],
)
def test_warnings(curve: dict, slugs: list[str]) -> None:
    assert found(curve) == slugs


def test_the_sentence_names_values_and_steps() -> None:
    [warning] = warnings({"valid_reward": [(20, 0.55), (0, 0.2), (10, 0.6), (30, 0.5)]})
    assert warning.step == 30
    assert warning.sentence == (
        "Validation reward fell from 0.60 at step 10 to 0.50 at step 30: "
        "the model overfits, use the earlier checkpoint."
    )


def test_the_time_left_is_a_range() -> None:
    left = eta(10, 30, [6.0] * 10)
    assert left == Eta(pytest.approx(108.0), pytest.approx(132.0))
    assert left.sentence == "about 2 minutes left"
    uneven = eta(10, 30, [3.0, 6.0, 6.0, 12.0] * 5)
    assert (uneven.low, uneven.high) == (pytest.approx(20 * 5.25), pytest.approx(20 * 7.5))


def test_no_time_is_promised_without_knowledge() -> None:
    assert eta(2, 30, [6.0, 6.0]) is None
    assert eta(30, 30, [6.0] * 30) is None
    assert eta(5, 30, [0.0] * 5) is None


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (Eta(3, 12), "about 10 seconds left"),
        (Eta(20, 70), "20 seconds to 1 minute left"),
        (Eta(240, 360), "4 minutes to 6 minutes left"),
        (Eta(3500, 7500), "58 minutes to 2 h 5 min left"),
    ],
)
def test_durations_in_words(left: Eta, sentence: str) -> None:
    assert left.sentence == sentence

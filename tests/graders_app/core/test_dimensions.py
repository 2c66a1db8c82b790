"""Dimensions with weights become one multi grader, and are found in it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders_app.core.dimensions import Dimension, join, take_apart, whole_percents
from graders_app.core.evaluate import make_sample, open_grader
from graders_app.core.presets import PRESETS, PresetContext, load_preset
from graders_app.core.spec import parse_grader

CONTEXT = PresetContext(labels=["a", "b"], json_fields=["intent"], json_schema={"type": "object"})
DOCUMENTS = [preset.build(CONTEXT) for preset in PRESETS]
EXACT = load_preset("exact_label").build(CONTEXT)
SHORT = load_preset("conciseness").build(CONTEXT)


@pytest.mark.parametrize(
    ("weights", "whole"),
    [([70, 30], [70, 30]), ([1, 1, 1], [34, 33, 33]), ([0, 0], [50, 50]), ([100, 0, 50], [67, 0, 33]), ([], [])],
)
def test_weights_in_proportion_as_whole_percents(weights, whole):
    assert whole_percents(weights) == whole


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_whole_percents_always_sum_to_100_and_keep_the_order(weights):
    whole = whole_percents(weights)
    assert sum(whole) == 100
    assert all(
        a >= b - 1
        for (x, a) in zip(weights, whole, strict=True)
        for (y, b) in zip(weights, whole, strict=True)
        if x >= y
    )


def test_a_dimension_with_parts_is_laid_flat():
    config = join("Right and short", [Dimension("Right label", EXACT, 70), Dimension("Short", SHORT, 30)])
    assert config["calculate_output"] == "0.7 * right_label + 0.3 * (short_answered * (0.6 + 0.4 * short_brevity))"
    assert {key: part["name"] for key, part in config["graders"].items()} == {
        "right_label": "Right label",
        "short_answered": "Short: answered",
        "short_brevity": "Short: brevity",
    }


def test_the_joined_grader_scores_by_the_weights():
    spec = parse_grader(join("Both", [Dimension("Right label", EXACT, 70), Dimension("Short", SHORT, 30)]))
    item = {"reference_answer": "billing", "user_message": "What is it?"}
    with open_grader(spec) as grader:
        assert grader.grade(make_sample("billing"), item).reward == pytest.approx(1.0)
        assert grader.grade(make_sample("shipping"), item).reward == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["Short", "short!"], ["short", "short_2"]),
        (["min", "2 parts"], ["d_min", "d_2_parts"]),
        (["…", "Größe"], ["dimension", "gr_e"]),
    ],
)
def test_keys_are_free_and_fit_for_a_formula(names, keys):
    config = join("Keys", [Dimension(name, EXACT, 50) for name in names])
    assert list(config["graders"]) == keys
    parse_grader(config)


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=30), st.sampled_from(DOCUMENTS), st.integers(0, 100)),
        min_size=1,
        max_size=4,
    )
)
def test_what_was_joined_is_valid_and_taken_apart_again(parts):
    config = join("Any", [Dimension(*part) for part in parts])
    parse_grader(config)
    again = take_apart(config)
    assert again is not None
    assert [(each.name, each.weight) for each in again] == [(name, weight) for name, _, weight in parts]
    assert join("Any", again) == config


@pytest.mark.parametrize("formula", ["0.5 * a", "a", "max(a, b)", "0.5 * a + 0.5 * (a * b)", "0.123 * a + 0.5 * b"])
def test_a_grader_made_in_another_way_is_left_to_its_document(formula):
    graders = {"a": {**EXACT, "name": "a"}, "b": {**EXACT, "name": "b"}}
    assert take_apart({"type": "multi", "name": "x", "graders": graders, "calculate_output": formula}) is None
    assert take_apart(EXACT) is None

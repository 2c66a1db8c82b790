from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.targets import TargetError, as_now, explained, read_targets

LEAVES = ["a", "b", "c", "d"]
COUNTS = st.dictionaries(st.sampled_from([f"t{n}" for n in range(40)]), st.integers(0, 10_000), min_size=1)


def test_targets_are_read_as_people_type_them() -> None:
    typed = {"a": " 12,5 ", "b": "30 %", "c": "", "d": "1e1", "gone": "90"}
    assert read_targets(LEAVES, typed) == {"a": 12.5, "b": 30.0, "d": 10.0}
    assert read_targets(LEAVES, {}) == {}
    assert read_targets(LEAVES, dict.fromkeys("abcd", "25.002")) == dict.fromkeys("abcd", 25.002)


@pytest.mark.parametrize("text", ["x", "-0.1", "100.1", "nan", "inf", "1 2", "% %", "1e999"])
def test_what_is_no_share_names_its_topic(text: str) -> None:
    with pytest.raises(TargetError, match="The target of b must be a number from 0 to 100") as caught:
        read_targets(LEAVES, {"a": "10", "b": text})
    assert caught.value.topic == "b"


def test_more_than_everything_is_refused() -> None:
    with pytest.raises(TargetError, match="they may not exceed 100") as caught:
        read_targets(LEAVES, {"a": "60.1", "b": "40"})
    assert caught.value.topic == ""


@given(st.text(max_size=8))
def test_any_text_is_a_share_or_refused(text: str) -> None:
    try:
        found = read_targets(["a"], {"a": text})
    except TargetError:
        return
    assert found == {} or 0 <= found["a"] <= 100


@given(COUNTS)
def test_shares_of_today_add_up_to_exactly_a_hundred_and_are_off_by_less_than_a_tenth(counts: dict[str, int]) -> None:
    total, found = sum(counts.values()), as_now(counts)
    if not total:
        assert found == {}
        return
    assert sum(round(10 * value) for value in found.values()) == 1000
    assert all(abs(found[name] - 100 * count / total) < 0.1 for name, count in counts.items())
    assert read_targets(counts, {name: str(value) for name, value in found.items()}) == found


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ({}, "No target is set: each topic should have 25\u00a0%."),
        ({"a": 40}, "40\u00a0% is set. 3 topics have no target and share the rest, 20\u00a0% each."),
        ({"a": 40, "b": 30, "c": 10.5}, "80.5\u00a0% is set. 1 topic has no target and gets the rest."),
        ({"a": 80, "b": 30}, "The targets add up to 110\u00a0%: take 10\u00a0% away."),
        (dict.fromkeys("abcd", 25), "Every topic is set, 100\u00a0% together."),
        (dict.fromkeys("abcd", 20), "Every topic is set, 80\u00a0% together: they are scaled up to 100\u00a0%."),
        (dict.fromkeys("abcd", 0), "Every target is 0, so each topic should have the same share."),
        ({"gone": 50}, "No target is set: each topic should have 25\u00a0%."),
    ],
)
def test_it_is_said_how_the_rest_is_shared(targets: dict[str, float], sentence: str) -> None:
    assert explained(LEAVES, targets) == sentence
    assert explained([], targets) == ""

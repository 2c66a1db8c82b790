from __future__ import annotations

import pytest

from wizard_app.core.digests import digest, digest_ids, is_stale, step_digest


def test_a_digest_does_not_change_between_releases() -> None:
    assert digest({"b": [1, 2.0], "a": "ü"}) == digest({"a": "ü", "b": (1.0, 2)})
    assert digest({"ratio": 0.9, "seed": 0}) == "463c5f588a6c215b91e54bb0e8752564"


def test_what_counts() -> None:
    assert digest([1, 2]) != digest([2, 1])
    assert digest({"a": None}) != digest({})
    assert digest("1") != digest(1)
    assert digest(True) != digest(1)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))
    with pytest.raises(TypeError):
        digest({1: "a"})
    with pytest.raises(TypeError):
        digest(object())


def test_ids_are_a_set() -> None:
    assert digest_ids([3, 1, 2]) == digest_ids([1, 2, 3])
    assert digest_ids([1, 2]) != digest_ids([1, 2, 3])
    assert digest_ids([1]) != digest_ids(["1"])
    assert digest_ids([12, 3]) != digest_ids([1, 23])


def test_a_step_is_stale_when_inputs_or_rules_change() -> None:
    made = step_digest("split", 1, {"ratio": 0.9})
    assert not is_stale(made, step_digest("split", 1, {"ratio": 0.9}))
    assert is_stale(made, step_digest("split", 1, {"ratio": 0.8}))
    assert is_stale(made, step_digest("split", 2, {"ratio": 0.9}))
    assert is_stale(made, step_digest("grader", 1, {"ratio": 0.9}))
    assert not is_stale(None, made)

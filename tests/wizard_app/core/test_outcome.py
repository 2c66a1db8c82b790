from __future__ import annotations

import pytest

from wizard_app.core.outcome import Pair, Verdict, extremes, judge


def pairs(count: int, before: float, change: float, topic: str | None = None, noise: float = 0.0) -> list[Pair]:
    """``count`` prompts whose change alternates by ``noise`` around ``change``."""
    return [Pair(f"{topic}{i}", before, before + change + (noise if i % 2 else -noise), topic) for i in range(count)]


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (pairs(40, 0.4, 0.2), Verdict.IMPROVED),
        (pairs(40, 0.4, 0.039), Verdict.MARGINAL),  # certain, but under 10 %
        (pairs(40, 0.4, 0.041), Verdict.IMPROVED),
        (pairs(40, 0.4, 0.2) + pairs(6, 0.5, -0.1, "b"), Verdict.MARGINAL),  # a topic is down
        (pairs(40, 0.4, 0.2) + pairs(4, 0.5, -0.1, "b"), Verdict.IMPROVED),  # too few to call the topic down
        (pairs(40, 0.4, 0.02, noise=0.4), Verdict.NONE),
        (pairs(40, 0.4, 0.0), Verdict.NONE),
        (pairs(40, 0.4, -0.02, noise=0.4), Verdict.NONE),
        (pairs(40, 0.4, -0.02), Verdict.REGRESSION),
        (pairs(40, 0.0, 0.005), Verdict.MARGINAL),  # a baseline of nothing does not make any gain large
        (pairs(40, 0.0, 0.02), Verdict.IMPROVED),
    ],
)
def test_verdicts(rows: list[Pair], verdict: Verdict) -> None:
    assert judge(rows).verdict is verdict


def test_the_sentence_has_the_numbers() -> None:
    outcome = judge(pairs(40, 0.4, 0.2, "a") + pairs(10, 0.5, -0.1, "late_parcel"))
    assert outcome.topics_down == ["late_parcel"]
    assert outcome.sentence.startswith(
        "Improved, but worse on Late parcel: the mean validation reward went from 0.42 to 0.56 (+0.14, "
    )
    assert outcome.sentence.endswith("50 prompts).")
    assert outcome.advice == "Read the changed answers before you deploy."
    assert (outcome.overall.win, outcome.overall.tie, outcome.overall.loss) == (40, 0, 10)
    assert outcome.topics["a"].change == pytest.approx(0.2)
    assert judge(pairs(40, 0.4, -0.2)).advice == "Do not deploy the tuned model."


def test_the_same_input_gives_the_same_interval() -> None:
    rows = pairs(30, 0.4, 0.05, noise=0.2)
    assert judge(rows, seed=1) == judge(rows, seed=1)


def test_no_pairs() -> None:
    with pytest.raises(ValueError, match="needs the same prompts"):
        judge([])


def test_the_most_changed_answers() -> None:
    rows = [Pair("a", 0.0, 1.0), Pair("b", 0.0, 0.5), Pair("c", 0.5, 0.5), Pair("d", 1.0, 0.2), Pair("e", 0.3, 0.2)]
    found = extremes(rows, n=2)
    assert [pair.prompt_id for pair in found.improved] == ["a", "b"]
    assert [pair.prompt_id for pair in found.damaged] == ["d", "e"]

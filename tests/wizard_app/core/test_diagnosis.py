from __future__ import annotations

from collections.abc import Iterable

import pytest

from wizard_app.core.diagnosis import Diagnosis, ScoredAnswer, diagnose, select_samples, two_peaks
from wizard_app.core.statistics import PromptScores, reward_statistics, summarize


def run(*rows: tuple[int, tuple, str | None]) -> Diagnosis:
    """Diagnosis of a dry run made of (how many prompts, their rewards, topic)."""
    prompts: list[PromptScores] = []
    for count, rewards, topic in rows:
        prompts += [PromptScores(len(prompts) + i, rewards, topic) for i in range(count)]
    return diagnose(summarize(prompts))


def rules(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(reason.rule, reason.level) for reason in diagnosis.reasons]


def slugs(diagnosis: Diagnosis) -> list[str]:
    return [action.slug for action in diagnosis.actions]


HEALTHY = (40, (0.1, 0.3, 0.6, 0.8), "a")


def test_a_healthy_dry_run_is_go() -> None:
    result = run(HEALTHY)
    assert result.verdict == "GO"
    assert rules(result) == [("healthy", "GO")]
    assert result.headline == "Training can start: 100% of the prompts give it something to learn from."
    assert result.reasons[0].sentence == (
        "The mean reward of 0.45 is in the best range and the standard deviation of 0.27 is wide enough."
    )
    assert result.dataset.quality == "good"
    assert result.grader.quality == "good"
    assert result.notes == []


@pytest.mark.parametrize(
    ("rows", "verdict", "expected", "actions"),
    [
        ([(38, (0.0, 0.0), None), (2, (0.0, 1.0), None)], "NO-GO",
         [("too_hard", "NO-GO"), ("no_signal", "NO-GO")], ["try_sft", "adjust_grader", "review_samples"]),
        ([(36, (1.0, 1.0), None), (4, (0.4, 1.0), None)], "WARN",
         [("too_easy", "WARN"), ("low_signal", "WARN")], ["remove_solved", "adjust_grader", "review_samples"]),
        ([(40, (0.5, 0.56), None)], "NO-GO", [("flat", "NO-GO")], ["adjust_grader", "review_samples"]),
        ([(30, (0.5, 0.5), None), (8, (0.3, 0.7), None), (2, (0.0, 1.0), None)], "WARN",
         [("low_signal", "WARN")], ["try_sft", "adjust_grader"]),
        ([(39, (0.2, 0.2), None), (39, (0.8, 0.8), None), (4, (0.2, 0.8), None)], "NO-GO",
         [("no_signal", "NO-GO")], ["try_sft", "remove_solved", "adjust_grader"]),
        ([(40, (0.0, 1.0), None)], "WARN", [("two_peaks", "WARN")], ["adjust_grader"]),
        ([HEALTHY, (5, (0.0, 0.2), "b")], "WARN", [("weak_topic", "WARN")],
         ["try_sft", "exclude_topic", "adjust_grader"]),
        ([(36, (0.1, 0.3, 0.6, 0.8), "a"), (4, (None, None, 0.2, 0.8), "a")], "GO", [("healthy", "GO")],
         ["review_samples"]),
        ([(30, (0.1, 0.3, 0.6, 0.8), "a"), (4, (None, None, None, 0.8), "a")], "NO-GO",
         [("grader_errors", "NO-GO")], ["adjust_grader"]),
    ],
)  # fmt: skip
def test_the_rules_of_the_table(rows: Iterable, verdict: str, expected: list, actions: list) -> None:
    result = run(*rows)
    assert rules(result) == expected
    assert result.verdict == verdict
    assert slugs(result) == actions


@pytest.mark.parametrize(
    ("mean_low", "mean_high", "verdict"),
    [(0.05, 0.14, "NO-GO"), (0.0, 0.2, "GO"), (0.8, 1.0, "GO"), (0.82, 1.0, "WARN")],
)
def test_the_bounds_of_the_mean(mean_low: float, mean_high: float, verdict: str) -> None:
    result = run((40, (mean_low, mean_high), None))
    by_mean = [rule for rule in rules(result) if rule[0] in ("too_hard", "too_easy")]
    assert [level for _, level in by_mean] == ([] if verdict == "GO" else [verdict])


def test_reasons_carry_their_numbers() -> None:
    hard = run((38, (0.0, 0.0), None), (2, (0.0, 1.0), None))
    assert [reason.sentence for reason in hard.reasons] == [
        "The mean reward is 0.03: the prompts are too hard for this model or the grader is too strict; "
        "try a supervised warm-up first.",
        "Only 5% of the prompts get answers of different reward, and training can learn from nothing else.",
    ]
    weak = run(HEALTHY, (5, (0.0, 0.2), "late_parcel"))
    assert weak.reasons[0].sentence == (
        "Late parcel has a mean of 0.10, the other topics 0.45: warm it up, exclude it or adjust the grader for it."
    )
    assert [action.topic for action in weak.actions if action.slug == "exclude_topic"] == ["late_parcel"]
    peaks = run((10, (0.0, 1.0), None), (10, (0.0, 0.0, 0.0, 1.0), None))
    assert peaks.reasons[0].sentence.startswith("67% of the answers score 0 and 33% score 1")


def test_a_weak_topic_is_only_named_when_the_others_are_fine() -> None:
    together = run((10, (0.0, 0.28), "a"), (10, (0.0, 0.28), "b"))
    assert "weak_topic" not in [rule for rule, _ in rules(together)]
    alone = run((20, (0.0, 0.28), "a"))
    assert "weak_topic" not in [rule for rule, _ in rules(alone)]


def test_dataset_and_grader_are_judged_apart() -> None:
    solved = run((30, (1.0, 1.0), None), (10, (0.0, 0.4), None))
    assert (solved.dataset.quality, solved.dataset.sentence) == (
        "fair",
        "75% of the prompts are already solved, so they teach nothing new.",
    )
    assert solved.grader.quality == "good"
    flat = run((40, (0.5, 0.56), None))
    assert flat.dataset.quality == "good"
    assert (flat.grader.quality, flat.grader.sentence) == (
        "poor",
        "It hardly tells answers apart: nearly all answers get about 0.53.",
    )
    failing = run((30, (0.1, 0.3, 0.6, 0.8), "a"), (4, (None, None, None, 0.8), "a"))
    assert failing.grader.sentence == "It fails on 9% of the answers."
    unreached = run((35, (0.0, 0.0), None), (5, (0.0, 1.0), None))
    assert unreached.dataset.sentence == (
        "88% of the prompts are out of reach: no answer to them scores better than the others."
    )


def test_a_component_that_never_differs_is_named() -> None:
    prompts = [
        PromptScores(i, (0.5, 1.0, 0.7), None, {"format": (1.0, 1.0, 1.0), "label": (0.0, 1.0, 0.4)}) for i in range(30)
    ]
    result = diagnose(summarize(prompts))
    assert result.grader.sentence == 'Its component "format" gives all answers to a prompt the same score.'


def test_one_answer_per_prompt_tells_nothing_about_learning() -> None:
    result = run((15, (0.2,), None), (15, (0.7,), None))
    assert result.verdict == "GO"
    assert result.dataset.sentence == "Not judged: it takes two graded answers to each prompt."
    assert result.notes == ["There is one answer per prompt, so what RL can learn is not known: sample two or more."]


def test_few_prompts_are_said_to_be_rough() -> None:
    assert run((12, (0.1, 0.8), None)).notes == ["These figures rest on 12 prompts only and are rough."]


def test_nothing_graded_is_no_go() -> None:
    assert rules(run((10, (None, None), None))) == [("grader_errors", "NO-GO")]
    assert rules(diagnose(summarize([]))) == [("nothing_graded", "NO-GO")]


def test_two_peaks_need_both_and_little_between() -> None:
    assert two_peaks(reward_statistics([0.0] * 5 + [1.0] * 5)) == (0.5, 0.5)
    assert two_peaks(reward_statistics([0.02] * 10 + [0.97] * 2)) == pytest.approx((10 / 12, 2 / 12))
    assert two_peaks(reward_statistics([0.0] * 19 + [1.0])) is None
    assert two_peaks(reward_statistics([0.0] * 4 + [1.0] * 4 + [0.5] * 2)) is None


def test_samples_to_read() -> None:
    answers = [
        ScoredAnswer(prompt, index, reward) for prompt in range(10) for index, reward in enumerate((prompt / 10, 1.0))
    ]
    samples = select_samples(answers, n=3)
    assert [(a.prompt_id, a.reward) for a in samples.highest] == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert [(a.prompt_id, a.reward) for a in samples.lowest] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert [(a.prompt_id, a.reward) for a in samples.near_mean] == [(7, 0.7), (8, 0.8), (6, 0.6)]
    assert [(a.prompt_id, a.reward) for a in samples.near_half] == [(5, 0.5), (4, 0.4), (6, 0.6)]


def test_one_prompt_fills_the_list_when_there_is_no_other() -> None:
    samples = select_samples([ScoredAnswer("p", i, i / 10) for i in range(4)], n=5)
    assert [a.sample_index for a in samples.highest] == [3, 2, 1, 0]
    assert select_samples([]) == ([], [], [], [])

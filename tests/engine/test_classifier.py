"""The classifier policy and its trainer, without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rft_project.engine.base import GradedAnswer, Prompt, StepReport, TrainingJob
from rft_project.engine.classifier import ClassifierPolicy, Weights, checked_answers, training_answers
from rft_project.engine.classifier_trainer import HYPERPARAMETERS, ClassifierTrainer
from rft_project.engine.hyperparameters import checked
from rft_project.platforms.types import Bound
from tests.engine.process import LABELS, TEXTS, rows


def exact(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[GradedAnswer]:
    return [GradedAnswer(float(sample["output_text"] == row["reference_answer"])) for sample, row in pairs]


def job(directory: Path, **settings: Any) -> TrainingJob:
    return TrainingJob(directory, "classifier", rows(0, 4), rows(4, 6), settings, seed=7, allowed_answers=tuple(LABELS))


def told(report: StepReport) -> dict[str, Any]:
    """A report without what differs from run to run."""
    fields = ("step", "train_reward", "valid_reward", "flat_share", "entropy", "message")
    return {name: getattr(report, name) for name in fields}


def test_training_solves_the_topics(tmp_path: Path) -> None:
    reports = list(ClassifierTrainer().train(job(tmp_path), exact))
    assert reports[0].valid_reward < 0.7  # two guesses to a topic
    assert max(r.valid_reward for r in reports if r.valid_reward is not None) >= 5 / 6
    assert reports[-1].train_reward >= 0.9
    assert reports[-1].message.startswith("Solved: the last 10 steps scored ")
    policy = ClassifierPolicy.load("ft", reports[-1].checkpoint)
    prompts = [Prompt([{"role": "user", "content": TEXTS[label][0]}], n=2, temperature=0) for label in LABELS]
    assert [[c.text for c in answers] for answers in policy.generate(prompts)] == [[label] * 2 for label in LABELS]


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    settings = {"steps": 60, "learning_rate": 0.001, "eval_interval": 20}
    whole = [told(r) for r in ClassifierTrainer().train(job(tmp_path / "a", **settings), exact)]
    pieces: dict[int, dict[str, Any]] = {}
    for stop in (7, 33, 60):
        run = ClassifierTrainer().train(job(tmp_path / "b", **settings), slow_exact)
        for report in run:
            again = pieces.setdefault(report.step, told(report))
            assert again == told(report)
            if report.step == stop:
                run.close()
                break
    assert [pieces[step] for step in sorted(pieces)] == whole
    arrays = [np.load(tmp_path / name / "checkpoints" / "step-60" / "weights.npz")["matrix"] for name in "ab"]
    assert np.array_equal(*arrays)


def slow_exact(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[GradedAnswer]:
    """Slow enough for a state to be saved between the stops."""
    import time

    time.sleep(0.03)
    return exact(pairs)


def test_the_best_checkpoints_and_the_last_are_kept(tmp_path: Path) -> None:
    list(ClassifierTrainer().train(job(tmp_path, steps=50, eval_interval=5, learning_rate=0.001), exact))
    kept = sorted(int(p.name.removeprefix("step-")) for p in (tmp_path / "checkpoints").iterdir())
    assert 50 in kept
    assert 2 <= len(kept) <= 4


def test_equal_scores_for_everything_are_no_reason_to_stop_early(tmp_path: Path) -> None:
    """Nothing is learned, but nothing was settled either: a good answer may still be hit on."""
    reports = list(ClassifierTrainer().train(job(tmp_path, steps=30), lambda pairs: [GradedAnswer(0.0)] * len(pairs)))
    assert [r.step for r in reports] == list(range(31))
    assert {r.flat_share for r in reports[1:]} == {1.0}
    assert not any(r.message for r in reports)


def test_a_grader_that_fails_on_everything_stops_training(tmp_path: Path) -> None:
    def broken(pairs: Sequence[Any]) -> list[GradedAnswer]:
        return [GradedAnswer(0.0, error="no such field") for _ in pairs]

    with pytest.raises(RuntimeError, match="the grader failed on every answer: no such field"):
        list(ClassifierTrainer().train(job(tmp_path), broken))


def test_components_and_errors_are_reported(tmp_path: Path) -> None:
    def half(pairs: Sequence[Any]) -> list[GradedAnswer]:
        grades = [GradedAnswer(0.5, {"form": 1.0, "label": 0.0}), GradedAnswer(0.0, error="x")]
        return [grades[i % 2] for i in range(len(pairs))]

    reports = list(ClassifierTrainer().train(job(tmp_path, steps=1), half))
    assert reports[1].components == {"form": 1.0, "label": 0.0}
    assert reports[1].errors > 0


def test_answers_not_trained_on_are_possible_but_start_from_nothing(tmp_path: Path) -> None:
    weights = Weights(("a", "b"), np.zeros((257, 2), np.float32), np.zeros(256, np.float32))
    tmp_path.joinpath("w").mkdir()
    weights.save(tmp_path / "w")
    policy = ClassifierPolicy.load("ft", tmp_path / "w")
    (answers,) = policy.generate([Prompt([{"role": "user", "content": "x"}], n=60, allowed=("b", "new"))], seed=1)
    assert {completion.text for completion in answers} == {"b", "new"}


@pytest.mark.parametrize("content", ["", "{", '{"answers": ["a"], "format": 99}'])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    Weights(("a",), np.zeros((257, 1), np.float32), np.zeros(256, np.float32)).save(tmp_path)
    (tmp_path / "classifier.json").write_text(content)
    with pytest.raises(ValueError, match=f"The checkpoint {tmp_path.name} "):
        ClassifierPolicy.load("ft", tmp_path)


def test_checkpoints_hold_no_pickle(tmp_path: Path) -> None:
    Weights(("a",), np.zeros((257, 1), np.float32), np.zeros(256, np.float32)).save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["classifier.json", "weights.npz"]
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"matrix", "centre"}
    assert json.loads((tmp_path / "classifier.json").read_text())["answers"] == ["a"]


def test_where_the_allowed_answers_come_from() -> None:
    shots = [{"role": "assistant", "content": text} for text in ("b", "a", "b", " ")]
    lines = [{"messages": [*shots, {"role": "user", "content": "x"}]}]
    assert training_answers(lines, ["z"]) == ("z",)
    assert training_answers(lines, []) == ("b", "a")
    with pytest.raises(ValueError, match="needs a list of allowed answers"):
        training_answers([{"messages": [{"role": "user", "content": "x"}]}], [])
    with pytest.raises(ValueError, match="at most 1000 answers, not 1001"):
        checked_answers([str(n) for n in range(1001)])


# Hyperparameters


def test_defaults_stand_for_what_is_missing_or_auto() -> None:
    found = checked(HYPERPARAMETERS, {"steps": "auto", "learning_rate": None, "prompts_per_step": 3.0})
    assert found == {
        "steps": 300,
        "learning_rate": 0.03,
        "prompts_per_step": 3,
        "answers_per_prompt": 8,
        "eval_interval": 25,
    }
    assert isinstance(found["prompts_per_step"], int)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"x": 1}, "There is no hyperparameter “x” here; known are n, rate, word."),
        ({"n": 0}, "Hyperparameter “n” must be at least 1, not 0."),
        ({"n": 1.5}, "Hyperparameter “n” must be a whole number, not 1.5."),
        ({"n": True}, "Hyperparameter “n” must be a number, not True."),
        ({"n": float("nan")}, "Hyperparameter “n” must be a number, not nan."),
        ({"rate": "much"}, "Hyperparameter “rate” must be a number, not 'much'."),
        ({"rate": 2}, "Hyperparameter “rate” must be between 0 and 1, not 2."),
        ({"word": "up"}, "Hyperparameter “word” must be one of low, high, not 'up'."),
    ],
)
def test_wrong_hyperparameters_are_refused_in_a_sentence(values, sentence) -> None:
    bounds = {
        "n": Bound(default=1, minimum=1, integer=True),
        "rate": Bound(default=0.5, minimum=0, maximum=1),
        "word": Bound(default="low", choices=["low", "high"]),
    }
    with pytest.raises(ValueError, match="yperparameter") as refusal:
        checked(bounds, values)
    assert str(refusal.value) == sentence

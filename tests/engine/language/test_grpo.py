"""The trainer on a tiny random model: it learns, resumes, stops when nothing is left, and says what it cannot use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rft_project.engine.base import GradedAnswer, PolicyCollapsed, Prompt, StepReport, TrainingJob
from rft_project.engine.language.grpo import GrpoTrainer
from rft_project.engine.language.weights import ModelUnavailable
from tests.engine.language.tiny import user

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TEXTS = ["one two", "three", "four a", "b c d", "e f", "why", "card", "money the"]
SMALL: dict[str, Any] = {
    "steps": 12,
    "learning_rate": 0.01,
    "prompts_per_step": 4,
    "answers_per_prompt": 6,
    "max_answer_tokens": 3,
    "lora_rank": 4,
    "eval_interval": 4,
}


def make_job(folder: Path, model: Path, *, seed: int = 0, **changes: Any) -> TrainingJob:
    rows = [{"messages": user(text), "wanted": "red"} for text in TEXTS]
    return TrainingJob(folder, str(model), rows[:6], rows[6:], SMALL | changes, seed)


def wants_word(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[GradedAnswer]:
    """Share of the answer's words that are the wanted one."""
    graded = []
    for sample, item in pairs:
        words = sample["output_text"].split()
        reward = words.count(item["wanted"]) / len(words) if words else 0.0
        graded.append(GradedAnswer(reward, {"hit": float(reward > 0), "length": len(words) / 3}))
    return graded


def always(reward: float) -> Callable[[Sequence[Any]], list[GradedAnswer]]:
    return lambda pairs: [GradedAnswer(reward) for _ in pairs]


def run(job: TrainingJob, grade: Any = wants_word) -> list[StepReport]:
    return list(GrpoTrainer(job.directory.parent / "models", threads=1).train(job, grade))


def adapter(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_training_raises_the_reward(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", tiny_folder, steps=40, eval_interval=10, learning_rate=0.003)
    reports = run(job)
    assert [r.step for r in reports] == list(range(len(reports)))
    assert reports[0].train_reward is None and reports[0].checkpoint is None
    early = sum(r.train_reward or 0 for r in reports[1:6]) / 5
    late = sum(r.train_reward or 0 for r in reports[-5:]) / 5
    assert early < 0.3 and late > 0.8
    assert (reports[0].valid_reward or 0.0) < 0.3 and (reports[-1].valid_reward or 0.0) > 0.9
    from rft_project.engine.language.policy import LanguagePolicy

    checkpoint = reports[-1].checkpoint
    assert checkpoint is not None
    tuned = LanguagePolicy(tiny_folder, threads=1).with_adapter(checkpoint, "tuned")
    (answers,) = tuned.generate([Prompt(user("money the"), 8, 1.0, 3)], seed=0)
    assert sum("red" in a.text.split() for a in answers) >= 6


def test_reports_and_files(tiny_folder: Path, tmp_path: Path) -> None:
    reports = run(make_job(tmp_path / "job", tiny_folder))
    assert [r.step for r in reports if r.valid_reward is not None] == [0, 4, 8, 12]
    assert [r.checkpoint and r.checkpoint.name for r in reports[4::4]] == ["step-4", "step-8", "step-12"]
    for r in reports[1:]:
        assert r.total_steps == 12 and r.seconds > 0 and r.errors == 0 and r.level == "info"
        assert set(r.components) == {"hit", "length"}
        assert r.answer_tokens is not None and 1 <= r.answer_tokens <= 3
        assert r.flat_share in (0, 0.25, 0.5, 0.75, 1) and r.entropy is not None and 0 < r.entropy < 3.7
    record = json.loads((tmp_path / "job/checkpoints/step-8/training.json").read_text())
    assert record == {"step": 8, "valid_reward": reports[8].valid_reward, "train_reward": reports[8].train_reward}


def test_the_grader_sees_each_different_answer_once_with_its_whole_row(tiny_folder: Path, tmp_path: Path) -> None:
    calls: list[Sequence[tuple[dict[str, Any], dict[str, Any]]]] = []

    def watch(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[GradedAnswer]:
        calls.append(pairs)
        return wants_word(pairs)

    job = make_job(tmp_path / "job", tiny_folder, steps=2, prompts_per_step=3, max_answer_tokens=1, temperature=0.3)
    run(job, watch)
    assert len(calls) == 1 + 2 + 1
    for pairs in calls:
        seen = [(sample["output_text"], json.dumps(item)) for sample, item in pairs]
        assert len(seen) == len(set(seen)) <= 3 * 6
        for sample, item in pairs:
            assert item in job.train_rows + job.valid_rows
            assert sample["choices"][0]["message"]["content"] == sample["output_text"]
            assert (sample["output_json"], sample["output_tools"]) == (None, [])


@pytest.mark.parametrize("stop", [1, 8])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tiny_folder: Path, tmp_path: Path, stop: int) -> None:
    whole = run(make_job(tmp_path / "whole", tiny_folder))
    job = make_job(tmp_path / "killed", tiny_folder)
    trainer = GrpoTrainer(tmp_path / "models", threads=1).train(job, wants_word)
    before = [next(trainer) for _ in range(stop + 1)]
    trainer.close()
    # What a process killed in the middle of writing leaves behind.
    (job.directory / "resume" / ".state.pt").write_bytes(b"half")
    (job.directory / "checkpoints" / ".step-9").mkdir()
    after = run(job)
    assert before[-1].step == stop and stop - 3 <= after[0].step - 1 <= stop
    joined = [r for r in before if r.step < after[0].step] + after
    assert [(r.step, r.train_reward, r.valid_reward, r.flat_share) for r in joined] == [
        (r.step, r.train_reward, r.valid_reward, r.flat_share) for r in whole
    ]
    expected, found = (adapter(tmp_path / name / "checkpoints/step-12") for name in ("whole", "killed"))
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[k], expected[k], atol=1e-6) for k in expected)


def test_a_process_killed_while_grading_loses_three_steps_at_most(tiny_folder: Path, tmp_path: Path) -> None:
    """SIGKILL in the sixth step, after the state of the fourth was written (it had a checkpoint)."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.engine.language.test_grpo import make_job, run, wants_word\n"
        "calls = 0\n"
        "def grade(pairs):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == 8:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return wants_word(pairs)\n"
        "run(make_job(Path(sys.argv[1]), Path(sys.argv[2])), grade)\n"
    )
    job = make_job(tmp_path / "killed", tiny_folder)
    done = subprocess.run([sys.executable, "-c", code, job.directory, tiny_folder], cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    after, whole = run(job), run(make_job(tmp_path / "whole", tiny_folder))
    assert [(r.step, r.train_reward, r.valid_reward) for r in after] == [
        (r.step, r.train_reward, r.valid_reward) for r in whole[5:]
    ]


def test_the_seed_decides_the_run(tiny_folder: Path, tmp_path: Path) -> None:
    first, again, other = (
        [r.train_reward for r in run(make_job(tmp_path / f"job{i}", tiny_folder, seed=seed, steps=3))]
        for i, seed in enumerate([1, 1, 2])
    )
    assert first == again and first != other


def test_every_training_row_is_used_before_one_comes_again(tiny_folder: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[GradedAnswer]:
        seen.extend(dict.fromkeys(item["messages"][-1]["content"] for _, item in pairs))
        return wants_word(pairs)

    run(make_job(tmp_path / "job", tiny_folder, steps=3, prompts_per_step=2, eval_interval=1000), watch)
    assert sorted(seen[2:8]) == sorted(TEXTS[:6])


def test_collapse_stops_the_run_with_a_sentence(tiny_folder: Path, tmp_path: Path) -> None:
    reports = []
    with pytest.raises(PolicyCollapsed) as caught:
        for report in GrpoTrainer(tmp_path).train(make_job(tmp_path / "job", tiny_folder, steps=40), always(0.1)):
            reports.append(report)
    # Four prompts a step: 40 groups are ten steps.
    assert [r.step for r in reports] == list(range(10))
    assert str(caught.value) == (
        "Stopped at step 10, the policy collapsed: for 10 steps nearly all prompts got answers that scored the same"
        " (mean reward 0.10), no better than before training;"
        " try a lower learning rate, a higher entropy bonus or less partial credit for wrong answers."
    )


@pytest.mark.parametrize(("last", "words"), [(0.2, "the policy collapsed"), (0.5, "it has settled")])
def test_a_run_that_got_better_and_is_stuck_ends_with_its_best(
    tiny_folder: Path, tmp_path: Path, last: float, words: str
) -> None:
    """The grader plays the part: 0.1 before training, 0.5 at the first evaluation, then ``last`` for all answers."""
    calls = 0

    def play(pairs: Sequence[Any]) -> list[GradedAnswer]:
        nonlocal calls
        calls += 1
        return always(0.1 if calls == 1 else 0.5 if calls <= 6 else last)(pairs)

    reports = run(make_job(tmp_path / "job", tiny_folder, steps=40), play)
    end = reports[-1]
    mean = (4 * 0.5 + 6 * last) / 10
    assert (end.step, end.level, end.message) == (
        10,
        "warn",
        f"Stopped at step 10, {words}: for 10 steps nearly all prompts got answers that scored the same (mean reward"
        f" {mean:.2f}), so there is nothing left to learn; the best checkpoint is that of step 4"
        " (validation reward 0.50).",
    )
    assert end.checkpoint == tmp_path / "job/checkpoints/step-10"


def test_a_grader_that_never_pays_is_no_signal(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PolicyCollapsed, match=r"no signal: for 10 steps .* add example turns to the prompt or give"):
        run(make_job(tmp_path / "job", tiny_folder, steps=40), always(0.0))


def test_a_solved_task_ends_early_and_well(tiny_folder: Path, tmp_path: Path) -> None:
    reports = run(make_job(tmp_path / "job", tiny_folder, steps=40), always(1.0))
    assert reports[-1].step == 10 and reports[-1].valid_reward == 1.0
    assert reports[-1].checkpoint == tmp_path / "job/checkpoints/step-10"
    assert reports[-1].message.startswith("Solved at step 10: ")
    assert [r.message for r in reports[:-1]] == [""] * 10


def test_a_failing_grader(tiny_folder: Path, tmp_path: Path) -> None:
    def half(pairs: Sequence[Any]) -> list[GradedAnswer]:
        return [GradedAnswer(0.0, error="no answer") if i % 2 else GradedAnswer(0.5) for i in range(len(pairs))]

    reports = run(make_job(tmp_path / "half", tiny_folder, steps=2), half)
    assert reports[1].errors >= 4
    with pytest.raises(RuntimeError, match="Training stopped because the grader failed on every answer: no network"):
        run(
            make_job(tmp_path / "all", tiny_folder),
            lambda pairs: [GradedAnswer(0.0, error="no network") for _ in pairs],
        )


def test_without_validation_rows(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", tiny_folder, steps=5)
    job = TrainingJob(job.directory, job.model, job.train_rows, [], job.hyperparameters)
    reports = run(job)
    assert [r.valid_reward for r in reports] == [None] * 6
    assert [r.checkpoint.name for r in reports if r.checkpoint] == ["step-4", "step-5"]


def test_long_validation_data_is_sampled_and_that_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", tiny_folder, steps=1)
    job = TrainingJob(job.directory, job.model, job.train_rows, job.valid_rows * 101, job.hyperparameters)
    graded: list[int] = []

    def count(pairs: Sequence[Any]) -> list[GradedAnswer]:
        graded.append(len(pairs))
        return always(0.5)(pairs)

    reports = run(job, count)
    assert reports[0].message == "Validation uses 200 of the 202 validation prompts."
    assert graded[0] == 200


def test_what_cannot_be_used_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", tiny_folder)
    rows = job.train_rows
    empty = TrainingJob(job.directory, job.model, [], [], {})
    bad = TrainingJob(job.directory, job.model, [rows[0], {"messages": "hi"}], [], {})
    long = TrainingJob(job.directory, job.model, [{"messages": user("a " * 120)}], [], SMALL)
    unknown = TrainingJob(job.directory, "gpt-9", rows, [], {})
    for wrong, error, sentence in [
        (make_job(tmp_path / "job", tiny_folder, epochs=2), ValueError, "There is no hyperparameter “epochs”"),
        (empty, ValueError, "There are no training rows"),
        (bad, ValueError, "Row 2 of the training data has no list of messages."),
        (long, ValueError, "A prompt has 135 tokens and the model reads 125 besides the answer."),
        (unknown, ModelUnavailable, "There is no model “gpt-9”: name smollm2-135m-instruct or a folder"),
    ]:
        with pytest.raises(error) as caught:
            run(wrong)
        assert str(caught.value).startswith(sentence)


def test_the_state_of_another_job_is_not_taken_over(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", tiny_folder, steps=3)
    run(job)
    with pytest.raises(ValueError, match="This job's folder holds the state of another job"):
        run(make_job(tmp_path / "job", tiny_folder, steps=3, lora_rank=2))

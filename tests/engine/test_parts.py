"""The store, the grading of a job, and the start of the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from graders_app.core.evaluate import open_grader
from rft_project.engine.grading import Grading
from rft_project.engine.main import EngineError, serve
from rft_project.engine.records import FAILED, SUCCEEDED, Job, NewJob
from rft_project.engine.store import MOST_STARTS, Store
from tests.engine.process import EXACT, Engine


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def new(**metadata: str) -> NewJob:
    return NewJob("classifier", "file-a", "file-b", "s", 1, metadata, {"type": "reinforcement", "reinforcement": {}})


def step(store: Store, job: Job, number: int, reward: float | None) -> bool:
    """One step with a checkpoint on disk."""
    store.checkpoint_folder(job.id, number).mkdir(parents=True)
    metrics = {} if reward is None else {"full_valid_mean_reward": reward}
    return store.record_step(job, number, 10, f"Step {number}/10", {"step": number}, metrics)


def test_many_callers_with_one_key_make_one_job(tmp_path: Path) -> None:
    """Each with a connection of its own, as processes have."""
    stores = [Store(tmp_path) for _ in range(6)]
    made: list[tuple[Job, bool]] = []
    threads = [threading.Thread(target=lambda s=s: made.append(s.create_job(new(app_key="k")))) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job, _ in made}) == 1
    assert sorted(created for _, created in made) == [False] * 5 + [True]


def test_jobs_are_listed_newest_first_and_by_metadata(store: Store) -> None:
    ids = [store.create_job(new(app_key=str(n), **{"odd.key[]": str(n % 2)}))[0].id for n in range(5)]
    assert [j.id for j in store.jobs(None, 10, {})[0]] == ids[::-1]
    page, more = store.jobs(ids[3], 2, {})
    assert ([j.id for j in page], more) == ([ids[2], ids[1]], True)
    assert [j.id for j in store.jobs(None, 10, {"odd.key[]": "1"})[0]] == [ids[3], ids[1]]
    assert store.jobs(None, 10, {"odd.key[]": "1", "app_key": "2"})[0] == []


def test_a_running_job_goes_before_waiting_ones(store: Store) -> None:
    first, second = (store.create_job(new())[0] for _ in range(2))
    assert store.next_job() == first
    assert store.start(second.id)
    assert store.next_job().id == second.id
    assert store.finish(second.id, SUCCEEDED, model="m")
    assert store.next_job() == first


def test_the_best_checkpoint_is_the_earliest_of_equals_that_is_still_there(store: Store) -> None:
    job = store.create_job(new())[0]
    store.start(job.id)
    for number, reward in [(1, 0.2), (2, 0.7), (3, 0.7), (4, None)]:
        assert step(store, job, number, reward)
    assert store.best_checkpoint(job.id).step == 2
    store.checkpoint_folder(job.id, 2).rmdir()
    assert store.best_checkpoint(job.id).step == 3
    assert [c.step for c in store.checkpoints(job.id)] == [4, 3, 1]
    assert store.find_model(f"{job.tuned_id}:ckpt-step-2") is None
    assert store.find_model(f"{job.tuned_id}:ckpt-step-3")[1] == store.checkpoint_folder(job.id, 3)


def test_a_finished_job_takes_no_more_steps(store: Store) -> None:
    job = store.create_job(new())[0]
    store.start(job.id)
    assert store.finish(job.id, FAILED, error={"code": "x", "message": "Broken.", "param": None})
    assert not step(store, job, 1, 0.5)
    assert not store.finish(job.id, SUCCEEDED, model="m")
    assert store.job(job.id).error["message"] == "Broken."
    assert store.events(job.id, None, 10)[0][0].message == "Broken."


def test_a_step_told_twice_is_kept_once(store: Store) -> None:
    job = store.create_job(new())[0]
    store.start(job.id)
    for data in ({"step": 1, "n": 1}, {"step": 1, "n": 2}):
        store.record_step(job, 1, 10, "Step 1/10", data, None)
    steps = [event for event in store.events(job.id, None, 10)[0] if event.type == "metrics"]
    assert [event.data["n"] for event in steps] == [1]


def test_starts_are_counted_between_steps(store: Store) -> None:
    job = store.create_job(new())[0]
    for _ in range(MOST_STARTS):
        assert store.start(job.id)
    step(store, job, 1, 0.5)
    for _ in range(MOST_STARTS):
        assert store.start(job.id)
    assert not store.start(job.id)
    assert store.job(job.id).error["message"] == (
        "The training process died 5 times in a row at step 1: there may be too little memory."
    )


# Grading


def test_each_answer_to_a_row_is_graded_once() -> None:
    """A grader that counts its calls in the score it gives."""
    source = "calls = []\ndef grade(sample, item):\n    calls.append(1)\n    return len(calls) / 100\n"
    row, other = ({"messages": [{"role": "user", "content": "x"}], "reference_answer": "a"} for _ in range(2))
    with open_grader({"type": "python", "name": "p", "source": source}) as grader:
        grading = Grading(grader)
        pairs = [({"output_text": "a"}, row), ({"output_text": "b"}, row), ({"output_text": "a"}, row)]
        first = [g.reward for g in grading(pairs)]
        assert first == [0.01, 0.02, 0.01]
        assert [g.reward for g in grading([*pairs, ({"output_text": "a"}, other)])] == [*first, 0.03]


def test_a_graders_failure_is_zero_with_its_words() -> None:
    row = {"messages": [{"role": "user", "content": "x"}]}
    with open_grader(EXACT) as grader:
        (grade,) = Grading(grader)([({"output_text": "a"}, row)])
    assert grade.reward == 0.0
    assert "reference_answer" in grade.error


def test_items_have_the_last_user_message_and_multi_graders_their_parts() -> None:
    row = {"messages": [{"role": "user", "content": "say yes"}], "reference_answer": "yes"}
    near = {"type": "string_check", "name": "near", "operation": "like", "input": "{{item.user_message}}",
            "reference": "{{sample.output_text}}"}  # fmt: skip
    config = {"type": "multi", "name": "m", "graders": {"exact": EXACT, "near": near},
              "calculate_output": "(exact + near) / 2"}  # fmt: skip
    with open_grader(config) as grader:
        grading = Grading(grader)
        (yes, no) = grading([({"output_text": "yes"}, row), ({"output_text": "say"}, row)])
    assert (yes.reward, yes.components) == (1.0, {"exact": 1.0, "near": 1.0})
    assert (no.reward, no.components) == (0.5, {"exact": 0.0, "near": 1.0})


# Starting


def test_an_open_address_needs_a_key(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "engine.example", "::"):
        with pytest.raises(EngineError, match=f"To listen on {host}, set ENGINE_KEY"):
            serve(host, 0, data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_it_cannot_do_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not “cuda”"):
        serve(data_dir=tmp_path, device="cuda")


def test_the_data_folder_is_closed_to_others(own_engine: Callable[..., Engine]) -> None:
    engine = own_engine()
    assert (engine.data_dir / "engine").stat().st_mode & 0o777 == 0o700

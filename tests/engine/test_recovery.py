"""What survives ``kill -9``: the engine's, the training process's, and a clean stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.engine.process import Engine

#: Long enough to be killed in the middle, short enough to be finished afterwards.
STEPS = {"steps": 1500, "learning_rate": 0.0001, "prompts_per_step": 12, "answers_per_prompt": 64, "eval_interval": 50}


def metric_steps(engine: Engine, job_id: str) -> list[int]:
    return [event["data"]["step"] for event in engine.events(job_id) if event["type"] == "metrics"]


def gone(pid: int, within: float = 10.0) -> bool:
    """Whether a process ended within so many seconds; one that waits to be reaped has ended (state ``Z``)."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return True
        if stat.rpartition(b")")[2].split()[0] in (b"Z", b"X"):
            return True
        time.sleep(0.05)
    return False


def test_a_killed_engine_goes_on_with_its_job(own_engine: Callable[..., Engine]) -> None:
    first = own_engine()
    made = first.new_job(metadata={"app_key": "k"}, reinforcement={"hyperparameters": STEPS})[1]
    first.wait_step(made["id"], 100)
    (worker,) = first.worker_pids(made["id"])
    first.kill()
    assert gone(worker)

    second = own_engine()
    again = second.new_job(metadata={"app_key": "k"}, reinforcement={"hyperparameters": STEPS})[1]
    assert again["id"] == made["id"]
    job = second.wait_final(made["id"])
    assert (job["status"], job["rft"]) == ("succeeded", {"step": 1500, "total_steps": 1500})
    assert metric_steps(second, made["id"]) == list(range(1501))
    assert [job["id"] for job in second.request("GET", "/v1/fine_tuning/jobs")[1]["data"]] == [made["id"]]
    log = (second.data_dir / "engine" / "jobs" / made["id"] / "training.log").read_text()
    starts = [line.rpartition('"step": ')[2] for line in log.splitlines() if "Training ftjob-" in line]
    assert starts[0] == "null}"
    assert len(starts) == 2
    assert int(starts[1].rstrip("}")) >= 100


def test_a_killed_training_process_is_started_again(own_engine: Callable[..., Engine]) -> None:
    engine = own_engine()
    made = engine.new_job(reinforcement={"hyperparameters": STEPS})[1]
    engine.wait_step(made["id"], 100)
    (worker,) = engine.worker_pids(made["id"])
    os.kill(worker, signal.SIGKILL)
    job = engine.wait_final(made["id"])
    assert (job["status"], job["rft"]["step"]) == ("succeeded", 1500)
    assert metric_steps(engine, made["id"]) == list(range(1501))
    notes = [event["message"] for event in engine.events(made["id"]) if event["level"] == "warn"]
    assert notes[0] == "The training process ended unexpectedly (signal 9) and is started again."


def test_a_stop_ends_training_and_a_start_goes_on(own_engine: Callable[..., Engine]) -> None:
    first = own_engine()
    made = first.new_job(reinforcement={"hyperparameters": STEPS})[1]
    first.wait_step(made["id"], 100)
    (worker,) = first.worker_pids(made["id"])
    assert first.stop() == 0
    assert gone(worker)
    second = own_engine()
    assert second.wait_step(made["id"], 200)["status"] == "running"
    assert second.request("POST", f"/v1/fine_tuning/jobs/{made['id']}/cancel")[0] == 200


def test_a_process_that_dies_without_a_step_is_given_up(own_engine: Callable[..., Engine]) -> None:
    engine = own_engine()
    made = engine.new_job(reinforcement={"hyperparameters": STEPS})[1]
    deadline = time.monotonic() + 60
    while engine.job(made["id"])["status"] in ("queued", "running") and time.monotonic() < deadline:
        for pid in engine.worker_pids(made["id"]):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    job = engine.job(made["id"])
    assert job["status"] == "failed"
    assert job["error"]["message"] == (
        "The training process died 5 times in a row at step 0: there may be too little memory."
    )


def test_tuned_models_answer_after_a_kill(own_engine: Callable[..., Engine]) -> None:
    first = own_engine()
    job = first.wait_final(first.new_job()[1]["id"])
    first.kill()
    second = own_engine()
    body = {
        "model": job["fine_tuned_model"],
        "messages": [{"role": "user", "content": "I lost my card"}],
        "temperature": 0,
    }
    answer = second.request("POST", "/v1/chat/completions", body)[1]
    assert answer["choices"][0]["message"]["content"] == "lost card"
    models = second.request("GET", "/v1/models")[1]["data"]
    tuned = [m for m in models if m["id"] == job["fine_tuned_model"]]
    assert [m["rft"]["base"] for m in tuned] == ["classifier"]


def test_two_engines_never_share_a_folder(own_engine: Callable[..., Engine]) -> None:
    first = own_engine()
    try:
        own_engine()
    except RuntimeError as error:
        assert "Another engine already works in" in str(error)
    else:
        raise AssertionError("the second engine started")
    assert first.request("GET", "/healthz")[0] == 200

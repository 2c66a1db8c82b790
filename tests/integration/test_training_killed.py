"""Training while workers and the engine are killed: one job on the platform, and it comes to its end here."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rft_project.connections.services import local_connection
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from tests.engine.process import SLOW, Engine
from tests.worker import drain, wait_for
from wizard_app import flow, services
from wizard_app.models import RFTJob
from wizard_app.schemas import DryRunParams, TrainParams

from .harm import FAST, PATIENCE, CountingProxy, Start, kill_worker, owner_pid, times_lost, wait_ended

pytestmark = pytest.mark.django_db(transaction=True)
CREATE = "POST /v1/fine_tuning/jobs"
LONG = 2500  # steps
#: Some seconds of training that never settles.
STEPS = {"steps": 400, "learning_rate": 0.0001, "prompts_per_step": 12, "answers_per_prompt": 64, "eval_interval": 50}


def sample(run: RFTJob) -> None:
    """A small dry run; a worker may take it."""
    connection = str(local_connection(run.workspace).pk)
    params = DryRunParams(connection=connection, model="classifier", size=5, answers=2)
    job = services.start_dry_run(run, params, by=None)
    drain(jump=True)
    wait_ended(job)
    services.override_no_go(run, "Only the machinery is tried here.", by=None)
    run.refresh_from_db()


def train(run: RFTJob, hyperparameters: dict[str, Any]) -> Job:
    run.refresh_from_db()
    return services.start_training(run, TrainParams(hyperparameters=hyperparameters), by=None)


def remote_jobs(engine: Engine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"]
    return found


def start_and_lose_the_handle(
    run: RFTJob, engine: Engine, proxy: CountingProxy, hyperparameters: dict[str, Any], *, stop: bool = False
) -> tuple[Job, dict[str, Any]]:
    """The engine has made the job, and the worker is killed before it hears of it. Our job and the engine's."""
    proxy.closed = {CREATE}
    job = train(run, hyperparameters)
    wait_for(lambda: proxy.paths[CREATE], PATIENCE, every=0.02)
    run.refresh_from_db()
    assert run.training_handle == ""
    if stop:
        request_cancel(job)
    assert kill_worker(owner_pid(job))
    proxy.open.set()
    [remote] = remote_jobs(engine)
    return job, remote


@pytest.mark.slow
def test_a_worker_killed_between_start_and_first_look_starts_no_second_job(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy], worker_cluster: Start
) -> None:
    proxy = proxy_to(engine)
    worker_cluster(*FAST, ENGINE_URL=proxy.url, ENGINE_KEY="")
    sample(graded_run)
    job, remote = start_and_lose_the_handle(graded_run, engine, proxy, STEPS)
    wait_ended(job)
    assert (job.state, job.error_message, times_lost(job)) == ("SUCCEEDED", "", 1)
    graded_run.refresh_from_db()
    assert graded_run.training_handle == remote["id"]
    assert [found["id"] for found in remote_jobs(engine)] == [remote["id"]]
    assert proxy.paths[CREATE] == 1
    evaluation = wait_ended(Job.objects.get(kind="evaluate"))
    assert (evaluation.state, evaluation.error_message) == ("SUCCEEDED", "")
    assert flow.state_of(graded_run, flow.RESULTS).done


def test_a_stop_reaches_a_job_whose_handle_was_lost(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy], worker_cluster: Start
) -> None:
    proxy = proxy_to(engine)
    worker_cluster(*FAST, ENGINE_URL=proxy.url, ENGINE_KEY="")
    sample(graded_run)
    job, remote = start_and_lose_the_handle(graded_run, engine, proxy, SLOW, stop=True)
    wait_ended(job)
    assert (job.state, job.error_message) == ("CANCELLED", "")
    wait_for(lambda: engine.job(remote["id"])["status"] == "cancelled", PATIENCE)
    assert len(remote_jobs(engine)) == 1


@pytest.mark.slow
def test_training_goes_on_through_the_death_of_the_engine_and_of_workers(
    graded_run: RFTJob, engine: Engine, settings: Any, worker_cluster: Start
) -> None:
    settings.ENGINE_URL, settings.ENGINE_KEY = engine.url, ""
    sample(graded_run)
    worker_cluster(*FAST, ENGINE_URL=engine.url, ENGINE_KEY="")
    job = train(graded_run, STEPS | {"steps": LONG})
    points = graded_run.metrics.filter(series="train_reward")
    [remote] = wait_for(lambda: remote_jobs(engine), PATIENCE, every=0.02)
    engine.wait(remote["id"], lambda job: (job["rft"]["step"] or 0) >= 10)
    [trainer] = engine.worker_pids(remote["id"])
    os.kill(trainer, signal.SIGSTOP)  # training takes a few seconds: it must not end before it was hurt
    wait_for(points.exists, PATIENCE)
    kills = 0
    for _ in range(2):  # each in the middle of a look
        wait_for(lambda: owner_pid(job) == 0 and job.state == "WAITING" and job.deaths == 0, PATIENCE)
        kills += kill_worker(wait_for(lambda: owner_pid(job), PATIENCE, every=0.002))
        wait_for(lambda: owner_pid(job) == 0 and job.state == "WAITING" and job.deaths == 0, PATIENCE)
    os.kill(trainer, signal.SIGCONT)
    engine.kill()
    wait_for(lambda: (job.refresh_from_db(), "can't be reached" in job.note)[1], PATIENCE)
    assert job.state == "WAITING"
    assert points.count() < LONG
    engine.start()
    wait_ended(job)
    assert (job.state, job.error_message, times_lost(job)) == ("SUCCEEDED", "", kills)

    [remote] = remote_jobs(engine)
    graded_run.refresh_from_db()
    assert (graded_run.training_handle, graded_run.tuned_model) == (remote["id"], remote["fine_tuned_model"])
    assert list(points.order_by("step").values_list("step", flat=True)) == list(range(1, LONG + 1))
    told = engine.events(remote["id"])
    scores = {event["data"]["step"]: event["data"]["scores"] for event in told if event["type"] == "metrics"}
    rewards = {step: found["train_reward_mean"] for step, found in scores.items() if "train_reward_mean" in found}
    assert dict(points.values_list("step", "value")) == rewards
    assert Counter(graded_run.events.values_list("remote_id", flat=True)) == Counter(
        e["id"] for e in told if e["message"]
    )
    kept = list(graded_run.checkpoints.values_list("remote_id", flat=True))
    listed = engine.request("GET", f"/v1/fine_tuning/jobs/{remote['id']}/checkpoints?limit=100")[1]["data"]
    assert sorted(kept) == sorted(checkpoint["id"] for checkpoint in listed)


def test_an_engine_that_is_away_for_long_ends_nothing(graded_run: RFTJob, engine: Engine, settings: Any) -> None:
    """Looking in is free, however often it fails; giving up would leave a job at work that nobody watches."""
    settings.ENGINE_URL, settings.ENGINE_KEY = engine.url, ""
    sample(graded_run)
    job = train(graded_run, STEPS)
    drain(limit=1)
    engine.kill()
    drain(limit=12, jump=True)
    job.refresh_from_db()
    assert (job.state, job.error_message) == ("WAITING", "")
    assert job.note == "Local engine can't be reached: check the address and the network. Looking again."
    engine.start()
    drain(limit=5000, jump=True)
    job.refresh_from_db()
    assert (job.state, job.error_message) == ("SUCCEEDED", "")


@pytest.mark.parametrize("handle", ["known", "lost"])
def test_training_that_only_failed_here_is_taken_up_again(
    graded_run: RFTJob, tmp_path: Path, settings: Any, handle: str
) -> None:
    """The key was wrong for a while. The platform's job went on, and pressing the button again must not pay twice."""
    engine = Engine(tmp_path, key="right").start()
    try:
        settings.ENGINE_URL, settings.ENGINE_KEY = engine.url, "right"
        sample(graded_run)
        job = train(graded_run, STEPS)
        drain(limit=1)
        settings.ENGINE_KEY = "wrong"
        drain(jump=True)
        job.refresh_from_db()
        assert job.state == "FAILED"
        assert job.error_message.startswith("Local engine does not accept the key: ")
        if handle == "lost":
            RFTJob.objects.filter(pk=graded_run.pk).update(training_handle="")
        settings.ENGINE_KEY = "right"
        again = train(graded_run, STEPS | {"steps": 7})
        drain(limit=5000, jump=True)
        again.refresh_from_db()
        assert (again.state, again.error_message) == ("SUCCEEDED", "")
        assert len(remote_jobs(engine)) == 1
        stored = graded_run.steps.get(step=flow.TRAIN)
        assert (stored.params["hyperparameters"], stored.summary["steps"]) == (STEPS, STEPS["steps"])

        train(graded_run, {"steps": 3})  # after the end, a new start is a new job
        drain(limit=5000, jump=True)
        assert len(remote_jobs(engine)) == 2
    finally:
        engine.kill()


def test_a_job_the_platform_no_longer_knows_can_be_started_anew(
    graded_run: RFTJob, engine: Engine, tmp_path: Path, settings: Any
) -> None:
    settings.ENGINE_URL, settings.ENGINE_KEY = engine.url, ""
    sample(graded_run)
    job = train(graded_run, SLOW)
    drain(limit=1)
    (tmp_path / "emptied").mkdir()
    emptied = Engine(tmp_path / "emptied").start()
    try:
        settings.ENGINE_URL = emptied.url
        drain(jump=True)
        job.refresh_from_db()
        assert (job.state, job.error_code) == ("FAILED", "training_failed")
        assert job.error_message == "Local engine no longer knows this training job; start training again."
        again = train(graded_run, {"steps": 3})
        drain(limit=5000, jump=True)
        again.refresh_from_db()
        assert (again.state, again.error_message) == ("SUCCEEDED", "")
        assert len(remote_jobs(emptied)) == 1
    finally:
        emptied.kill()

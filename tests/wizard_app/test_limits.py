"""A dry run on a platform with rate limits: nothing is refused for being too much, and no worker sits waiting."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from graders_app.core.presets import PresetContext, load_preset
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.connections.services import add
from rft_project.jobs.models import Job, State
from tests.emulators import openai
from tests.emulators.chat import chat_server
from tests.emulators.faults import Fault
from tests.emulators.limits import Limits
from tests.worker import drain
from wizard_app import services
from wizard_app.models import RFTJob, Rollout
from wizard_app.sampling import grader_digest

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)
CHAT = ("POST", "/chat/completions")


@pytest.fixture
def emulator(settings: Any) -> Iterator[openai.OpenAIEmulator]:
    with openai.running(latency=0.02) as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [running.url.split("/")[2]]
        yield running


@pytest.fixture
def account(workspace: Any, emulator: openai.OpenAIEmulator) -> Connection:
    return add(workspace, "openai", "OpenAI", dict(emulator.credentials), by=None)


def start(run: RFTJob, account: Connection, size: int = 20) -> Job:
    params = dry_run_params(run, connection=str(account.pk), model=openai.CHAT, size=size, answers=1)
    return services.start_dry_run(run, params, by=None)


def test_a_dry_run_keeps_the_limit(graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator) -> None:
    emulator.limits = Limits(requests_per_minute=20, window=1.0)
    job = start(graded_run, account, size=30)
    drain(patience=20.0)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert (emulator.limits.admitted, emulator.limits.violations) == (Rollout.objects.count(), 0)


def test_a_long_wait_parks_the_job_and_asks_nothing_meanwhile(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator
) -> None:
    emulator.faults.append(Fault(*CHAT, 429, {"retry-after": "100"}, skip=5))
    job = start(graded_run, account)
    started = time.monotonic()
    drain()
    assert time.monotonic() - started < 10
    job.refresh_from_db()
    assert job.state == State.WAITING
    assert 5 <= job.done == Rollout.objects.filter(error="").count() == emulator.count(*CHAT) - 1
    assert 90 < (job.run_after - job.heartbeat_at).total_seconds() <= 100
    asked = emulator.count(*CHAT)
    Job.objects.filter(pk=job.pk).update(run_after=job.heartbeat_at)
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.WAITING, 0)
    assert job.note.startswith("The rate limit of OpenAI has no room now; the next call can be made in ")
    assert emulator.count(*CHAT) == asked


def judged_by(run: RFTJob, url: str, settings: Any, key: str = "sk-emulated") -> None:
    config = load_preset("correctness").build(PresetContext())
    services.choose_grader(run, save_grader(run.workspace, "Correct", config, by=None))
    run.refresh_from_db()
    settings.ALLOWED_PRIVATE_ENDPOINTS += [url.split("/")[2]]
    judge = Connection(workspace=run.workspace, kind="openai", name="Judge", judge_model=openai.CHAT)
    judge.set_credentials({"base_url": url, "api_key": key})
    judge.save()


def test_many_answers_are_judged_at_once(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator, settings: Any
) -> None:
    lock = threading.Lock()
    at_once = most_at_once = 0

    def judged(_body: Any) -> str:
        nonlocal at_once, most_at_once
        with lock:
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        time.sleep(0.1)
        with lock:
            at_once -= 1
        return json.dumps({"result": 0.5})

    with chat_server(judged) as chat:
        judged_by(graded_run, chat.url, settings)
        job = start(graded_run, account)
        drain()
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert most_at_once > 4
    rollouts = Rollout.objects.filter(run=graded_run)
    scored = set(rollouts.values_list("reward", "grader_digest", "error"))
    assert scored == {(0.5, grader_digest(graded_run.grader_config), "")}


def test_judging_that_takes_longer_than_a_slice_goes_on_in_the_next(
    graded_run: RFTJob, account: Connection, settings: Any
) -> None:
    def slowly(_body: Any) -> str:
        time.sleep(0.1)
        return json.dumps({"result": 0.5})

    with chat_server(slowly) as chat:
        judged_by(graded_run, chat.url, settings)
        job = start(graded_run, account, size=30)
        slices = drain(slice_seconds=0.25)
    job.refresh_from_db()
    rollouts = Rollout.objects.filter(run=graded_run)
    assert (job.state, set(rollouts.values_list("reward", flat=True))) == (State.SUCCEEDED, {0.5})
    asked = [json.dumps(body["messages"]) for body in chat.asked]
    assert len(asked) == len(set(asked))
    assert slices > 2


def test_a_judge_whose_limit_has_no_room_parks_the_job(graded_run: RFTJob, account: Connection, settings: Any) -> None:
    with openai.running() as other:
        judged_by(graded_run, other.url, settings, other.key)
        other.faults.append(Fault(*CHAT, 429, {"retry-after": "110"}))
        job = start(graded_run, account, size=5)
        drain(slice_seconds=0.4)
        asked = other.count(*CHAT)
    job.refresh_from_db()
    assert (job.state, job.attempts, asked) == (State.WAITING, 0, 1)
    assert 100 < (job.run_after - job.heartbeat_at).total_seconds() <= 110
    assert set(Rollout.objects.filter(run=graded_run).values_list("reward", "grader_digest", "error")) == {
        (None, "", "")
    }

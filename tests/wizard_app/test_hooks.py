"""Webhooks: signed messages wake the training job they are about; everything else is nobody's business."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from rft_project.connections.models import Connection, HookMessage, Workspace
from rft_project.jobs.models import Job, State
from rft_project.jobs.services import enqueue
from tests.factories import make_dataset
from wizard_app import flow, services
from wizard_app.models import RFTJob, StepResult

pytestmark = pytest.mark.django_db

KEY = base64.b64encode(b"a secret of twenty-four b").decode()
SECRET = f"whsec_{KEY}"
EVENT = "fine_tuning.job.succeeded"


@pytest.fixture
def connection(workspace: Any) -> Connection:
    return made(workspace, "OpenAI", webhook_secret=SECRET)


def made(workspace: Any, name: str, kind: str = "openai", **values: str) -> Connection:
    connection = Connection(workspace=workspace, kind=kind, name=name)
    connection.set_credentials({"api_key": "sk-some-key-of-nobody", **values})
    connection.save(force_insert=True)
    return connection


@pytest.fixture
def parked(workspace: Any) -> Job:
    return train_job(workspace, "First run")


def train_job(workspace: Any, name: str, handle: str = "ftjob-1") -> Job:
    """A training job that waits for its next look, of a run that the platform's job belongs to."""
    run = services.create_run(make_dataset(workspace, name), name, by=None)
    RFTJob.objects.filter(pk=run.pk).update(training_handle=handle)
    job = enqueue("train", {"run": run.pk}, lock_key=f"run:{run.pk}:train")
    Job.objects.filter(pk=job.pk).update(state=State.WAITING)
    StepResult.objects.create(run=run, step=flow.TRAIN, job=job)
    return job


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def message(job: str = "ftjob-1", kind: str = EVENT) -> bytes:
    body = {"id": "evt_1", "object": "event", "created_at": 1, "type": kind, "data": {"id": job}}
    return json.dumps(body).encode()


def signed(body: bytes, *, key: str = KEY, at: float | None = None, name: str = "wh_1") -> dict[str, str]:
    moment = str(int(time.time() if at is None else at))
    digest = hmac.new(base64.b64decode(key), f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": signature}


def send(connection: Connection | uuid.UUID, body: bytes, headers: dict[str, str]) -> int:
    """As the platform sends it: no cookie, no token."""
    pk = connection.pk if isinstance(connection, Connection) else connection
    path = reverse("openai_hook", args=[pk])
    client = Client(enforce_csrf_checks=True)
    return client.post(path, body, content_type="application/json", headers=headers).status_code


@pytest.mark.parametrize("kind", ["succeeded", "failed", "cancelled"])
def test_a_signed_message_makes_the_look_happen_now(connection, parked, workspace, kind):
    other = train_job(workspace, "Another run", handle="ftjob-2")
    body = message(kind=f"fine_tuning.job.{kind}")
    assert send(connection, body, signed(body)) == 204
    assert (state(parked), state(other)) == (State.QUEUED, State.WAITING)


def test_a_message_is_taken_once(connection, parked):
    body = message()
    headers = signed(body)
    assert send(connection, body, headers) == 204
    Job.objects.filter(pk=parked.pk).update(state=State.WAITING)
    assert send(connection, body, headers) == 204
    assert state(parked) == State.WAITING
    assert send(connection, body, signed(body, name="wh_2")) == 204
    assert state(parked) == State.QUEUED
    assert list(HookMessage.objects.order_by("pk").values_list("message_id", flat=True)) == ["wh_1", "wh_2"]


BODY = message()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, signed(BODY, key=base64.b64encode(b"another secret of some length").decode())),
        (BODY + b" ", signed(BODY)),
        (BODY, signed(BODY, at=time.time() - 3600)),
        (BODY, signed(BODY, at=time.time() + 3600)),
        (BODY, {**signed(BODY), "webhook-id": "wh_2"}),
        (BODY, {**signed(BODY), "webhook-timestamp": "soon"}),
        (BODY, {**signed(BODY), "webhook-signature": "v1,Zürich"}),
        (BODY, {**signed(BODY), "webhook-signature": ""}),
        (BODY, {}),
        (b"\xff\xfe", signed(b"\xff\xfe")),
        (b"[]", signed(b"[]")),
        (b'{"type": "fine_tuning.job.succeeded"}', signed(b'{"type": "fine_tuning.job.succeeded"}')),
        (b"[" * 9000, signed(b"[" * 9000)),
        (BODY + b" " * 20_000, signed(BODY + b" " * 20_000)),
    ],
    ids=[
        "key",
        "body",
        "old",
        "early",
        "id",
        "time",
        "letters",
        "empty",
        "bare",
        "bytes",
        "list",
        "part",
        "deep",
        "long",
    ],
)
def test_what_is_not_proven_finds_nothing(connection, parked, body, headers):
    assert send(connection, body, headers) == 404
    assert (state(parked), HookMessage.objects.count()) == (State.WAITING, 0)


def test_connections_that_have_no_secret_answer_like_ones_that_do_not_exist(workspace, parked):
    body = message()
    bare = made(workspace, "Without")
    other = made(workspace, "Compatible", kind="compatible", webhook_secret=SECRET)
    for nobody in (bare, other, uuid.uuid4()):
        assert send(nobody, body, signed(body)) == 404
    assert state(parked) == State.WAITING


def test_events_of_other_things_are_taken_and_do_nothing(connection, parked):
    for kind in ("batch.completed", "fine_tuning.job.paused"):
        body = message(kind=kind)
        assert send(connection, body, signed(body)) == 204
    assert (state(parked), HookMessage.objects.count()) == (State.WAITING, 0)


def test_another_workspaces_runs_are_not_reached(connection, parked):
    elsewhere = made(Workspace.objects.create(name="Elsewhere"), "Elsewhere", webhook_secret=SECRET)
    body = message()
    assert send(elsewhere, body, signed(body)) == 204
    assert state(parked) == State.WAITING


def test_a_job_that_does_not_wait_is_left_alone(connection, parked):
    Job.objects.filter(pk=parked.pk).update(state=State.RUNNING)
    body = message()
    assert send(connection, body, signed(body)) == 204
    assert state(parked) == State.RUNNING


def test_a_message_is_no_page(connection, client):
    assert client.get(reverse("openai_hook", args=[connection.pk])).status_code == 405

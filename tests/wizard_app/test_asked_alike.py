"""What the dry run asks with is what training and comparison ask with: the effort, and the form of answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from graders_app.services import save_grader
from rft_project.connections import services as connections
from tests.emulators import openai
from tests.emulators.wire import started
from tests.worker import drain
from wizard_app import flow, services
from wizard_app.core.digests import digest
from wizard_app.jobs.evaluate import evaluation_plan
from wizard_app.models import RFTJob
from wizard_app.schemas import TrainParams

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"label": {"type": "string"}},
        "required": ["label"],
        "additionalProperties": False,
    }
)
READS_JSON = {
    "type": "string_check",
    "name": "label",
    "input": "{{sample.output_json.label}}",
    "reference": "{{item.reference_answer}}",
    "operation": "eq",
}


class Listening(openai.OpenAIEmulator):
    """``asked``: the questions, in the order they came."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        super().__init__()

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        return super().chat(body)


@pytest.fixture
def account(settings: Any) -> Iterator[Listening]:
    with started(Listening()) as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.url).netloc]
        yield running


@pytest.fixture
def json_run(graded_run: RFTJob, account: Listening, owner: Any) -> RFTJob:
    """A run whose grader reads JSON, with a connection to the emulated OpenAI."""
    connections.add(graded_run.workspace, "openai", "Ours", account.credentials, by=owner)
    services.choose_grader(graded_run, save_grader(graded_run.workspace, "Reads JSON", READS_JSON, by=None))
    return graded_run


def form_of(run: RFTJob, **changes: str) -> dict[str, str]:
    connection = run.workspace.connections.get(kind="openai")
    return {"model": f"{connection.pk}|{openai.TRAINABLE}", "size": "12", "answers": "2", **changes}


def test_effort_and_form_are_chosen_once_and_hold_to_the_end(json_run, account, owner, client_of) -> None:
    client, page = client_of(owner), reverse("wizard:dry_run", args=[json_run.pk])
    shown = client.get(page).content.decode()
    assert "For o4-mini (low, medium, high)." in shown
    assert "JSON schema of an answer" in shown
    chosen = form_of(json_run, reasoning_effort="low", answer_schema=SCHEMA)
    client.post(reverse("wizard:do_dry_run", args=[json_run.pk]), chosen)
    drain(jump=True)
    json_run.refresh_from_db()
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": json.loads(SCHEMA)}}
    first = list(account.asked)
    assert len(first) == 36  # of each prompt two at once, which is refused, then one by one
    assert all((body["reasoning_effort"], body["response_format"]) == ("low", form) for body in first)
    assert min(body["max_completion_tokens"] for body in first) > 4_096
    assert '<option value="low" selected>' in client.get(page).content.decode()

    services.override_no_go(json_run, "The emulator's model knows nothing yet.", by=owner)
    train = client.get(reverse("wizard:train", args=[json_run.pk])).content.decode()
    assert "Low, as in the dry run" in train
    assert 'name="reasoning_effort"' not in train
    client.post(reverse("wizard:do_train", args=[json_run.pk]), {"n_epochs": "4"})
    drain(jump=True)
    json_run.refresh_from_db()
    (job,) = account.jobs.values()
    sent = job["method"]["reinforcement"]
    assert sent["hyperparameters"] == {"n_epochs": 4, "reasoning_effort": "low"}
    assert sent["response_format"] == form
    compared = account.asked[36:]
    assert {body["model"] for body in compared} == {openai.TRAINABLE, json_run.tuned_model}
    assert all((body["reasoning_effort"], body["response_format"]) == ("low", form) for body in compared)


def test_another_effort_makes_the_training_old(json_run, account, owner) -> None:
    """And its comparison goes on as it was trained."""
    connection = str(json_run.workspace.connections.get(kind="openai").pk)
    told = {"connection": connection, "model": openai.TRAINABLE, "size": 12, "answers": 2}
    services.start_dry_run(json_run, dry_run_params(json_run, reasoning_effort="low", **told), by=None)
    drain(jump=True)
    json_run.refresh_from_db()
    services.override_no_go(json_run, "The emulator's model knows nothing yet.", by=owner)
    services.start_training(json_run, TrainParams(hyperparameters={"n_epochs": 4}), by=None)
    drain(jump=True)
    json_run.refresh_from_db()
    assert not flow.state_of(json_run, flow.TRAIN).stale
    services.start_dry_run(json_run, dry_run_params(json_run, reasoning_effort="high", **told), by=None)
    drain(jump=True)
    json_run.refresh_from_db()
    assert flow.state_of(json_run, flow.TRAIN).stale
    assert evaluation_plan(json_run, json_run.tuned_model).effort == "low"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer_schema": "{"}, "The schema is not JSON."),
        ({"size": "0"}, "Choose a model, and numbers within their limits."),
    ],
)
def test_a_form_that_can_not_be_used_says_why(json_run, owner, client_of, changes, said) -> None:
    sent = client_of(owner).post(
        reverse("wizard:do_dry_run", args=[json_run.pk]), form_of(json_run, **changes), follow=True
    )
    assert said in sent.content.decode()
    assert not json_run.steps.filter(step=flow.DRY_RUN).exists()


def test_a_model_that_does_not_think_is_asked_without_effort(graded_run, engine) -> None:
    for changes, said in (
        ({"reasoning_effort": "low"}, "Classifier can't be told how long to think"),
        ({"response_format": {"type": "json_object"}}, "Classifier can't be trained on answers of a set form"),
    ):
        with pytest.raises(services.Refused, match=said):
            services.start_dry_run(graded_run, dry_run_params(graded_run, **changes), by=None)


def test_only_the_engine_leaves_nothing_more_to_choose(graded_run, engine, owner, client_of) -> None:
    page = client_of(owner).get(reverse("wizard:dry_run", args=[graded_run.pk])).content.decode()
    assert "Reasoning effort" not in page
    assert "JSON schema" not in page


def test_a_training_with_an_effort_of_its_own_is_refused(json_run, account, owner) -> None:
    connection = str(json_run.workspace.connections.get(kind="openai").pk)
    told = {"connection": connection, "model": openai.TRAINABLE, "size": 12, "answers": 2}
    services.start_dry_run(json_run, dry_run_params(json_run, reasoning_effort="low", **told), by=None)
    drain(jump=True)
    json_run.refresh_from_db()
    services.override_no_go(json_run, "The emulator's model knows nothing yet.", by=owner)
    with pytest.raises(services.Refused, match="another reasoning effort than high"):
        services.start_training(json_run, TrainParams(hyperparameters={"reasoning_effort": "high"}), by=None)


def test_answers_asked_for_before_are_found_again(graded_run) -> None:
    """What has no effort and no form has the key it had before there were any."""
    params = dry_run_params(graded_run, max_tokens=8)
    assert services.plan_of(graded_run, params).key == digest([params.connection, "classifier", 1.0, 8, 0, []])
    keys = {
        services.plan_of(graded_run, params.model_copy(update=changes)).key
        for changes in ({}, {"reasoning_effort": "low"}, {"response_format": {"type": "json_object"}})
    }
    assert len(keys) == 3

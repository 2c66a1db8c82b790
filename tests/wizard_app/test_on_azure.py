"""A run on an emulated Azure resource: what only that platform has is chosen on the page and reaches the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.urls import reverse

from datasets_app.sample import SMALL_PATH
from rft_project.connections import services as connections
from rft_project.platforms import catalogue
from tests.emulators import azure
from tests.wizard_app.conftest import run_on_azure
from tests.worker import drain
from wizard_app import flow, services
from wizard_app.forms import TrainForm
from wizard_app.models import RFTJob
from wizard_app.schemas import TrainParams

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def resource(settings: Any) -> Iterator[azure.AzureEmulator]:
    with azure.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        yield running


@pytest.fixture
def azure_run(graded_run: RFTJob, resource: azure.AzureEmulator, owner: Any) -> RFTJob:
    """A run whose dry run asked o4-mini through its deployment, named by hand."""
    run_on_azure(graded_run, resource, owner)
    return graded_run


def test_the_training_type_is_chosen_on_the_page_and_sent(azure_run, resource, client, owner) -> None:
    client.force_login(owner)
    page = client.get(reverse("wizard:train", args=[azure_run.pk])).content.decode()
    assert "Training type" in page
    form = {"trainingType": "developerTier", "n_epochs": "3", "batch_size": "32"}
    assert client.post(reverse("wizard:do_train", args=[azure_run.pk]), form).status_code == 302
    drain(jump=True)
    (job,) = resource.jobs.values()
    assert job["trainingType"] == "developerTier"
    assert job["method"]["reinforcement"]["hyperparameters"] == {"n_epochs": 3, "batch_size": 32}
    azure_run.refresh_from_db()
    assert azure_run.tuned_model == job["fine_tuned_model"]
    assert not azure_run.steps.filter(step=flow.RESULTS).exists()  # nothing can be compared before it is deployed
    again = client.get(reverse("wizard:train", args=[azure_run.pk])).content.decode()
    assert '<option value="developerTier" selected>' in again


def test_a_tuned_model_is_deployed_and_then_compared(
    azure_run, resource, client, owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in resource.environment.items():
        monkeypatch.setenv(name, value)
    owner.is_superuser = True
    connections.replace_credentials(azure_run.connection, resource.credentials, by=owner)
    services.start_training(azure_run, TrainParams(hyperparameters={"n_epochs": 12, "batch_size": 32}), by=owner)
    drain(jump=True)
    client.force_login(owner)
    results = reverse("wizard:results", args=[azure_run.pk])
    assert "lets a model answer once it is deployed" in client.get(results).content.decode()
    resource.arm.creating_seconds = 3600.0
    asked = client.post(reverse("wizard:do_deploy", args=[azure_run.pk]), {"sku": "GlobalStandard", "capacity": "120"})
    made = azure_run.deployments.get()
    assert asked["Location"] == made.get_absolute_url()
    drain()
    made.refresh_from_db()
    assert not made.answers
    assert "is making it ready" in client.get(made.get_absolute_url()).content.decode()
    waiting = client.get(results).content.decode()
    assert "Your model does not answer yet." in waiting
    assert "Compare the two models." not in waiting
    assert 'hx-trigger="every 2s"' in waiting  # it goes on by itself to the comparison
    for standing in resource.arm.deployments.values():
        standing.succeeds_at = standing.answers_at = 0.0
    client.post(reverse("wizard:do_deploy", args=[azure_run.pk]))
    drain(jump=True)
    (name,) = resource.arm.made
    made.refresh_from_db()
    azure_run.refresh_from_db()
    assert (azure_run.deployments.get(), made.model, made.called) == (made, azure_run.tuned_model, name)
    assert resource.arm.deployments[name].body["sku"] == {"name": "GlobalStandard", "capacity": 120}
    page = client.get(made.get_absolute_url()).content.decode()
    assert f"model=&quot;{name}&quot;" in page
    assert "openai/v1" in page
    assert "1.70\xa0USD an hour while it stands" in page
    compared = azure_run.steps.get(step=flow.RESULTS).summary  # answers are drawn anew, so how it ends is left open
    assert compared["outcome"]["overall"]["prompts"] == azure_run.snapshot.items.filter(part="valid").count()
    client.post(reverse("wizard:do_undeploy", args=[azure_run.pk, made.pk]))
    made.refresh_from_db()
    assert (made.ended_at is None, name in resource.arm.deployments) == (False, False)
    assert "It was taken back" in client.get(made.get_absolute_url()).content.decode()


@pytest.mark.slow
def test_the_pipeline_deploys_before_it_compares(workspace, resource, owner, tmp_path, monkeypatch) -> None:
    for name, value in resource.environment.items():
        monkeypatch.setenv(name, value)
    owner.is_superuser = True
    values = {**resource.credentials, "deployments": f"{azure.TRAINABLE} = {azure.BASE_DEPLOYMENT}"}
    connections.add(workspace, "azure", "Ours", values, by=owner)
    report = tmp_path / "report.json"
    arguments = [str(SMALL_PATH), "--name", "Walk", "--grader", "preset:label_partial_credit", "--platform", "Ours"]
    small = ["--dry-run-size", "8", "--samples", "2", "--train-anyway", "The emulator's model knows nothing yet."]
    call_command("run_pipeline", *arguments, *small, "--model", azure.TRAINABLE, "--report", str(report))
    found = json.loads(report.read_text())
    (name,) = resource.arm.made
    assert found["deployment"] == {"model": name, "state": "succeeded"}
    assert {"baseline", "tuned", "verdict"} <= set(found)


def test_an_option_outside_its_choices_is_refused() -> None:
    (model,) = [m for m in catalogue.entry("azure").models if m.id == azure.TRAINABLE]
    form = TrainForm({"trainingType": "free"}, info=model)
    assert not form.is_valid()
    assert list(form.errors) == ["trainingType"]


def test_a_name_is_an_option_too() -> None:
    (model,) = [m for m in catalogue.entry("azure").models if m.id == "gpt-oss-120b"]
    form = TrainForm({"trainingType": "globalStandard", "grader_deployment": "our-judge"}, info=model)
    assert form.is_valid()
    assert form.options() == {"trainingType": "globalStandard", "grader_deployment": "our-judge"}
    assert form.hyperparameters() == {}

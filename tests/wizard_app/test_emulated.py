"""The whole walk on an emulated OpenAI: no account, real steps, and pages that say what it is."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from rft_project.connections import services as connections
from tests.emulators import openai
from tests.worker import drain
from wizard_app import flow, services
from wizard_app.models import RFTJob
from wizard_app.schemas import TrainParams

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db

SAYS = re.compile(r">\s*emulated\s*<")


@pytest.fixture
def emulated_run(graded_run: RFTJob, owner: Any, settings: Any, client_of: Any):
    """A run whose dry run asked the emulated o4-mini."""
    with openai.running() as emulator:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(emulator.url).netloc]
        page = reverse("wizard:grader", args=[graded_run.pk])
        assert SAYS.search(client_of(owner).get(page).content.decode()) is None
        made = connections.add(graded_run.workspace, "openai", "OpenAI (emulated)", emulator.credentials, by=owner)
        params = dry_run_params(graded_run, connection=str(made.pk), model=openai.TRAINABLE, size=12, answers=3)
        services.start_dry_run(graded_run, params, by=owner)
        drain(jump=True)
        graded_run.refresh_from_db()
        yield graded_run, emulator


def test_the_walk_ends_with_a_better_model_and_every_page_says_emulated(emulated_run, owner, client_of) -> None:
    """First the organization is closed, which leaves the run as it is; then it is not."""
    run, emulator = emulated_run
    services.override_no_go(run, "It is emulated.", by=owner)
    emulator.closed = True
    job = services.start_training(run, TrainParams(), by=owner)
    drain(jump=True)
    job.refresh_from_db()
    run.refresh_from_db()
    assert (job.state, emulator.jobs, run.training_handle) == ("FAILED", {}, "")
    assert job.error_message.startswith(
        "OpenAI no longer lets your organization start fine-tuning jobs; train the same"
    )

    emulator.closed = False
    services.start_training(run, TrainParams(hyperparameters={"n_epochs": 20}), by=owner)
    drain(jump=True)
    run.refresh_from_db()
    steps = {result.step: result.summary for result in run.steps.all()}
    assert run.tuned_model in emulator.models
    curve = list(run.metrics.filter(series="valid_reward").order_by("step").values_list("value", flat=True))
    assert curve[-1] > curve[0]
    # Its answers are drawn anew in the comparison, so how that ends is left open.
    assert steps[flow.RESULTS]["outcome"]["overall"]["prompts"] == run.snapshot.items.filter(part="valid").count()
    assert {"train_reward", "valid_reward", "reasoning_tokens", "seconds", "errors"} <= set(
        run.metrics.values_list("series", flat=True)
    )

    client = client_of(owner)
    for name in ("dry_run", "train", "results", "playground"):
        assert SAYS.search(client.get(reverse(f"wizard:{name}", args=[run.pk])).content.decode()), name
    assert "nothing is paid" in client.get(reverse("wizard:train", args=[run.pk])).content.decode()
    assert SAYS.search(client.get(reverse("connections:connections")).content.decode())

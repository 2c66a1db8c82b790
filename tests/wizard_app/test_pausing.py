"""A person pauses a training on an emulated OpenAI and lets it go on; the job goes on looking all the time."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import State
from tests.emulators import openai
from tests.worker import drain
from wizard_app import services
from wizard_app.models import RFTJob
from wizard_app.schemas import TrainParams

from .test_caps import NO_GO, account, dry_run, emulator

__all__ = ["account", "emulator"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_training_is_paused_and_goes_on_where_it_was(
    graded_run: RFTJob, account: Any, emulator: openai.OpenAIEmulator, owner: Any, colleague: Any, client_of: Any
) -> None:
    dry_run(graded_run, account)
    emulator.step_seconds = 0.05
    services.override_no_go(graded_run, NO_GO, by=owner)
    job = services.start_training(graded_run, TrainParams(hyperparameters={"n_epochs": 50}), by=owner)
    page, client = reverse("wizard:train", args=[graded_run.pk]), client_of(owner)
    while "Pause" not in client.get(page).content.decode():
        assert drain(limit=1, jump=True)
    for _ in range(2):
        client.post(reverse("wizard:do_pause", args=[graded_run.pk]))
    (made,) = emulator.jobs.values()
    while made["status"] != "paused":
        assert drain(limit=1, jump=True)
    drain(limit=1, jump=True)
    job.refresh_from_db()
    assert job.state == State.WAITING
    shown = client.get(page).content.decode()
    assert "Training is paused" in shown
    assert "Let it go on." in shown
    client_of(colleague).post(reverse("wizard:do_go_on", args=[graded_run.pk]))
    assert made["status"] in ("queued", "running", "resuming")
    drain(jump=True)
    graded_run.refresh_from_db()
    assert (len(emulator.jobs), bool(graded_run.tuned_model)) == (1, True)
    said = AuditEntry.objects.filter(action__in=["pause training", "resume training"]).order_by("pk")
    assert [(entry.action, entry.actor) for entry in said] == [
        ("pause training", owner),
        ("pause training", owner),
        ("resume training", colleague),
    ]


def test_nothing_is_paused_where_nothing_trains(graded_run: RFTJob, owner: Any, client_of: Any) -> None:
    client = client_of(owner)
    client.post(reverse("wizard:do_pause", args=[graded_run.pk]))
    said = client.get(reverse("wizard:split", args=[graded_run.pk])).content.decode()
    assert "No training of this run is under way at its platform." in said

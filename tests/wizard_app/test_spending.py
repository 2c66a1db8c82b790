"""A start whose answer is lost, seen from the wizard: the job waits and says so, and one training is paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from rft_project.jobs.models import Job, State
from rft_project.jobs.services import request_cancel
from rft_project.ledger.models import ExternalCall
from rft_project.platforms.errors import Unknown
from tests.emulators import azure
from tests.wizard_app.conftest import run_on_azure
from tests.worker import drain
from wizard_app import attempts, services
from wizard_app.models import RFTJob
from wizard_app.schemas import TrainParams

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "Azure did not say whether the training started; looking again in 2 minutes so that nothing is paid twice."


@pytest.fixture
def resource(settings: Any) -> Iterator[azure.AzureEmulator]:
    """It makes the job, the answer is lost, and the first two lists do not show it."""
    with azure.running(queue_seconds=3600.0) as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        running.list_lag = 2
        yield running


@pytest.fixture
def lost(graded_run: RFTJob, resource: azure.AzureEmulator, owner: Any) -> Job:
    """The training job after its start was sent and not answered."""
    run_on_azure(graded_run, resource, owner)
    resource.faults.append(azure.Fault("POST", "/openai/v1/fine_tuning/jobs", "drop-after"))
    job = services.start_training(graded_run, TrainParams(), by=owner)
    drain()
    job.refresh_from_db()
    return job


def test_the_job_waits_and_then_follows_the_one_that_was_made(lost: Job, resource, graded_run: RFTJob) -> None:
    assert (lost.state, lost.note) == (State.WAITING, WAITS)
    calls = {call.operation: call.state for call in ExternalCall.objects.all()}
    assert calls == {"upload train": "confirmed", "upload valid": "confirmed", "start": "sent"}
    drain(limit=3, jump=True)
    graded_run.refresh_from_db()
    assert [graded_run.training_handle] == list(resource.jobs)
    assert len(resource.files) == 2


def test_nobody_may_start_another_while_it_is_not_known(lost: Job, graded_run: RFTJob) -> None:
    """Also where our job is over: the platform's list says nothing yet, and that is no answer."""
    Job.objects.filter(pk=lost.pk).update(state=State.FAILED)
    lost.refresh_from_db()
    graded_run.refresh_from_db()
    with pytest.raises(Unknown, match="nothing is paid twice"):
        attempts.earlier(graded_run, lost)


def test_a_stop_looks_first_and_then_stops_what_is_there(lost: Job, resource) -> None:
    request_cancel(lost)
    drain(limit=1, jump=True)
    lost.refresh_from_db()
    assert (lost.state, lost.note) == (State.WAITING, WAITS)
    drain(limit=3, jump=True)
    lost.refresh_from_db()
    assert (lost.state, [job["status"] for job in resource.jobs.values()]) == (State.CANCELLED, ["cancelled"])

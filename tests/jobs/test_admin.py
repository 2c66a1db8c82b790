from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import AbstractUser
from django.test import Client
from django.urls import reverse

from rft_project.jobs.models import Job
from rft_project.jobs.services import enqueue
from tests.worker import drain


@pytest.fixture
def operator(owner: AbstractUser, client_of: Callable[[AbstractUser], Client]) -> Client:
    owner.is_staff = owner.is_superuser = True
    owner.save(update_fields=["is_staff", "is_superuser"])
    return client_of(owner)


def act(operator: Client, action: str, *jobs: Job) -> None:
    url = reverse("admin:jobs_job_changelist")
    answer = operator.post(url, {"action": action, "_selected_action": [job.pk for job in jobs]})
    assert answer.status_code == 302
    for job in jobs:
        job.refresh_from_db()


def queue(key: str, *steps: str) -> Job:
    return enqueue("scripted", {"steps": list(steps)}, lock_key=key)


def test_operators_see_a_job_with_its_log_and_cannot_edit_it(operator: Client) -> None:
    job = queue("thing:1", "failed")
    drain()
    page = operator.get(reverse("admin:jobs_job_change", args=[job.pk]))
    assert page.status_code == 200
    assert "There is nothing to count; add records first." in page.text
    assert "_save" not in page.text
    before = Job.objects.values().get()
    assert operator.post(reverse("admin:jobs_job_change", args=[job.pk]), {"state": "SUCCEEDED"}).status_code == 403
    assert operator.get(reverse("admin:jobs_job_add")).status_code == 403
    assert Job.objects.values().get() == before


def test_operators_find_jobs_by_state(operator: Client) -> None:
    queue("thing:1", "failed")
    drain()
    queue("thing:2", "done")
    page = operator.get(reverse("admin:jobs_job_changelist"), {"state": "FAILED"})
    assert [job.lock_key for job in page.context["cl"].queryset] == ["thing:1"]


def test_operators_stop_what_is_live_and_queue_again_what_has_ended(operator: Client) -> None:
    failed = queue("thing:1", "failed", "done")
    drain()
    waiting = queue("thing:2", "done")
    act(operator, "cancel", failed, waiting)
    assert (failed.state, waiting.state) == ("FAILED", "CANCELLED")
    act(operator, "requeue", failed, waiting)
    assert (failed.state, waiting.state) == ("QUEUED", "QUEUED")
    drain()
    failed.refresh_from_db()
    assert failed.state == "SUCCEEDED"


def test_others_do_not_get_in(colleague: AbstractUser, client_of: Callable[[AbstractUser], Client]) -> None:
    assert client_of(colleague).get(reverse("admin:jobs_job_changelist")).status_code == 302

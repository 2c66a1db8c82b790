from __future__ import annotations

import threading

import pytest

from rft_project.jobs.lease import Lease
from rft_project.jobs.models import Job
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue
from tests.worker import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job() -> Job:
    claimed = claim(enqueue("scripted", {"steps": ["done"]}, lock_key="thing:1").pk)
    assert claimed is not None
    return claimed


def beating() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lease of job")]


def test_a_handler_without_a_word_keeps_its_lease(job: Job) -> None:
    def renewed() -> bool:
        return Job.objects.get().lease_until > job.lease_until

    with Lease(job.pk, job.fence).kept_alive(every=0.05):
        wait_for(renewed, 5)
        assert beating() == [f"lease of job {job.pk}"]
    assert beating() == []
    assert Job.objects.get().version == job.version  # nothing a page could show


def test_a_lease_that_was_lost_is_not_renewed(job: Job) -> None:
    with Lease(job.pk, job.fence - 1).kept_alive(every=0.05):
        wait_for(lambda: not beating(), 5)
    assert Job.objects.get().lease_until == job.lease_until

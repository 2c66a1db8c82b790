from __future__ import annotations

import pytest

from rft_project.jobs.context import JobContext
from rft_project.jobs.lease import Lease
from rft_project.jobs.models import Job, JobEvent
from rft_project.jobs.outcomes import Cancelled
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue, request_cancel, retry
from tests.worker import drain

pytestmark = pytest.mark.django_db


def queue(*steps: str) -> Job:
    return enqueue("scripted", {"steps": list(steps)}, lock_key="thing:1")


def test_a_job_that_never_started_is_cancelled_at_once() -> None:
    job = request_cancel(queue("bug"))
    assert (job.state, job.state_label, job.finished_at is not None) == ("CANCELLED", "Stopped", True)
    drain()
    job.refresh_from_db()
    assert (job.state, job.started_at) == ("CANCELLED", None)


def test_a_parked_job_is_woken_to_stop_what_it_started_elsewhere() -> None:
    job = queue("wait:3600", "clean_up")
    drain()
    job = request_cancel(job)
    assert (job.state, job.state_label) == ("QUEUED", "Stopping")
    drain()
    job.refresh_from_db()
    assert job.state == "CANCELLED"
    assert [event.message for event in job.events.all()] == ["stopped what was started elsewhere"]


def test_a_job_between_two_slices_stops_at_its_first_look() -> None:
    job = queue("again", "check")
    drain(limit=1)
    job = request_cancel(job)
    assert (job.state, job.state_label) == ("QUEUED", "Stopping")
    drain()
    job.refresh_from_db()
    assert job.state == "CANCELLED"


def test_a_running_job_learns_of_it_in_its_next_batch_and_keeps_that_batch() -> None:
    claimed = claim(queue("done").pk)
    assert claimed is not None
    context = JobContext(claimed, Lease(claimed.pk, claimed.fence))
    context.check()
    assert request_cancel(claimed).state == "RUNNING"
    with context.batch(done=1):
        JobEvent.objects.create(job=claimed, message="item 0")
    with pytest.raises(Cancelled):
        context.check()
    claimed.refresh_from_db()
    assert (claimed.done, claimed.events.count()) == (1, 1)


def test_a_stop_that_a_slice_did_not_hear_of_wakes_the_parked_job() -> None:
    job = queue("cancel_and_wait", "check")
    drain()
    job.refresh_from_db()
    assert job.state == "CANCELLED"


@pytest.mark.parametrize("steps", [["done"], ["failed"]])
def test_a_finished_job_stays_as_it_ended(steps: list[str]) -> None:
    job = queue(*steps)
    drain()
    job.refresh_from_db()
    assert request_cancel(job).version == job.version
    assert request_cancel(job).state == job.state


def test_asking_twice_changes_nothing_more() -> None:
    claimed = claim(queue("done").pk)
    assert claimed is not None
    assert request_cancel(claimed).version == request_cancel(claimed).version


def test_a_cancelled_job_can_be_started_again() -> None:
    job = retry(request_cancel(queue("done")))
    assert (job.state, job.cancel_requested) == ("QUEUED", False)
    drain()
    job.refresh_from_db()
    assert job.state == "SUCCEEDED"

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from rft_project.jobs.context import JobContext
from rft_project.jobs.lease import Lease
from rft_project.jobs.models import Job, JobEvent, State, as_json
from rft_project.jobs.outcomes import Lost
from rft_project.jobs.runner import backoff, claim, run
from rft_project.jobs.services import enqueue
from rft_project.jobs.sweep import put_back_stale
from tests.jobs.handlers import items
from tests.worker import drain

pytestmark = pytest.mark.django_db


def start(*steps: str, **fields: object) -> Job:
    job = enqueue("scripted", {"steps": list(steps)}, lock_key="thing:1")
    if fields:
        Job.objects.filter(pk=job.pk).update(**fields)
    run(job.pk)
    job.refresh_from_db()
    return job


def test_a_result_ends_the_job() -> None:
    job = enqueue("count", {"n": 5, "batch": 2}, lock_key="thing:1")
    assert run(job.pk) is True
    job.refresh_from_db()
    assert (job.state, job.result) == ("SUCCEEDED", {"items": 5, "share": 1.0})
    assert (job.done, job.total, job.percent, job.phase) == (5, 5, 100, "Counting")
    assert job.started_at and job.finished_at and job.started_at <= job.finished_at
    assert (job.is_live, job.eta_seconds, job.lease_until) == (False, None, None)
    assert items(job.pk) == [0, 1, 2, 3, 4]


def test_a_second_message_finds_nothing_to_do() -> None:
    job = start("done")
    assert run(job.pk) is False
    job.refresh_from_db()
    assert job.cursor == {"starts": 1}


def test_a_running_job_cannot_be_claimed() -> None:
    job = enqueue("scripted", {"steps": ["done"]}, lock_key="thing:1")
    first = claim(job.pk)
    assert first is not None and (first.state, first.fence, first.attempts) == ("RUNNING", 1, 1)
    assert claim(job.pk) is None


def test_again_queues_the_job_at_once_and_forgets_attempts() -> None:
    job = start("again", "done", attempts=3, deaths=1)
    assert (job.state, job.attempts, job.deaths) == ("QUEUED", 0, 0)
    drain()
    job.refresh_from_db()
    assert (job.state, job.cursor) == ("SUCCEEDED", {"starts": 2})


def test_slices_go_on_where_the_last_one_ended() -> None:
    job = enqueue("count", {"n": 6, "delay": 0.02}, lock_key="thing:1")
    messages = drain(slice_seconds=0.03)
    job.refresh_from_db()
    assert (job.state, items(job.pk)) == ("SUCCEEDED", [0, 1, 2, 3, 4, 5])
    assert 3 <= messages <= 6  # more than one slice, each with at least one batch


def test_wait_until_parks_the_job_with_its_note() -> None:
    job = start("wait:90", "done", attempts=2)
    assert (job.state, job.note, job.attempts) == ("WAITING", "waiting for the other side", 0)
    assert job.run_after is not None
    assert timedelta(seconds=80) < job.run_after - timezone.now() <= timedelta(seconds=90)
    assert drain() == 1  # the message of the first start, which finds the job parked
    job.refresh_from_db()
    assert job.state == "WAITING"
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, job.note) == ("SUCCEEDED", "")


def test_a_short_wait_is_over_soon() -> None:
    job = enqueue("scripted", {"steps": ["wait:0.1", "done"]}, lock_key="thing:1")
    drain(patience=3)
    job.refresh_from_db()
    assert job.state == "SUCCEEDED"


def test_an_error_that_may_pass_is_tried_again_after_the_time_the_platform_asked_for() -> None:
    job = start("busy:70", "done")
    assert (job.state, job.attempts, job.note) == ("WAITING", 1, "The platform is busy. Trying again.")
    assert job.run_after is not None
    assert timedelta(seconds=60) < job.run_after - timezone.now() <= timedelta(seconds=70)
    drain(jump=True)
    job.refresh_from_db()
    assert job.state == "SUCCEEDED"


def test_an_error_that_does_not_pass_ends_the_job_after_its_attempts() -> None:
    job = enqueue("scripted", {"steps": ["busy:0"]}, lock_key="thing:1")
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.error_code) == ("FAILED", 5, "429")
    assert job.error_message == "The platform is busy. Tried 5 times without success; try again later."


def test_without_a_wish_of_the_platform_the_pause_grows() -> None:
    job = start("away")
    assert job.run_after is not None
    assert timedelta(seconds=0) < job.run_after - timezone.now() <= timedelta(seconds=2)
    assert [1.0 <= backoff(1) <= 2.0, 2.0 <= backoff(2) <= 4.0, 60.0 <= backoff(40) <= 120.0] == [True] * 3


def test_a_refusal_is_shown_as_it_was_said() -> None:
    job = start("refused")
    assert (job.state, job.error_message, job.error_code) == ("FAILED", "The platform refused the model.", "bad_model")


def test_a_handlers_own_sentence_is_shown() -> None:
    job = start("failed")
    assert (job.state, job.error_message) == ("FAILED", "There is nothing to count; add records first.")
    assert (job.error_code, job.traceback) == ("empty", "")
    assert [event.message for event in job.events.filter(level="error")] == [job.error_message]


def test_a_surprise_gets_a_reference_and_keeps_secrets_out_of_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    job = start("bug:api_key=sk-1234567890abcdef")
    assert job.state == "FAILED"
    assert job.error_message == (
        f"Something went wrong here (reference {job.pk}-1); try again, or show the reference to an operator."
    )
    assert "ValueError: unexpected" in job.traceback
    assert "sk-1234567890abcdef" not in job.traceback
    assert f"reference {job.pk}-1" in caplog.text


def test_a_result_that_is_no_json_fails_the_job_instead_of_the_worker() -> None:
    assert start("unreadable").error_code == "internal"


@pytest.mark.parametrize("kind", ["missing", "unknown"])
def test_a_kind_without_a_handler_fails_the_job(kind: str) -> None:
    job = Job.objects.create(kind=kind, lock_key="thing:1")
    run(job.pk)
    job.refresh_from_db()
    assert job.state == "FAILED"


def test_results_are_models_dicts_or_nothing() -> None:
    assert (as_json(None), as_json({"a": 1})) == ({}, {"a": 1})
    with pytest.raises(TypeError, match="not list"):
        as_json([1])


def test_a_holder_that_lost_its_lease_writes_nothing() -> None:
    job = enqueue("count", {"n": 2}, lock_key="thing:1")
    slow = claim(job.pk)
    assert slow is not None
    assert put_back_stale(timezone.now() + timedelta(minutes=2)) == (1, 0)
    fast = claim(job.pk)
    assert fast is not None and fast.fence == slow.fence + 2

    context = JobContext(slow, Lease(slow.pk, slow.fence))
    with pytest.raises(Lost), context.batch(done=1):
        JobEvent.objects.create(job=slow, message="item 0")
    with pytest.raises(Lost):
        context.log("still here")
    with pytest.raises(Lost):
        context.check()
    assert Lease(slow.pk, slow.fence).end(state=State.SUCCEEDED) is False
    job.refresh_from_db()
    assert (job.state, job.fence, items(job.pk)) == ("RUNNING", fast.fence, [])
    assert context.progress.done == 0


def test_a_batch_that_fails_leaves_neither_rows_nor_progress() -> None:
    job = enqueue("count", {"n": 2}, lock_key="thing:1")
    claimed = claim(job.pk)
    assert claimed is not None
    context = JobContext(claimed, Lease(claimed.pk, claimed.fence))
    with pytest.raises(RuntimeError), context.batch(done=1) as batch:
        JobEvent.objects.create(job=job, message="item 0")
        batch.cursor = {"at": 1}
        raise RuntimeError
    job.refresh_from_db()
    assert (job.done, job.cursor, items(job.pk), context.progress.done) == (0, {}, [], 0)


def test_a_handler_that_lost_its_job_ends_without_a_trace() -> None:
    job = start("usurped")
    assert (job.state, job.error_message, job.result) == ("QUEUED", "", {})


def test_the_time_out_of_the_queue_fails_the_job_and_goes_on_up() -> None:
    job = enqueue("scripted", {"steps": ["overslept"]}, lock_key="thing:1")
    with pytest.raises(SystemExit):
        run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("FAILED", "timeout")
    assert job.error_message == "One step took longer than 5 minutes and was stopped; try again with less at a time."

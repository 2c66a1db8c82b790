from __future__ import annotations

import pytest
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, transaction
from django_q.models import OrmQ

from rft_project.jobs.models import Job, State
from rft_project.jobs.services import enqueue, retry, wake
from tests.worker import drain

pytestmark = pytest.mark.django_db


def queue(steps: list[str] | None = None, key: str = "thing:1") -> Job:
    return enqueue("scripted", {"steps": steps or ["done"]}, lock_key=key)


def test_enqueue_makes_a_queued_row_and_one_message(owner: AbstractUser) -> None:
    job = enqueue("count", {"n": 3}, lock_key="dataset:1:count", by=owner, total=3, unit="traces")
    assert (job.state, job.params, job.total, job.unit, job.requested_by) == ("QUEUED", {"n": 3}, 3, "traces", owner)
    assert [(message.pk, message.task["args"]) for message in OrmQ.objects.all()] == [(job.message_id, (job.pk,))]


def test_enqueue_twice_gives_one_job_with_its_first_parameters() -> None:
    first, second = queue(["again", "done"]), queue(["bug"])
    assert second.pk == first.pk
    assert second.params == {"steps": ["again", "done"]}
    assert OrmQ.objects.count() == 1


def test_a_finished_job_frees_its_key() -> None:
    first = queue()
    drain()
    assert queue().pk != first.pk


def test_the_database_itself_refuses_a_second_unfinished_job() -> None:
    job = queue()
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(kind="count", lock_key=job.lock_key, state=State.WAITING)
    assert Job.objects.create(kind="count", lock_key=job.lock_key, state=State.FAILED).pk


def test_a_rolled_back_transaction_leaves_neither_job_nor_message() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        queue()
        raise RuntimeError
    assert (Job.objects.count(), OrmQ.objects.count()) == (0, 0)


def test_enqueue_knows_its_kinds() -> None:
    with pytest.raises(KeyError, match="'laundry'"):
        enqueue("laundry", {}, lock_key="thing:1")


def test_retry_starts_a_failed_job_anew() -> None:
    job = queue(["bug", "done"])
    drain()
    job.refresh_from_db()
    assert (job.state, bool(job.traceback)) == ("FAILED", True)
    job = retry(job)
    assert (job.state, job.error_message, job.error_code, job.traceback, job.attempts) == ("QUEUED", "", "", "", 0)
    assert job.finished_at is None
    drain()
    job.refresh_from_db()
    assert job.state == "SUCCEEDED"


def test_retry_returns_the_job_that_took_the_key_meanwhile() -> None:
    failed = queue(["failed"])
    drain()
    other = queue()
    assert retry(failed).pk == other.pk
    failed.refresh_from_db()
    assert failed.state == "FAILED"


def test_retry_leaves_a_live_job_alone() -> None:
    job = queue()
    assert retry(job).version == job.version
    assert OrmQ.objects.count() == 1


def test_wake_only_wakes_what_is_parked() -> None:
    job = queue(["wait:60", "done"])
    assert wake(job.pk) is False
    drain()
    assert wake(job.pk) is True
    job.refresh_from_db()
    assert (job.state, job.run_after) == ("QUEUED", None)

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ

from rft_project.jobs import owner
from rft_project.jobs.context import JobContext
from rft_project.jobs.lease import Lease
from rft_project.jobs.models import Job, State
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue
from rft_project.jobs.sweep import Swept, ring_lost, sweep
from tests.worker import drain

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=3)


def queue(*steps: str, key: str = "thing:1") -> Job:
    return enqueue("scripted", {"steps": list(steps)}, lock_key=key)


def test_a_parked_job_is_woken_when_it_is_due_and_not_before() -> None:
    job = queue("wait:100", "done")
    drain()
    assert sweep() == Swept()
    assert sweep(timezone.now() + timedelta(seconds=101)) == Swept(due=1)
    assert OrmQ.objects.count() == 1
    drain()
    job.refresh_from_db()
    assert job.state == "SUCCEEDED"


def test_a_lost_message_is_sent_again_once() -> None:
    job = queue("done")
    OrmQ.objects.all().delete()
    assert sweep() == Swept(lost=1)
    assert sweep() == Swept()
    drain()
    job.refresh_from_db()
    assert (job.state, job.cursor) == ("SUCCEEDED", {"starts": 1})


def test_a_message_that_was_taken_and_never_run_is_sent_again() -> None:
    queue("done")
    assert len(get_broker().dequeue()) == 1  # a queue process takes it and dies
    assert sweep() == Swept()
    assert sweep(timezone.now() + timedelta(seconds=110)) == Swept()
    assert sweep(timezone.now() + timedelta(seconds=130)) == Swept(lost=1)
    assert OrmQ.objects.count() == 1


def test_after_a_cluster_died_all_messages_it_had_taken_are_sent_again() -> None:
    queue("done")
    queue("done", key="thing:2")
    assert len(get_broker().dequeue()) == 1
    assert ring_lost(timezone.now(), stuck_seconds=0) == 1


def test_a_message_delivered_twice_runs_once() -> None:
    job = queue("done")
    message = OrmQ.objects.get()
    OrmQ.objects.create(key=message.key, payload=message.payload, lock=message.lock)
    assert drain() == 2
    job.refresh_from_db()
    assert job.cursor == {"starts": 1}


def test_a_job_of_a_lost_worker_is_put_back_once_then_given_up() -> None:
    job = queue("done")
    assert claim(job.pk)
    assert sweep() == Swept()
    assert sweep(timezone.now() + LATER) == Swept(requeued=1)
    job.refresh_from_db()
    assert (job.state, job.deaths, job.attempts) == ("QUEUED", 1, 0)
    assert [event.level for event in job.events.all()] == ["warning"]
    assert claim(job.pk)
    assert sweep(timezone.now() + LATER) == Swept(failed=1)
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("FAILED", "worker_lost")
    assert job.error_message == (
        "The worker stopped twice while doing this, so it was not started again; look at the log, then retry."
    )


def test_progress_in_between_earns_another_start() -> None:
    job = queue("done")
    for _ in range(job.max_attempts + 2):  # each time one batch further before the worker is lost
        claimed = claim(job.pk)
        assert claimed is not None
        with JobContext(claimed, Lease(claimed.pk, claimed.fence)).batch(done=1):
            pass
        assert sweep(timezone.now() + LATER) == Swept(requeued=1)
    job.refresh_from_db()
    assert (job.state, job.done, job.deaths) == ("QUEUED", 7, 1)


def test_a_process_that_died_on_this_machine_is_noticed_at_once() -> None:
    script = "from rft_project.jobs import owner; print(owner.this_process())"
    name = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert owner.is_gone(name) is True
    assert owner.is_gone(owner.this_process()) is False
    job = queue("done")
    assert claim(job.pk)
    Job.objects.filter(pk=job.pk).update(lease_owner=name)
    assert sweep() == Swept(requeued=1)


@pytest.mark.parametrize("name", ["", "elsewhere|pid:[1]/7/7/123", "garbage/1/2"])
def test_an_owner_that_cannot_be_seen_from_here_counts_as_alive(name: str) -> None:
    assert owner.is_gone(name) is False


def test_a_process_id_that_was_given_out_again_is_not_the_owner() -> None:
    place, group, pid, _ = owner.this_process().split("/")
    assert owner.is_gone(f"{place}/{group}/{pid}/1") is True


def test_a_job_at_work_is_left_alone() -> None:
    job = queue("done")
    assert claim(job.pk)
    assert sweep(timezone.now() + timedelta(seconds=50)) == Swept()
    job.refresh_from_db()
    assert job.state == State.RUNNING

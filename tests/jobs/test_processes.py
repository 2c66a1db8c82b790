"""Real worker processes on a real database, hurt in the ways that happen."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django_q.models import OrmQ

from rft_project.jobs.health import worker_alive
from rft_project.jobs.models import Job
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue, request_cancel
from tests.jobs.handlers import items
from tests.worker import WorkerProcess, children, still_there, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]
FAST = ("--ping-every", "0.5", "--patience", "2", "--grace", "8")
HERE = {"settings_module": "tests.jobs.settings"}


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def ended(job: Job) -> bool:
    job.refresh_from_db()
    return not job.is_live


def owner_pid(job: Job) -> int:
    job.refresh_from_db()
    return int(job.lease_owner.split("/")[2]) if job.state == "RUNNING" else 0


def group(pid: int) -> list[int]:
    """Processes of a cluster: the first one, its sentinel, and the sentinel's workers, monitor and pusher."""
    return [pid, *(child for sentinel in children(pid) for child in [sentinel, *children(sentinel)])]


def test_a_killed_worker_loses_and_doubles_nothing(worker_cluster: Start) -> None:
    worker_cluster(*FAST, **HERE)
    job = enqueue("count", {"n": 60, "batch": 3, "delay": 0.05, "inside": 0.05}, lock_key="thing:1")
    for reached in (6, 27):
        wait_for(lambda reached=reached: len(items(job.pk)) > reached)
        os.kill(wait_for(lambda: owner_pid(job)), signal.SIGKILL)
    wait_for(lambda: ended(job), 30)
    assert (job.state, job.result["items"], job.done) == ("SUCCEEDED", 60, 60)
    assert items(job.pk) == list(range(60))
    assert [event.message for event in job.events.filter(level="warning")] == [
        "The worker stopped while this was running; it goes on from where it was."
    ] * 2


def test_a_job_that_kills_its_worker_is_given_up_and_others_go_on(worker_cluster: Start) -> None:
    worker_cluster(*FAST, **HERE)
    poison = enqueue("count", {"n": 9, "dies_at": 4}, lock_key="thing:1")
    wait_for(lambda: ended(poison), 30)
    assert (poison.state, poison.error_code, items(poison.pk)) == ("FAILED", "worker_lost", [0, 1, 2, 3])
    good = enqueue("count", {"n": 5}, lock_key="thing:2")
    wait_for(lambda: ended(good), 30)
    assert (good.state, items(good.pk)) == ("SUCCEEDED", [0, 1, 2, 3, 4])


def test_two_workers_share_the_work_and_never_a_job(worker_cluster: Start) -> None:
    jobs = [enqueue("count", {"n": 8, "batch": 2, "delay": 0.02}, lock_key=f"thing:{number}") for number in range(6)]
    for message in list(OrmQ.objects.all()):  # every message is there three times
        for _ in range(2):
            OrmQ.objects.create(key=message.key, payload=message.payload, lock=message.lock)
    for _ in range(2):
        worker_cluster(*FAST, **HERE)
    wait_for(lambda: all(ended(job) for job in jobs), 30)
    assert [(job.state, job.fence, items(job.pk)) for job in jobs] == [("SUCCEEDED", 1, list(range(8)))] * 6


def test_a_job_is_claimed_once_by_many_at_the_same_moment() -> None:
    job = enqueue("count", {"n": 1}, lock_key="thing:1")
    barrier, claims = threading.Barrier(6), []

    def try_it() -> None:
        barrier.wait()
        claims.append(claim(job.pk))
        connection.close()

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 6
    assert [claimed.fence for claimed in claims if claimed] == [1]


def test_a_double_click_is_one_job() -> None:
    barrier, found = threading.Barrier(6), []

    def click() -> None:
        barrier.wait()
        found.append(enqueue("count", {"n": 1}, lock_key="thing:1").pk)
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Job.objects.get().pk] * 6
    assert OrmQ.objects.count() == 1


def test_a_running_job_stops_soon_when_asked(worker_cluster: Start) -> None:
    worker_cluster(*FAST, **HERE)
    job = enqueue("count", {"n": 1000, "delay": 0.05}, lock_key="thing:1")
    wait_for(lambda: len(items(job.pk)) > 2)
    request_cancel(job)
    asked_at = time.monotonic()
    wait_for(lambda: ended(job), 10)
    assert state(job) == "CANCELLED"
    assert time.monotonic() - asked_at < 3
    assert items(job.pk) == list(range(job.done))


def test_a_parked_job_is_woken_within_seconds(worker_cluster: Start) -> None:
    worker_cluster(*FAST, **HERE)
    job = enqueue("scripted", {"steps": ["wait:1", "wait:1", "again", "done"]}, lock_key="thing:1")
    wait_for(lambda: ended(job), 20)
    assert (job.state, job.result) == ("SUCCEEDED", {"starts": 4})
    assert job.seconds is not None and 2.0 < job.seconds < 10.0


def test_a_handler_that_hangs_is_stopped_by_the_time_out(worker_cluster: Start) -> None:
    worker_cluster(*FAST, **HERE)
    job = enqueue("greedy", {}, lock_key="thing:1")
    wait_for(lambda: ended(job), 20)
    assert (job.state, job.error_code) == ("FAILED", "timeout")


def test_the_watchdog_restarts_a_cluster_whose_idle_worker_was_killed(worker_cluster: Start) -> None:
    supervisor = worker_cluster(*FAST, **HERE)
    wait_for(worker_alive)
    before = supervisor.cluster()
    sentinel = children(before)[0]
    for idle in children(sentinel)[:2]:  # the two workers: one of them holds the queue's lock
        os.kill(idle, signal.SIGKILL)
    wait_for(lambda: supervisor.cluster() not in (0, before), 30)
    job = enqueue("count", {"n": 2}, lock_key="thing:1")
    wait_for(lambda: ended(job), 20)
    assert job.state == "SUCCEEDED"


@pytest.mark.parametrize("which", ["first process", "sentinel", "monitor"])
def test_any_dead_part_of_the_cluster_is_made_good(worker_cluster: Start, which: str) -> None:
    supervisor = worker_cluster(*FAST, **HERE)
    wait_for(worker_alive)
    first = supervisor.cluster()
    sentinel = children(first)[0]
    old = group(first)
    victim = {"first process": first, "sentinel": sentinel, "monitor": children(sentinel)[2]}[which]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: supervisor.cluster() not in (0, first), 30)
    job = enqueue("count", {"n": 2}, lock_key="thing:1")
    wait_for(lambda: ended(job), 20)
    wait_for(lambda: not still_there(old), 5)


def test_stopping_ends_the_slice_early_and_leaves_nothing_behind(worker_cluster: Start) -> None:
    supervisor = worker_cluster(*FAST, **HERE)
    job = enqueue("count", {"n": 1000, "delay": 0.1}, lock_key="thing:1")
    wait_for(lambda: len(items(job.pk)) > 2)
    processes = group(supervisor.cluster())
    asked_at = time.monotonic()
    assert supervisor.end() == 0
    assert time.monotonic() - asked_at < 8
    assert (state(job), job.attempts, items(job.pk)) == ("QUEUED", 0, list(range(job.done)))
    assert worker_alive() is False
    assert still_there(processes) == []

    worker_cluster(*FAST, **HERE)
    so_far = len(items(job.pk))
    wait_for(lambda: len(items(job.pk)) > so_far)


def test_a_cluster_ends_when_its_supervisor_is_killed(worker_cluster: Start) -> None:
    supervisor = worker_cluster(*FAST, **HERE)
    wait_for(worker_alive)
    processes = group(supervisor.cluster())
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_for(lambda: not still_there(processes), 20)

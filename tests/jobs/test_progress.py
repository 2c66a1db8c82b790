from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rft_project.jobs.lease import Lease
from rft_project.jobs.models import Job, State
from rft_project.jobs.outcomes import Cancelled
from rft_project.jobs.progress import Progress
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue, request_cancel


@pytest.fixture
def job(db: None) -> Job:
    claimed = claim(enqueue("count", {"n": 1000}, lock_key="thing:1", total=1000).pk)
    assert claimed is not None
    return claimed


def test_many_steps_are_one_write_a_second(job: Job) -> None:
    progress = Progress(job, Lease(job.pk, job.fence))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(500):
            progress.advance()
    assert len(queries) == 1
    progress.flush()
    job.refresh_from_db()
    assert (job.done, job.total, job.percent) == (500, 1000, 50)


def test_each_write_raises_the_version_and_an_idle_look_does_not(job: Job) -> None:
    progress = Progress(job, Lease(job.pk, job.fence))
    progress.poll()
    job.refresh_from_db()
    before = job.version
    progress.begin("Reading", done=10, total=40, note="file 1 of 2")
    job.refresh_from_db()
    assert (job.version, job.phase, job.done, job.total, job.note) == (before + 1, "Reading", 10, 40, "file 1 of 2")


def test_a_stop_is_learned_in_the_same_query(job: Job) -> None:
    progress = Progress(job, Lease(job.pk, job.fence))
    with CaptureQueriesContext(connection) as queries:
        progress.flush()
    assert len(queries) == 1
    request_cancel(job)
    progress.set(7)  # within the same second: not asked yet
    with pytest.raises(Cancelled):
        progress.flush()
    job.refresh_from_db()
    assert (job.done, job.state_label, job.is_stopping) == (7, "Stopping", True)


def test_the_rate_counts_this_slice_only(job: Job) -> None:
    clock = iter([0.0, 100.0, 100.0, 100.0, 102.0, 102.0, 102.0])
    progress = Progress(job, Lease(job.pk, job.fence), clock=lambda: next(clock, 102.0))
    progress.begin("Reading", done=900, total=1000)
    progress.set(920)
    progress.flush()
    job.refresh_from_db()
    assert job.rate == pytest.approx(10.0, rel=0.05)
    assert job.eta_seconds == pytest.approx(8, abs=1)


def test_length_and_time_left_are_unknown_until_they_are_known() -> None:
    job = Job(kind="count", state=State.RUNNING, done=3)
    assert (job.percent, job.rate, job.eta_seconds, job.seconds) == (None, None, None, None)
    job.total, job.per_second = 4, 0.5
    assert (job.percent, job.eta_seconds) == (75, 2)
    job.state = State.WAITING
    assert job.eta_seconds is None

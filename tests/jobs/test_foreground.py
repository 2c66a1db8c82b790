from __future__ import annotations

import subprocess
import sys

import pytest
from django_q.models import OrmQ

from rft_project.jobs.foreground import finish
from rft_project.jobs.models import Job
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue
from tests.jobs.handlers import items
from tests.worker import ROOT, child_environment


@pytest.mark.django_db
def test_a_job_runs_here_to_its_end_and_leaves_no_message() -> None:
    job = enqueue("scripted", {"steps": ["again", "wait:0.2", "busy:0", "done"]}, lock_key="thing:1")
    seen: list[str] = []
    job = finish(job, on_change=lambda job: seen.append(job.state))
    assert (job.state, job.result) == ("SUCCEEDED", {"starts": 4})
    assert seen == ["QUEUED", "QUEUED", "WAITING", "QUEUED", "WAITING", "QUEUED", "SUCCEEDED"]
    assert OrmQ.objects.count() == 0


@pytest.mark.django_db
def test_progress_is_heard_of_inside_a_slice() -> None:
    heard: list[int] = []
    job = enqueue("count", {"n": 3}, lock_key="thing:1")
    finish(job, on_progress=lambda progress: heard.append(progress.done))
    assert heard == [0, 1, 2, 3]


@pytest.mark.django_db
def test_a_job_that_a_worker_holds_is_watched_not_run() -> None:
    job = enqueue("scripted", {"steps": ["done"]}, lock_key="thing:1")
    claim(job.pk)
    with pytest.raises(TimeoutError, match=r"did not end within 0\.3 s"):
        finish(job, timeout=0.3)


@pytest.mark.django_db(transaction=True)
def test_run_job_says_how_it_ended() -> None:
    good = enqueue("count", {"n": 3}, lock_key="thing:1")
    bad = enqueue("scripted", {"steps": ["failed"]}, lock_key="thing:2")

    def run_job(number: int) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "run_job", str(number)],
            env=child_environment("tests.jobs.settings"),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr.strip()

    assert run_job(good.pk) == (0, "")
    assert items(good.pk) == [0, 1, 2]
    assert run_job(bad.pk) == (1, "There is nothing to count; add records first.")
    assert run_job(0) == (2, "CommandError: There is no job 0.")
    assert [job.state for job in Job.objects.order_by("pk")] == ["SUCCEEDED", "FAILED"]

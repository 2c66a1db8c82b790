"""Two worker hosts on one database, and a web server that dies: each batch of work is done once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import AbstractUser
from django.urls import reverse
from django_q.models import OrmQ

from datasets_app import actions, services
from datasets_app.models import ImportBatch, RawRecord
from rft_project.connections.services import local_connection
from rft_project.jobs.models import Job
from tests.engine.process import Engine
from tests.factories import make_dataset
from tests.worker import ROOT, child_environment, drain, wait_for
from wizard_app import services as wizard
from wizard_app.models import RFTJob, Rollout
from wizard_app.schemas import DryRunParams

from .harm import FAST, PATIENCE, CountingProxy, Start, lines_of_every_kind, wait_ended
from .outcome import rows_of

pytestmark = pytest.mark.django_db(transaction=True)
LINES = 1200


def file_of(folder: Path, seed: int, lines: int = LINES) -> Path:
    path = folder / f"requests-{seed}.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines_of_every_kind(lines, seed)), encoding="utf-8")
    return path


def start_import(dataset: Any, path: Path) -> tuple[ImportBatch, Job]:
    batch = ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(path), owned=False)
    return batch, services.start_import(batch, "auto", "", by=None)


@pytest.mark.slow
def test_two_hosts_do_no_batch_twice(
    workspace: Any,
    graded_run: RFTJob,
    engine: Engine,
    proxy_to: Callable[..., CountingProxy],
    worker_cluster: Start,
    tmp_path: Path,
) -> None:
    """Every message is in the queue three times, and both hosts take from it."""
    proxy = proxy_to(engine)
    dataset = make_dataset(workspace, "Shared")
    imports = [start_import(dataset, file_of(tmp_path, seed)) for seed in (11, 12, 13)]
    sanitize = actions.start(graded_run.dataset, actions.SANITIZE, {}, by=None)
    params = DryRunParams(connection=str(local_connection(workspace).pk), model="classifier", size=30, answers=2)
    asked = wizard.start_dry_run(graded_run, params, by=None)
    for message in list(OrmQ.objects.all()):
        for _ in range(2):
            OrmQ.objects.create(key=message.key, payload=message.payload, lock=message.lock)
    for _ in range(2):  # who takes how many is chance; that nothing is taken twice is not
        worker_cluster(*FAST, ENGINE_URL=proxy.url, ENGINE_KEY="")
    jobs = [wait_ended(job) for job in [*(job for _, job in imports), sanitize, asked]]
    assert [(job.state, job.fence, job.error_message) for job in jobs] == [("SUCCEEDED", 1, "")] * 5

    batches = [batch for batch, _ in imports]
    for batch in batches:
        batch.refresh_from_db()
        assert batch.imported + batch.already_present + batch.unreadable == LINES
        assert batch.rejected.count() == batch.unreadable
    imported = sum(batch.imported for batch in batches)
    assert dataset.records.count() == RawRecord.objects.filter(record__dataset=dataset).count() == imported
    assert (len(proxy.asked), sum(proxy.asked.values()), Rollout.objects.count()) == (30, 30, 60)


@pytest.mark.slow
def test_one_file_imported_twice_at_the_same_moment_is_there_once(
    workspace: Any, worker_cluster: Start, tmp_path: Path
) -> None:
    path = file_of(tmp_path, 21, 3000)
    alone = make_dataset(workspace, "Alone")
    batch, _ = start_import(alone, path)
    drain()
    batch.refresh_from_db()
    expected = batch.imported
    dataset = make_dataset(workspace, "Twice")
    both = [start_import(dataset, path) for _ in range(2)]
    worker_cluster(*FAST)
    for _, job in both:
        wait_ended(job)
        assert (job.state, job.error_message) == ("SUCCEEDED", "")
    for batch, _ in both:
        batch.refresh_from_db()
    assert sum(batch.imported for batch, _ in both) == expected
    assert sum(batch.already_present for batch, _ in both) == expected
    assert sorted(rows_of(dataset)) == sorted(rows_of(alone))


@pytest.fixture
def web(free_port: int, transactional_db: None) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """``web()`` starts the web server as ``manage.py start`` does, on the test database; always on one port."""
    started: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(free_port)]
    command += ["--blocking-threads", "4", "--log-level", "warning", "rft_project.wsgi:application"]

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=child_environment(), cwd=ROOT, start_new_session=True)
        started.append(process)
        wait_for(lambda: alive(free_port), PATIENCE, every=0.2)
        return process

    yield start
    for process in started:
        kill_group(process)


def alive(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_killed_web_server_is_nothing_to_a_job(
    workspace: Any,
    owner: AbstractUser,
    client_of: Callable[[AbstractUser], Any],
    worker_cluster: Start,
    web: Callable[[], subprocess.Popen[bytes]],
    free_port: int,
    tmp_path: Path,
) -> None:
    worker_cluster(*FAST)
    dataset = make_dataset(workspace)
    path = file_of(tmp_path, 31, 3000)
    batch = ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(path), owned=False)
    page = reverse("datasets:review_import", args=[dataset.pk, batch.pk])
    browser = httpx2.Client(base_url=f"http://127.0.0.1:{free_port}", trust_env=False, timeout=30)
    browser.cookies.set("sessionid", client_of(owner).cookies["sessionid"].value)
    server = web()
    assert browser.get(page).status_code == 200
    pressed = browser.post(
        reverse("datasets:run_import", args=[dataset.pk, batch.pk]),
        data={"format": "auto", "reference_field": "", "csrfmiddlewaretoken": browser.cookies["csrftoken"]},
        headers={"Referer": f"http://127.0.0.1:{free_port}{page}"},
    )
    assert pressed.status_code in (200, 302)
    job = Job.objects.get(kind="import")
    wait_for(lambda: Job.objects.get(pk=job.pk).done > 0, PATIENCE, every=0.01)
    kill_group(server)
    assert Job.objects.get(pk=job.pk).state == "RUNNING"
    assert not alive(free_port)
    wait_ended(job)
    batch.refresh_from_db()
    assert (job.state, job.fence, batch.imported + batch.unreadable) == ("SUCCEEDED", 1, 3000)
    web()
    assert browser.get(page).status_code == 200  # the session and the page are there as before
    assert f"{batch.imported:,}" in browser.get(page).text
    browser.close()

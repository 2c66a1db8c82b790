"""Imports and sanitize runs whose worker is killed end as undisturbed ones do, row for row."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_app import actions, services
from datasets_app.jobs.importing import BATCH
from datasets_app.models import Dataset, ImportBatch
from rft_project.jobs import bell
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import WorkerProcess, drain, wait_for

from .harm import FAST, PATIENCE, Start, kill_while_it_works, lines_of_every_kind, times_lost, wait_ended
from .outcome import counts_of, rejected_of, rows_of

pytestmark = pytest.mark.django_db(transaction=True)
LINES = 10_000  # enough that the last kill still meets work on a fast machine
Undisturbed = tuple[list[Any], dict[str, Any], list[Any]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("import") / "requests.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines_of_every_kind(LINES, seed=7)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def remembered() -> dict[str, Undisturbed]:
    return {}


@pytest.fixture
def undisturbed(workspace: Any, file: Path, remembered: dict[str, Undisturbed]) -> Undisturbed:
    """Rows, counts and rejected lines of an import that nothing happened to; made once."""
    if not remembered:
        batch = import_file(make_dataset(workspace, "Undisturbed"), file)
        remembered["import"] = rows_of(batch.dataset), counts_of(batch), rejected_of(batch)
    return remembered["import"]


def staged(dataset: Dataset, path: Path, name: str = "staged.jsonl") -> ImportBatch:
    """A batch whose file is the product's own to remove, as after an upload."""
    copy = path.with_name(name)
    shutil.copy(path, copy)
    return ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(copy))


def power_cut(worker_cluster: Start, worker: WorkerProcess) -> Callable[[int], object]:
    """Ends every process of the worker at once and starts another one."""
    running = [worker]

    def hurt(pid: int) -> None:
        running[-1].kill()
        running.append(worker_cluster(*FAST))

    return hurt


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "counts"), [(1, [0, BATCH, 2 * BATCH]), (2, [0, BATCH])], ids=["worker", "host"])
def test_a_killed_import_ends_like_an_undisturbed_one(
    workspace: Any, worker_cluster: Start, file: Path, undisturbed: Undisturbed, seed: int, counts: list[int]
) -> None:
    dataset = make_dataset(workspace, "Killed")
    batch = staged(dataset, file)
    worker = worker_cluster(*FAST)
    how = {"hurt": power_cut(worker_cluster, worker)} if seed == 2 else {}
    job = services.start_import(batch, "auto", "", by=None)
    kills = kill_while_it_works(job, counts, random.Random(seed), delay=0.1, **how)
    assert kills >= len(counts) - 1  # a fast machine may be done before the last one
    wait_ended(job)
    assert (job.state, job.error_message, job.done) == ("SUCCEEDED", "", LINES)
    assert times_lost(job) == kills

    rows, figures, rejected = undisturbed
    assert counts_of(batch) == figures
    assert batch.imported + batch.unreadable == LINES
    assert len(rejected) == batch.unreadable > 50
    assert rejected_of(batch) == rejected
    assert dataset.records.count() == batch.imported
    assert rows_of(dataset) == rows
    assert not Path(batch.path).exists()


@pytest.mark.slow
def test_a_killed_sanitize_run_ends_like_an_undisturbed_one(workspace: Any, worker_cluster: Start, file: Path) -> None:
    dataset = import_file(make_dataset(workspace), file).dataset
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    rows, report = rows_of(dataset), actions.last_result(dataset, actions.SANITIZE)
    assert {"duplicate", "near_duplicate", "empty_messages", ""} < set(dataset.records.values_list("code", flat=True))

    dataset.records.update(verdict="valid", code="", issues=[], tokens=0, checked_by="")
    worker_cluster(*FAST)
    job = actions.start(dataset, actions.SANITIZE, {}, by=None)
    kills = kill_while_it_works(job, [0, 1000, 2000], random.Random(4), delay=0.3)
    assert kills >= 2
    wait_ended(job)
    assert (job.state, job.error_message, job.done) == ("SUCCEEDED", "", len(rows))
    assert times_lost(job) == kills
    assert rows_of(dataset) == rows
    assert actions.last_result(dataset, actions.SANITIZE) | {"timestamp": ""} == report | {"timestamp": ""}


def test_a_worker_that_dies_after_the_last_line_has_still_imported_the_file(workspace: Any, tmp_path: Path) -> None:
    """The staged file is removed before the job says it is done; a kill in between must not fail the import."""
    path = write_lines(tmp_path / "t.jsonl", record("Where is the parcel I ordered?"), "{broken")
    batch = staged(make_dataset(workspace), path)
    job = services.start_import(batch, "auto", "", by=None)
    drain()
    job.refresh_from_db()
    told = job.result
    Job.objects.filter(pk=job.pk).update(state="QUEUED", result={}, finished_at=None)  # what the sweep puts back
    bell.ring(job.pk)
    drain()
    job.refresh_from_db()
    assert (job.state, job.error_message, job.result) == ("SUCCEEDED", "", told)
    assert (told["imported"], told["unreadable"]) == (1, 1)


def test_an_import_whose_file_is_lost_says_so(workspace: Any, tmp_path: Path, file: Path) -> None:
    batch = staged(make_dataset(workspace), file)
    job = services.start_import(batch, "auto", "", by=None)
    drain(limit=1, slice_seconds=0.0)  # one batch, then the next slice finds no file
    batch.refresh_from_db()
    assert batch.position == BATCH
    Path(batch.path).unlink()
    drain()
    job.refresh_from_db()
    batch.refresh_from_db()
    assert (job.state, job.error_code) == ("FAILED", "unreadable_file")
    assert batch.error == job.error_message
    assert job.error_message.count(". ") == 0


def test_a_stopped_import_stops_and_goes_on_when_it_is_started_again(
    workspace: Any, worker_cluster: Start, file: Path, undisturbed: Undisturbed
) -> None:
    dataset = make_dataset(workspace, "Stopped")
    batch = staged(dataset, file)
    worker_cluster(*FAST)
    job = services.start_import(batch, "auto", "", by=None)
    wait_for(lambda: dataset.records.exists(), PATIENCE, every=0.01)
    request_cancel(job)
    wait_ended(job)
    batch.refresh_from_db()
    assert (job.state, job.done) == ("CANCELLED", batch.position)
    assert 0 < batch.position < LINES
    wait_ended(services.start_import(batch, "auto", "", by=None))
    rows, figures, rejected = undisturbed
    assert (counts_of(batch), rejected_of(batch)) == (figures, rejected)
    assert rows_of(dataset) == rows

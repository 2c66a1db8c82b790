"""A change of many records whose worker is killed does nothing twice, and its undo leads back row for row."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from datasets_app import bulk
from datasets_app.core import repairs
from datasets_app.core.records import dumps, loads
from datasets_app.models import Change, ChangedRecord, Dataset, DatasetRecord
from rft_project.jobs.models import Job, State
from tests.factories import import_file, make_dataset, plan_of, record, write_lines

from .harm import FAST, Start, kill_while_it_works, wait_ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LINES, BELL = 3000, "\u0007"


def rows(dataset: Dataset) -> list[tuple[Any, ...]]:
    columns = [field.attname for field in DatasetRecord._meta.concrete_fields]
    return list(dataset.records.order_by("pk").values_list(*columns, "raw__body"))


def test_a_killed_repair_ends_like_an_undisturbed_one_and_so_does_its_undo(
    workspace: Any, worker_cluster: Start, tmp_path: Path
) -> None:
    dataset = make_dataset(workspace, "Killed")
    texts = [f"Where is parcel {n}{BELL if n % 2 else ''}, please?" for n in range(LINES)]
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *map(record, texts)))
    before = rows(dataset)
    expected = [dumps(repairs.repair(loads(row[-1]), repairs.REPAIRS)[0]) for row in before]

    worker_cluster(*FAST)
    change = bulk.begin(dataset, plan_of(dataset, "repair"), by=None)
    assert change is not None and change.job is not None
    kill_while_it_works(change.job, [0, 1000], random.Random(1), delay=0.1)
    assert wait_ended(change.job).state == State.SUCCEEDED
    assert [row[-1] for row in rows(dataset)] == expected
    assert Change.objects.get().count == ChangedRecord.objects.count() == LINES // 2

    assert bulk.undo(Change.objects.get(), by=None) is None
    job = Job.objects.get(kind="undo")
    kill_while_it_works(job, [0], random.Random(2), delay=0.05)
    assert wait_ended(job).state == State.SUCCEEDED
    assert rows(dataset) == before

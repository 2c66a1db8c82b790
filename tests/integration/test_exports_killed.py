"""Exports whose worker is killed make the very file that an undisturbed one makes."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from datasets_app import exports
from datasets_app.exports import Selection
from datasets_app.models import Dataset, DatasetRecord, RawRecord
from rft_project.jobs.models import Job
from tests.factories import make_dataset
from tests.worker import drain

from .harm import FAST, Start, kill_while_it_works, lines_of_every_kind, times_lost, wait_ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
RECORDS = 12_000


def filled(dataset: Dataset) -> Dataset:
    """Records as an import would leave them, without the time it takes."""
    bodies = [line for line in lines_of_every_kind(RECORDS, seed=3) if line.startswith("{") and line.endswith("}")]
    same = {"dataset": dataset, "preview": "?", "verdict": "valid"}
    rows = [DatasetRecord(import_key=str(n), digest=str(n), **same) for n in range(len(bodies))]
    made = DatasetRecord.objects.bulk_create(rows, batch_size=500)
    raws = [RawRecord(record=row, body=body) for row, body in zip(made, bodies, strict=True)]
    RawRecord.objects.bulk_create(raws, batch_size=500)
    return dataset


@pytest.mark.parametrize("format", ["openai", "parquet"])
def test_a_killed_export_makes_the_same_file(workspace: Any, worker_cluster: Start, format: str) -> None:
    dataset = filled(make_dataset(workspace))
    undisturbed = exports.start_export(dataset, format, Selection(), by=None)
    drain()
    undisturbed.refresh_from_db()
    assert undisturbed.rows > RECORDS / 2
    assert (undisturbed.left_out > 0) == (format == "openai")

    worker_cluster(*FAST)
    export = exports.start_export(dataset, format, Selection(), by=None)
    job: Job = export.job  # type: ignore[assignment]
    kills = kill_while_it_works(job, [0, 2_000, 6_000], random.Random(len(format)), delay=0.1)
    assert kills >= 1
    wait_ended(job)
    assert (job.state, job.error_message) == ("SUCCEEDED", "")
    assert times_lost(job) == kills
    export.refresh_from_db()
    assert (export.rows, export.left_out, export.sha256) == (
        undisturbed.rows,
        undisturbed.left_out,
        undisturbed.sha256,
    )
    assert hashlib.sha256(exports.file_of(export).read_bytes()).hexdigest() == export.sha256
    if export.left_out:
        assert exports.left_out_of(export).read_bytes().count(b"\n") == export.left_out
    assert [path for path in Path(settings.EXPORT_DIR).iterdir() if path.suffix in (".part", ".made")] == []

"""Exports as jobs: what is in the file, what is left out, and that a job that is interrupted makes the same file."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from openai import OpenAI

from datasets_app import exports
from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.exporting.report import Manifest
from datasets_app.exports import Selection
from datasets_app.filters import Where
from datasets_app.models import Dataset, DatasetRecord, Export, RawRecord, Snapshot, SnapshotItem
from datasets_app.services import Refused
from rft_project.connections.models import AuditEntry
from rft_project.jobs import tasks
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel, retry
from tests.emulators.openai import TRAINABLE, running
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EXPORT_DIR = tmp_path / "exports"
    return settings.EXPORT_DIR


def tickets(workspace: Any, tmp_path: Path, count: int = 12) -> Dataset:
    """Good records, and after every fifth one that no platform takes."""
    lines: list[Any] = []
    for n in range(count):
        lines.append(
            record(f"Where is the parcel number {n} that I ordered?", ["billing", "sales"][n % 2], fields={"n": n})
        )
        if n % 5 == 4:
            lines.append(record(f"What does the answer {n} end with, please?"))
            lines[-1]["input"]["messages"].append({"role": "assistant", "content": "with me"})
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "tickets.jsonl", *lines))
    return dataset


def made(dataset: Dataset, format: str, snapshot: Any = None, slice_seconds: float = 45.0, **more: Any) -> Export:
    export = exports.start_export(dataset, format, Selection(**more), by=None, snapshot=snapshot)
    drain(slice_seconds=slice_seconds)
    return Export.objects.select_related("job", "dataset", "snapshot").get(pk=export.pk)


def lines_of(export: Export) -> list[Any]:
    return [json.loads(line) for line in exports.file_of(export).read_bytes().decode("utf-8-sig").splitlines()]


def test_a_file_its_manifest_and_the_list_of_what_was_left_out(workspace: Any, tmp_path: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    export = made(dataset, "openai")
    content = exports.file_of(export).read_bytes()
    assert (export.rows, export.left_out, export.job.state) == (12, 2, "SUCCEEDED")
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert [row["n"] for row in lines_of(export)] == list(range(12))
    broken = list(dataset.records.filter(preview__startswith="What does").order_by("pk").values_list("pk", flat=True))
    left = [json.loads(line) for line in exports.left_out_of(export).read_text().splitlines()]
    assert left == [{"record": pk, "rules": ["last_not_user"]} for pk in broken]
    manifest = Manifest.model_validate(export.manifest)
    assert (manifest.rows, manifest.left_out, manifest.bytes, manifest.sha256) == (12, 2, len(content), export.sha256)
    assert [(f.rule, f.count, f.examples) for f in manifest.left_out_by_rule] == [("last_not_user", 2, broken)]
    assert (manifest.source.dataset, manifest.file) == ("Tickets", "tickets-openai.jsonl")
    assert export.job.result["sha256"] == export.sha256
    assert round((export.expires_at - export.finished_at).total_seconds()) == 30 * 24 * 3600
    files = sorted(path.name.removeprefix(export.token) for path in settings.EXPORT_DIR.iterdir())
    assert files == [".file", ".left-out.jsonl"]


def test_only_the_records_that_were_chosen_are_written(workspace: Any, tmp_path: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    chosen = dataset.records.filter(verdict="valid").order_by("pk")
    DatasetRecord.objects.filter(pk__in=chosen[:3].values("pk")).update(topic="parcels")
    assert made(dataset, "canonical").rows == 14
    assert made(dataset, "canonical", where=Where(verdict="valid")).rows == chosen.count() == 12
    export = made(dataset, "canonical", where=Where(verdict="valid", topic="parcels"))
    assert [row["fields"]["n"] for row in lines_of(export)] == [0, 1, 2]
    assert Manifest.model_validate(export.manifest).source.filters == {"verdict": "valid", "topic": "parcels"}


def test_importing_a_canonical_export_gives_the_records_back(workspace: Any, tmp_path: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    export = made(dataset, "canonical", where=Where(verdict="valid"), gzip=True)
    path = tmp_path / exports.download_name(export)
    assert path.name == "tickets-canonical.jsonl.gz"
    path.write_bytes(exports.file_of(export).read_bytes())
    again = make_dataset(workspace, "Again")
    import_file(again, path)

    def bodies(of: Dataset) -> list[str]:
        return list(of.records.filter(verdict="valid").order_by("pk").values_list("raw__body", flat=True))

    assert bodies(again) == bodies(dataset)
    assert import_file(dataset, path).already_present + import_file(again, path).already_present >= 12


def frozen(dataset: Dataset, shared: int = 0) -> Snapshot:
    """A snapshot: every third record to check with, and so many of these trained on as well."""
    snapshot = Snapshot.objects.create(dataset=dataset, content_hash="c0ffee")
    for number, row in enumerate(dataset.records.filter(verdict="valid").order_by("pk").select_related("raw")):
        part = "valid" if number % 3 == 2 else "train"
        SnapshotItem.objects.create(snapshot=snapshot, record_id=row.pk, part=part, topic="parcels", body=row.raw.body)
        if part == "valid" and number < 3 * shared:
            SnapshotItem.objects.create(
                snapshot=snapshot, record_id=row.pk + 10**6, part="train", topic="parcels", body=row.raw.body
            )
    return snapshot


def test_a_part_of_a_snapshot_is_what_it_was_then(workspace: Any, tmp_path: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    snapshot = frozen(dataset)
    RawRecord.objects.filter(record__dataset=dataset).update(body="{}")
    export = made(dataset, "openai", snapshot, part="train")
    assert [row["n"] for row in lines_of(export)] == [0, 1, 3, 4, 6, 7, 9, 10]
    few, checked = made(dataset, "azure", snapshot, part="train"), made(dataset, "azure", snapshot, part="valid")
    assert (few.job.state, few.job.error_code) == ("FAILED", "refused")
    assert (checked.job.state, checked.rows) == ("SUCCEEDED", 4)


def test_a_row_to_check_with_is_not_trained_on(workspace: Any, tmp_path: Path) -> None:
    snapshot = frozen(tickets(workspace, tmp_path), shared=1)
    train, valid = (made(snapshot.dataset, "openai", snapshot, part=part) for part in ("train", "valid"))
    assert (train.rows, train.left_out, valid.rows, valid.left_out) == (8, 1, 4, 0)
    assert [f["rule"] for f in train.manifest["left_out_by_rule"]] == ["in_validation"]
    assert train.manifest["source"] | {"filters": {}} == {
        "dataset": "Tickets", "snapshot": snapshot.pk, "snapshot_hash": "c0ffee", "part": "train", "filters": {}
    }  # fmt: skip


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_file_made_in_many_slices_is_the_file_made_in_one(
    workspace: Any, tmp_path: Path, monkeypatch: Any, format: str
) -> None:
    dataset = tickets(workspace, tmp_path, 110)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 7)
    whole = made(dataset, format)
    pieces = made(dataset, format, slice_seconds=0.0)
    assert (whole.rows, whole.job.state) == (pieces.rows, pieces.job.state)
    assert whole.rows >= 110
    assert pieces.sha256 == whole.sha256 != ""
    assert pieces.manifest["content_hash"] == whole.manifest["content_hash"]


@pytest.mark.parametrize("format", ["canonical", "parquet"])
def test_what_was_written_and_not_committed_is_not_doubled(
    workspace: Any, tmp_path: Path, monkeypatch: Any, format: str
) -> None:
    dataset = tickets(workspace, tmp_path, 40)
    whole = made(dataset, format)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 7)
    export = exports.start_export(dataset, format, Selection(), by=None)
    drain(limit=7 if format == "parquet" else 3, slice_seconds=0.0)
    with exports.part_of(export).open("ab") as part:
        part.write(b'{"half": "a li')  # what a killed worker leaves behind its last commit
    drain(slice_seconds=0.0)
    export.refresh_from_db()
    assert (export.rows, export.sha256) == (whole.rows, whole.sha256)


def test_a_file_that_is_lost_on_the_way_is_made_anew(workspace: Any, tmp_path: Path, monkeypatch: Any) -> None:
    dataset = tickets(workspace, tmp_path)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 5)
    export = exports.start_export(dataset, "canonical", Selection(), by=None)
    drain(limit=2, slice_seconds=0.0)
    exports.part_of(export).unlink()
    drain(slice_seconds=0.0)
    export.refresh_from_db()
    assert len(lines_of(export)) == export.rows == 14


def test_a_worker_that_dies_before_the_file_has_its_name_has_made_it_all_the_same(
    workspace: Any, tmp_path: Path
) -> None:
    export = made(tickets(workspace, tmp_path), "parquet")
    exports.file_of(export).rename(exports.made_of(export))
    Job.objects.filter(pk=export.job_id).update(state="FAILED", result={})
    retry(export.job)
    drain()
    export.job.refresh_from_db()
    assert export.job.result["sha256"] == hashlib.sha256(exports.file_of(export).read_bytes()).hexdigest()


def test_records_that_come_while_it_is_written_are_not_in_it(workspace: Any, tmp_path: Path, monkeypatch: Any) -> None:
    dataset = tickets(workspace, tmp_path)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 5)
    export = exports.start_export(dataset, "csv", Selection(), by=None)
    drain(limit=4, slice_seconds=0.0)
    import_file(
        dataset, write_lines(tmp_path / "more", record("Something that came later, with more", fields={"m": 1}))
    )
    drain(slice_seconds=0.0)
    export.refresh_from_db()
    assert (export.rows, export.left_out) == (14, 0)


def test_a_record_edited_after_the_columns_were_counted_makes_it_start_over(
    workspace: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    dataset = tickets(workspace, tmp_path)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 5)
    export = exports.start_export(dataset, "parquet", Selection(), by=None)
    drain(limit=3, slice_seconds=0.0)
    row = dataset.records.order_by("pk").first()
    assert row is not None
    RawRecord.objects.filter(pk=row.pk).update(body=row.raw.body.replace('"n":0', '"n":"none"'))
    drain(slice_seconds=0.0)
    export.refresh_from_db()
    assert pq.read_table(exports.file_of(export)).column("fields.n").to_pylist()[:2] == ['"none"', "1"]


def test_a_file_a_platform_would_refuse_is_not_made_and_says_why(workspace: Any, tmp_path: Path) -> None:
    export = made(tickets(workspace, tmp_path), "bedrock")
    assert (export.job.state, export.job.error_code) == ("FAILED", "refused")
    assert export.job.error_message == (
        "Bedrock takes files of at least 100 rows, and this one would have 12; 2 were left out, the reasons are below."
    )
    assert (export.rows, export.left_out, export.finished_at) == (12, 2, None)
    assert export.counted.broken["last_not_user"].count == 2
    lines = [record(f"Where is the parcel number {n} of my order?", fields={"n": n}) for n in range(20, 110)]
    import_file(export.dataset, write_lines(tmp_path / "more", *lines))
    retry(export.job)
    drain()
    export.refresh_from_db()
    assert (export.job.state, export.rows) == ("SUCCEEDED", 102)


def test_an_empty_choice_makes_no_file(workspace: Any, tmp_path: Path) -> None:
    export = made(tickets(workspace, tmp_path), "canonical", where=Where(topic="nothing"))
    assert (export.job.state, export.job.error_message) == ("FAILED", "No record matches; choose others.")


def test_a_disk_that_takes_no_more_is_one_sentence_and_trying_again_goes_on(
    workspace: Any, tmp_path: Path, folder: Path
) -> None:
    dataset = tickets(workspace, tmp_path)
    folder.write_text("in the way")
    export = made(dataset, "canonical")
    assert (export.job.state, export.job.error_code) == ("FAILED", "unwritable")
    assert export.job.error_message.startswith("The file could not be written: ")
    folder.unlink()
    retry(export.job)
    drain()
    export.refresh_from_db()
    assert len(lines_of(export)) == 14


def test_asking_twice_while_it_is_made_finds_the_one_that_is_there(workspace: Any, tmp_path: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    first, second, other = (
        exports.start_export(dataset, name, Selection(), by=None) for name in ("csv", "csv", "parquet")
    )
    assert first.pk == second.pk != other.pk
    assert AuditEntry.objects.filter(action="export dataset").count() == 2


def test_what_a_platform_or_parquet_does_not_want_packed_is_refused(workspace: Any) -> None:
    dataset = make_dataset(workspace)
    for format in ("openai", "azure", "bedrock", "parquet"):
        with pytest.raises(Refused):
            exports.start_export(dataset, format, Selection(gzip=True), by=None)


def test_deleting_takes_the_files_away_and_stops_the_work(workspace: Any, tmp_path: Path, folder: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    exports.delete_export(made(dataset, "openai"))
    running = exports.start_export(dataset, "csv", Selection(), by=None)
    exports.delete_export(running)
    drain()
    assert list(folder.iterdir()) == []
    assert Job.objects.get(pk=running.job_id).state == "CANCELLED"


def test_a_stopped_export_goes_on_when_it_is_tried_again(workspace: Any, tmp_path: Path, monkeypatch: Any) -> None:
    dataset = tickets(workspace, tmp_path)
    monkeypatch.setattr("datasets_app.jobs.exporting.BATCH", 5)
    export = exports.start_export(dataset, "canonical", Selection(), by=None)
    drain(limit=1, slice_seconds=0.0)
    request_cancel(export.job)
    drain()
    export.job.refresh_from_db()
    assert (export.job.state, export.job.done) == ("CANCELLED", 5)
    retry(export.job)
    drain()
    export.refresh_from_db()
    assert len(lines_of(export)) == export.rows == 14


def test_the_sweep_takes_away_what_has_expired(workspace: Any, tmp_path: Path, folder: Path) -> None:
    dataset = tickets(workspace, tmp_path)
    old, young = made(dataset, "csv"), made(dataset, "parquet")
    Export.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep_jobs()
    assert list(Export.objects.all()) == [young]
    assert [path.name for path in folder.iterdir()] == [f"{young.token}.file"]


# --- the real thing ---------------------------------------------------------------------------------------------------

GRADER = {"type": "string_check", "name": "same", "operation": "eq"}
GRADER |= {"input": "{{sample.output_text}}", "reference": "{{item.reference_answer}}"}


def test_the_platforms_protocol_takes_the_exported_files(workspace: Any, tmp_path: Path) -> None:
    snapshot = frozen(tickets(workspace, tmp_path))
    parts = {part: made(snapshot.dataset, "openai", snapshot, part=part) for part in ("train", "valid")}
    with running() as emulator:
        client = OpenAI(base_url=emulator.url, api_key=emulator.key)
        files = {}
        for part, export in parts.items():
            content = exports.file_of(export).read_bytes()
            given = (exports.download_name(export), content, "application/jsonl")
            files[part] = client.files.create(file=given, purpose="fine-tune").id
        job = client.fine_tuning.jobs.create(
            model=TRAINABLE,
            training_file=files["train"],
            validation_file=files["valid"],
            method={"type": "reinforcement", "reinforcement": {"grader": GRADER}},  # type: ignore[typeddict-item]
        )
        assert (job.training_file, job.validation_file) == (files["train"], files["valid"])
        client.close()
    assert emulator.problems == []


@pytest.mark.parametrize("format", ["openai", "azure", "bedrock"])
def test_the_local_engine_reads_the_exported_rows(workspace: Any, tmp_path: Path, format: str) -> None:
    from rft_project.engine.validation import read_rows

    export = made(tickets(workspace, tmp_path, 101), format)
    rows = read_rows(exports.file_of(export), "training")
    assert [row["n"] for row in rows] == list(range(101))
    assert {message["role"] for row in rows for message in row["messages"]} == {"system", "user"}


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: Any) -> dict[str, Any]:
    report = Path(settings.EXPORT_DIR).parent / "report.json"
    call_command("export_dataset", *map(str, arguments), "--report", str(report))
    return json.loads(report.read_text())


def test_the_command_writes_file_manifest_and_what_was_left_out(workspace: Any, tmp_path: Path, folder: Path) -> None:
    tickets(workspace, tmp_path)
    out = tmp_path / "rows.jsonl"
    report = command("Tickets", "--format", "openai", "--out", out, "--verdict", "any")
    assert (report["rows"], report["left_out"]) == (12, 2)
    assert report["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    manifest = Manifest.model_validate_json((tmp_path / "rows.jsonl.manifest.json").read_text())
    assert (manifest.sha256, manifest.file) == (report["sha256"], "rows.jsonl")
    assert len((tmp_path / "rows.jsonl.left-out.jsonl").read_text().splitlines()) == 2
    assert (list(folder.iterdir()), Export.objects.count()) == ([], 0)


def test_the_command_writes_the_valid_records_unless_told_otherwise(workspace: Any, tmp_path: Path) -> None:
    tickets(workspace, tmp_path)
    report = command("Tickets", "--format", "canonical", "--out", tmp_path / "r.gz", "--gzip")
    assert len(gzip.decompress((tmp_path / "r.gz").read_bytes()).splitlines()) == report["rows"] == 12


def test_the_command_writes_a_part_of_a_snapshot(workspace: Any, tmp_path: Path) -> None:
    snapshot = frozen(tickets(workspace, tmp_path))
    out = tmp_path / "valid.jsonl"
    report = command("Tickets", "--format", "openai", "--out", out, "--snapshot", snapshot.pk, "--part", "valid")
    assert report["rows"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["Nothing", "--format", "csv", "--out", "a"], 2, "There is no dataset called Nothing"),
        (["Tickets", "--format", "csv", "--out", "no/folder/a"], 2, "folder that exists"),
        (["Tickets", "--format", "csv", "--out", "a", "--part", "train"], 2, "--part needs --snapshot."),
        (["Tickets", "--format", "csv", "--out", "a", "--snapshot", "99999"], 2, "Tickets has no snapshot 99999."),
        (["Tickets", "--format", "openai", "--out", "a", "--gzip"], 2, "not gzipped"),
        (["Tickets", "--format", "bedrock", "--out", "a"], 1, "at least 100 rows"),
    ],
)
def test_the_command_says_what_it_refuses(
    workspace: Any, tmp_path: Path, monkeypatch: Any, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tickets(workspace, tmp_path)
    with pytest.raises(CommandError) as error:
        call_command("export_dataset", *arguments)
    assert error.value.returncode == code
    assert words in str(error.value)
    assert not (tmp_path / "a").exists()


# --- memory -----------------------------------------------------------------------------------------------------------


def many(workspace: Any, count: int) -> Dataset:
    dataset = make_dataset(workspace, f"{count} records")
    dice = random.Random(count)
    rows = [
        DatasetRecord(dataset=dataset, import_key=str(n), digest=str(n), preview="?", verdict="valid")
        for n in range(count)
    ]
    made_rows = DatasetRecord.objects.bulk_create(rows, batch_size=500)
    words = ["parcel", "invoice", "refund", "password", "delivery", "courier"]
    bodies = (json.dumps(record(" ".join(dice.choices(words, k=120)), fields={"n": n})) for n in range(count))
    RawRecord.objects.bulk_create(
        [RawRecord(record=row, body=body) for row, body in zip(made_rows, bodies, strict=True)], batch_size=500
    )
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize(("format", "most"), [("openai", 20_000), ("parquet", 12_000)])
def test_memory_is_flat_in_the_number_of_records(workspace: Any, format: str, most: int) -> None:
    peaks = []
    for count in (most // 4, most):
        dataset = many(workspace, count)
        tracemalloc.start()
        export = made(dataset, format)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert export.rows == count
    assert peaks[1] < 1.2 * peaks[0]

"""What goes wrong outside: odd files, a full disk, a killed process. One sentence each, and the rest goes on."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.backends.signals import connection_created

from datasets_app import services
from datasets_app.models import ImportBatch, RawRecord
from rft_project.jobs.models import Job
from tests.factories import import_file, make_dataset, record, write_lines
from tests.integration.outcome import counts_of, rejected_of, rows_of
from tests.worker import ROOT, children, drain, wait_for

FIRST = json.dumps(record("Where is the parcel I ordered last week?")).encode() + b"\n"
LAST = json.dumps(record("Please cancel my second order of shoes.")).encode() + b"\n"
WITH_NUL = json.dumps(record("A text with a \0 in it", metadata={"k\0": "v\0"}, span_id="s\0", session_id="x\0"))
WITH_HALF = json.dumps(record("A text with a \ud800 in it", metadata={"k\ud800": "v\ud800"}, span_id="s\ud800"))
HALF_AS_BYTES = json.dumps(record("A text with a ? in it")).encode().replace(b"?", b"\xed\xa0\x80")

DEEP_LIST = b"[" * 100_000 + b"]" * 100_000 + b"\n"
DEEP_OBJECT = b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n"


def cut_off(data: bytes) -> bytes:
    """A gzip stream without its end, as a broken download leaves it."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


@dataclass(frozen=True)
class Odd:
    """A file with good lines around an odd one. ``reasons`` are the starts of what is said of the lines not read,
    ``records`` how many were, ``fatal`` whether the file was not read to its end."""

    content: Callable[[], bytes]
    records: int
    reasons: tuple[str, ...] = ()
    fatal: bool = False


ODD = {
    "nul bytes": Odd(lambda: FIRST + b"\0\0\0\n" + LAST, 2, ("Not valid JSON",)),
    "nul in a text": Odd(lambda: FIRST + WITH_NUL.encode() + b"\n" + LAST, 3),
    "nul in json": Odd(lambda: FIRST + b'{"input": "\0"}\n' + LAST, 2, ("Not valid JSON",)),
    "lone surrogate": Odd(lambda: FIRST + WITH_HALF.encode() + b"\n" + LAST, 3),
    "its bytes": Odd(lambda: FIRST + HALF_AS_BYTES + b"\n" + LAST, 2, ("The text is not valid UTF-8",)),
    "deep": Odd(
        lambda: FIRST + DEEP_LIST + DEEP_OBJECT + LAST,
        2,
        ("The JSON is nested more than 200 levels deep.",) * 2,
    ),
    "truncated.gz": Odd(
        lambda: cut_off(FIRST + LAST + FIRST[:30]), 2, ("The compressed file ends too early",), fatal=True
    ),
    "bomb.gz": Odd(
        lambda: gzip.compress(FIRST + LAST + b"x" * (70 << 20)),
        2,
        ("The file unpacks to more than 500 times its size; reading stopped here.",),
        fatal=True,
    ),
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Odd]:
    found = ODD[request.param]
    path = tmp_path / f"odd.jsonl{Path(request.param).suffix}"
    path.write_bytes(found.content())
    return path, found


def one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "\0" not in text and ". " not in text


def sanitized(*arguments: object) -> tuple[int, str]:
    """Exit code and what was said of troubles."""
    said = io.StringIO()
    try:
        call_command("sanitize_traces", *map(str, arguments), stdout=io.StringIO(), stderr=said)
    except SystemExit as stop:
        return int(stop.code or 0), said.getvalue()
    return 0, said.getvalue()


def test_the_command_reads_on_behind_what_is_odd(odd: tuple[Path, Odd], tmp_path: Path) -> None:
    path, expected = odd
    rejected, report = tmp_path / "rejected.jsonl", tmp_path / "report.json"
    other = write_lines(tmp_path / "other.jsonl", record("Which voucher can I still use this month?"))
    code, said = sanitized(path, other, "--rejected", rejected, "--report", report)
    assert (code, said.count("\n")) == ((1, 1) if expected.fatal else (0, 0))
    lines = [json.loads(line) for line in rejected.read_text(encoding="utf-8").splitlines()]
    reasons = [line["reason"] for line in lines if "reason" in line]
    assert [reason[: len(start)] for reason, start in zip(reasons, expected.reasons, strict=True)] == [
        *expected.reasons
    ]
    assert all(one_sentence(reason) for reason in reasons)
    assert json.loads(report.read_text())["total"] == expected.records + 1  # the other file was read too


@pytest.mark.django_db
def test_the_import_reads_on_behind_what_is_odd(workspace: Any, odd: tuple[Path, Odd]) -> None:
    path, expected = odd
    batch = import_file(make_dataset(workspace), path)
    assert batch.job is not None
    assert (batch.job.state, batch.imported, batch.error) == ("SUCCEEDED", expected.records, "")
    rejected = list(batch.rejected.order_by("line", "pk"))
    reasons = [line.reason for line in rejected]
    assert [reason[: len(start)] for reason, start in zip(reasons, expected.reasons, strict=True)] == [
        *expected.reasons
    ]
    assert all(one_sentence(reason) for reason in reasons)
    assert not any("\0" in line.text for line in rejected)
    assert not any("\0" in f"{row.preview}{row.span_id}{row.session_id}" for row in batch.dataset.records.all())


# --- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def full_database() -> Iterator[None]:
    """No room for payloads: SQLite may not grow; PostgreSQL says in a trigger what it says when the disk is full."""
    table = RawRecord._meta.db_table
    if connection.vendor == "sqlite":

        def limit(connection: Any, **kwargs: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA page_count")
                cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0] + 100}")

        limit(connection)
        connection_created.connect(limit)
        try:
            yield
        finally:
            connection_created.disconnect(limit)
            connection.close()
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER no_room AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION no_room()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_room CASCADE")


@pytest.mark.django_db(transaction=True)
def test_an_import_into_a_full_database_says_so_and_goes_on_when_there_is_room(workspace: Any, tmp_path: Path) -> None:
    lines = [
        record(f"Where is parcel number {n}, which I ordered last week? {'Please look. ' * 20}") for n in range(1500)
    ]
    path = write_lines(tmp_path / "t.jsonl", *lines[:700], "{broken", *lines[700:])
    undisturbed = import_file(make_dataset(workspace, "Undisturbed"), path)
    batch = ImportBatch.objects.create(
        dataset=make_dataset(workspace, "Full"), filename="t.jsonl", path=str(path), owned=False
    )
    with full_database():
        job = services.start_import(batch, "auto", "", by=None)
        drain()
        told = Job.objects.get(pk=job.pk)
        assert (told.state, told.note) == (
            "WAITING",
            "The disk of the database is full; free some space. Trying again.",
        )
        assert batch.dataset.records.count() == 0
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, job.error_message, job.done) == ("SUCCEEDED", "", 1501)
    assert (counts_of(batch), rejected_of(batch)) == (counts_of(undisturbed), rejected_of(undisturbed))
    assert rows_of(batch.dataset) == rows_of(undisturbed.dataset)


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal, so a write fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_command_on_a_full_disk_says_which_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    lines = [record(f"Where is parcel number {n}, which I ordered on day {n * 7}?") for n in range(400)]
    path = write_lines(tmp_path / "t.jsonl", *lines)
    out, rejected = tmp_path / "valid.jsonl", tmp_path / "rejected.jsonl"
    out.write_text("what was there before\n")
    arguments = (path, "--out", out, "--rejected", rejected, "--near-duplicates", "off", "--workers", 1)
    with no_room_beyond(20_000), pytest.raises(CommandError) as refused:
        sanitized(*arguments)
    assert str(refused.value) == f"{out} can't be written (File too large); make room or choose another place."
    assert refused.value.returncode == 1
    assert out.read_text() == "what was there before\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.jsonl", "valid.jsonl"]
    assert sanitized(*arguments) == (0, "")
    assert out.read_text().count("\n") == 400


# --- a killed process ------------------------------------------------------------------------------------------------


def test_a_killed_process_of_the_command_is_one_sentence(tmp_path: Path) -> None:
    line = json.dumps(record("Where is the parcel I ordered last week? " * 40))
    path = write_lines(tmp_path / "t.jsonl", *[line] * 30_000)
    out = tmp_path / "valid.jsonl"
    command = [sys.executable, "manage.py", "sanitize_traces", str(path), "--workers", "2", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        os.kill(wait_for(lambda: children(process.pid), every=0.01)[-1], signal.SIGKILL)
        said, trouble = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert trouble == (
        "CommandError: A worker process was stopped from outside, perhaps because memory ran out; "
        "nothing was written, so run it again with fewer --workers.\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]

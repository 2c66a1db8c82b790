"""Imports: nothing lost, nothing doubled, a bad line costs nobody else anything."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from datasets_app import services
from datasets_app.core.reading_lines import TEXT_KEPT
from datasets_app.jobs import importing
from datasets_app.models import DatasetRecord, ImportBatch, RawRecord
from datasets_app.sample import SAMPLE_PATH
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

_RAW = RawRecord._meta.db_table
pytestmark = pytest.mark.django_db

QUESTION = "Where is the parcel I ordered last week?"


def test_every_line_becomes_a_record_or_a_kept_rejection(workspace, tmp_path):
    path = write_lines(tmp_path / "t.jsonl", record(QUESTION), "{broken", record("Please cancel my second order."))
    batch = import_file(make_dataset(workspace), path)
    assert (batch.imported, batch.unreadable, batch.already_present, batch.position) == (2, 1, 0, 3)
    [rejected] = batch.rejected.all()
    assert (rejected.line, rejected.text) == (2, "{broken")
    assert rejected.reason.startswith("Not valid JSON")


def test_the_same_file_twice_adds_nothing(workspace, tmp_path):
    dataset = make_dataset(workspace)
    path = write_lines(tmp_path / "t.jsonl", record(QUESTION), record("Please cancel my second order."))
    import_file(dataset, path)
    renamed = tmp_path / "copy.jsonl"
    renamed.write_bytes(path.read_bytes())
    again = import_file(dataset, renamed)
    assert (again.imported, again.already_present) == (0, 2)
    assert dataset.records.count() == RawRecord.objects.count() == 2


def test_a_line_that_stands_twice_in_one_file_makes_two_records(workspace, tmp_path):
    dataset = make_dataset(workspace)
    path = write_lines(tmp_path / "t.jsonl", record(QUESTION), record(QUESTION))
    assert import_file(dataset, path).imported == 2
    assert import_file(dataset, path).already_present == 2


def test_chat_rows_and_openai_logs_are_recognised_line_by_line(workspace, tmp_path):
    chat = {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "shipping"}]}
    log = {
        "request": {"model": "m", "messages": [{"role": "user", "content": "Is the shop open on Sunday?"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]},
    }
    dataset = make_dataset(workspace)
    batch = import_file(dataset, write_lines(tmp_path / "t.jsonl", chat, log))
    assert batch.formats == {"chat": 1, "openai_chat": 1}
    assert batch.split_turns == 1
    first, second = dataset.records.order_by("pk").select_related("raw")
    assert (first.format, second.format) == ("chat", "openai_chat")
    assert [m["role"] for m in first.data["input"]["messages"]] == ["user"]
    assert first.trace.output_messages[0]["content"] == "shipping"
    assert second.preview == "Is the shop open on Sunday?"


def test_a_chosen_field_becomes_the_reference_answer(workspace, tmp_path):
    line = record(QUESTION, metadata={"intent": "shipping"})
    del line["reference_answer"]
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t.jsonl", line), reference_field="metadata.intent")
    assert dataset.records.get().trace.reference_answer == "shipping"


def test_the_command_reads_with_the_fields_it_is_given(workspace, tmp_path):
    line = record(QUESTION, metadata={"ticket": {"id": 71, "team": "billing"}, "thread": "t-9"}, hint="parcel")
    path = write_lines(tmp_path / "t.jsonl", line)
    options = ["--reference-field", "metadata.ticket.team", "--id-field", "metadata.ticket.id"]
    options += ["--session-field", "metadata.thread", "--field", "team=metadata.ticket.team", "--leave-out", "hint"]
    call_command("import_traces", str(path), "--dataset", "Some", *options)
    row = DatasetRecord.objects.get()
    trace = row.trace
    assert (trace.reference_answer, row.span_id, row.session_id) == ("billing", "71", "t-9")
    assert (trace.fields, trace.metadata["hint"]) == ({"team": "billing"}, "parcel")


def test_the_command_refuses_a_field_without_a_name(workspace, tmp_path):
    path = write_lines(tmp_path / "t.jsonl", record(QUESTION))
    with pytest.raises(CommandError, match="is not NAME=PATH"):
        call_command("import_traces", str(path), "--dataset", "Some", "--field", "metadata.team")


def test_the_database_is_laid_out_for_long_texts():
    on_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA page_size"
            if on_sqlite
            else f"SELECT attcompression FROM pg_attribute WHERE attname = 'body' AND attrelid = '{_RAW}'::regclass"
        )
        assert cursor.fetchone() == ((8192,) if on_sqlite else ("l",))  # lz4


@pytest.mark.parametrize("slice_seconds", [0.0, 45.0])
def test_slices_end_in_the_same_rows(workspace, monkeypatch, slice_seconds):
    """A slice of no time at all stops after each batch; the sample has five."""
    monkeypatch.setattr(importing, "BATCH", 200)
    dataset = make_dataset(workspace)
    batch = ImportBatch.objects.create(dataset=dataset, filename="s", path=str(SAMPLE_PATH), owned=False)
    services.start_import(batch, "auto", "", by=None)
    drain(slice_seconds=slice_seconds)
    batch.refresh_from_db()
    assert (batch.imported, batch.unreadable) == (838, 2)
    assert dataset.records.values("import_key").distinct().count() == 838


@pytest.mark.parametrize("slice_seconds", [0.0, 45.0])
def test_lines_that_hold_many_calls_are_never_cut_in_their_middle(workspace, tmp_path, monkeypatch, slice_seconds):
    monkeypatch.setattr(importing, "BATCH", 1000)

    def call(number: int) -> dict:
        asked = f"Question number {number} about a parcel?"
        return {
            "traceId": f"t{number}",
            "id": f"o{number}",
            "type": "GENERATION" if number % 5 else "SPAN",
            "input": [{"role": "user", "content": asked}],
            "output": {"role": "assistant", "content": "It is on its way."},
        }

    lines = [
        {"trace": {"sessionId": f"s{n}"}, "observations": [call(n * 300 + k) for k in range(300)]} for n in range(4)
    ]
    path = write_lines(tmp_path / "t.jsonl", *lines, lines[0])
    dataset = make_dataset(workspace)
    batch = ImportBatch.objects.create(dataset=dataset, filename="s", path=str(path), owned=False)
    services.start_import(batch, "auto", "", by=None)
    drain(slice_seconds=slice_seconds)
    batch.refresh_from_db()
    # 240 calls in each of five lines, of which the last says again what the first says
    assert (batch.position, batch.unreadable, batch.formats["langfuse"]) == (5, 0, batch.imported)
    assert batch.imported + batch.already_present == 1200
    assert dataset.records.values("span_id").distinct().count() == 960
    assert set(dataset.records.values_list("session_id", flat=True)) == {"s0", "s1", "s2", "s3"}
    again = import_file(dataset, path)
    assert (again.imported, again.already_present) == (0, 1200)


BAD_FILES = {
    "empty": (b"", "is empty"),
    "binary": (bytes(range(256)) * 20, ""),
    "unknown format": (b'{"rows": 1}\n{"rows": 2}\n', "was not recognised"),
    "cut gzip": (gzip.compress(b'{"a": 1}\n' * 5000)[:40], ""),
    "gzip bomb": (gzip.compress(b"\0" * 80_000_000), ""),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_cannot_be_read_gets_one_sentence_and_leaves_the_rest_alone(workspace, tmp_path, kind):
    content, words = BAD_FILES[kind]
    dataset = make_dataset(workspace)
    bad = tmp_path / ("bad.jsonl.gz" if "gzip" in kind else "bad.jsonl")
    bad.write_bytes(content)
    batch = import_file(dataset, bad)
    sentence = batch.error or batch.rejected.get().reason
    assert words in sentence
    assert sentence.count("\n") == 0
    assert batch.imported == 0
    assert import_file(dataset, write_lines(tmp_path / "good.jsonl", record(QUESTION))).imported == 1


def test_a_directory_is_refused_in_a_sentence(workspace, tmp_path):
    batch = import_file(make_dataset(workspace), tmp_path)
    assert "directory" in batch.error or "folder" in batch.error


def test_odd_lines_cost_only_themselves(workspace, tmp_path):
    path = tmp_path / "odd.jsonl"
    good = write_lines(tmp_path / "g.jsonl", record(QUESTION), record("Please cancel my second order.")).read_bytes()
    first, second = good.splitlines(keepends=True)
    deep = b"[" * 100_000 + b"]" * 100_000 + b"\n"
    huge = b'{"a": "' + b"x" * 50_000_000 + b'"}\n'
    path.write_bytes(first + b"\xff\xfe broken utf-8\n" + deep + huge + second)
    batch = import_file(make_dataset(workspace), path)
    assert (batch.imported, batch.unreadable) == (2, 3)
    assert all(len(line.text) <= TEXT_KEPT for line in batch.rejected.all())


def test_nul_bytes_and_lone_surrogates_survive_both_databases(workspace, tmp_path):
    text = "a question with a \\u0000 and a lone \\ud800 in it"
    line = '{"input": {"messages": [{"role": "user", "content": "' + text + '"}]}}'
    dataset = make_dataset(workspace)
    assert import_file(dataset, write_lines(tmp_path / "t.jsonl", line)).imported == 1
    row = dataset.records.get()
    assert row.data["input"]["messages"][0]["content"] == "a question with a \x00 and a lone \ud800 in it"
    assert row.code == "control_characters"


def test_an_upload_is_kept_imported_and_removed(workspace, owner, client_of, tmp_path):
    client = client_of(owner)
    path = write_lines(tmp_path / "mine.jsonl", record(QUESTION, "shipping"), "{broken")
    with path.open("rb") as file:
        answer = client.post("/datasets/new/", {"name": "Mine", "file": file})
    batch = ImportBatch.objects.get()
    review = f"/datasets/{batch.dataset_id}/import/{batch.pk}/"
    assert (answer.status_code, answer["Location"]) == (302, review)
    page = client.get(review)
    assert QUESTION in page.content.decode()
    assert DatasetRecord.objects.count() == 0  # nothing is stored before the person says so
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "auto", "reference_field": ""})
    assert Path(batch.path).exists()
    drain()
    assert DatasetRecord.objects.count() == 1
    assert not Path(batch.path).exists()
    rejected = client.get(f"{review}rejected/?download=1")
    assert rejected.getvalue() == b"{broken\n"


def test_pasted_lines_are_read_like_a_file(workspace, owner, client_of):
    client = client_of(owner)
    client.post(
        "/datasets/new/",
        {"name": "Pasted", "pasted": '{"messages": [{"role": "user", "content": "Hello there, all"}]}'},
    )
    batch = ImportBatch.objects.get()
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "auto"})
    drain()
    assert DatasetRecord.objects.get().preview == "Hello there, all"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "x"}, "Choose a file or paste lines"),
        ({"name": "", "pasted": "{}"}, "This field is required"),
        ({"name": "taken", "pasted": "{}"}, "There is already a dataset called taken"),
    ],
)
def test_a_form_that_lacks_something_says_what(workspace, owner, client_of, data, words):
    make_dataset(workspace, "taken")
    answer = client_of(owner).post("/datasets/new/", data)
    assert answer.status_code == 422
    assert words in answer.content.decode()

"""Lines that could not be read: shown with their place, mended one by one or all at once, never doubled, never lost."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from datasets_app import mending, services
from datasets_app.core.reading_lines import TEXT_KEPT
from datasets_app.models import DatasetRecord, ImportBatch, RawRecord
from datasets_app.services import Refused
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

GOOD = record("Where is the parcel I ordered last week?", metadata={"team": "shipping"})
MENDED = json.dumps(record("Please cancel my second order.", metadata={"team": "billing"}))
BROKEN = MENDED[:-1]


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


@pytest.fixture
def batch(workspace: Any, tmp_path: Path) -> ImportBatch:
    path = write_lines(tmp_path / "t.jsonl", GOOD, BROKEN, "[1, 2]", "{")
    return import_file(make_dataset(workspace), path, reference_field="metadata.team")


def page(batch: ImportBatch) -> str:
    return f"/datasets/{batch.dataset_id}/import/{batch.pk}/rejected/"


def counts(batch: ImportBatch) -> tuple[int, int, int]:
    batch.refresh_from_db()
    return batch.imported, batch.already_present, batch.unreadable


def test_a_mended_line_is_a_record_in_its_old_place_read_like_the_others(client, batch):
    answer = client.post(f"{page(batch)}2/", {"text": MENDED.replace('", "', '",\r\n "')})
    assert (answer.status_code, answer["Location"]) == (302, page(batch))
    row = batch.dataset.records.get(line=2)
    assert (row.batch, row.format, row.preview) == (batch, "canonical", "Please cancel my second order.")
    assert row.trace.reference_answer == "billing"  # the mapping of the import
    assert counts(batch) == (2, 0, 2)
    fixed = batch.rejected.get(line=2)
    assert (fixed.fixed_key, fixed.fixed_at is not None, fixed.text) == (row.import_key, True, BROKEN)
    html = client.get(f"{page(batch)}?fixed=1").content.decode()
    assert f"/records/{row.pk}/" in html


def test_the_same_line_is_not_imported_twice(client, batch):
    client.post(f"{page(batch)}2/", {"text": MENDED})
    again = client.post(f"{page(batch)}2/", {"text": MENDED})
    assert again.status_code == 422 and "This line was imported" in again.content.decode()
    client.post(f"{page(batch)}3/", {"text": MENDED})  # another line with the same text
    assert counts(batch) == (2, 1, 1)
    assert RawRecord.objects.count() == DatasetRecord.objects.count() == 2


def test_a_mended_file_adds_nothing_to_what_was_mended_here(client, batch, tmp_path):
    client.post(f"{page(batch)}2/", {"text": MENDED})
    again = import_file(batch.dataset, write_lines(tmp_path / "mended.jsonl", GOOD, MENDED))
    assert (again.imported, again.already_present) == (0, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BROKEN, "Not valid JSON: Expecting &#x27;,&#x27; delimiter"),
        ("[1]", "The line holds a list, not a JSON object."),
        ('{"rows": 1}', "The format was not recognised."),
        ("", "This field is required."),
    ],
)
def test_what_is_still_wrong_is_said_and_the_text_is_kept(client, batch, text, sentence):
    answer = client.post(f"{page(batch)}2/", {"text": text})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in html or ("The format was not recognised" in html and text == "[1]")
    assert counts(batch) == (1, 0, 3)


def test_in_the_drawer_the_page_is_loaded_anew_when_it_worked(client, batch):
    htmx = {"HX-Request": "true"}
    assert "<html" not in client.get(f"{page(batch)}2/", headers=htmx).content.decode()
    assert client.post(f"{page(batch)}2/", {"text": "{"}, headers=htmx).status_code == 422
    assert client.post(f"{page(batch)}2/", {"text": MENDED}, headers=htmx)["HX-Refresh"] == "true"


def test_all_are_read_again_with_another_format(client, workspace, tmp_path):
    """A log whose calls failed cannot be read as one; as chat rows its requests can."""
    failed = [
        {"messages": [{"role": "user", "content": f"Is shop {n} open?"}], "model": "m", "response": {"error": "down"}}
        for n in range(3)
    ]
    dataset = make_dataset(workspace)
    path = write_lines(tmp_path / "t.jsonl", *failed, "{broken")
    batch = ImportBatch.objects.create(dataset=dataset, filename="t.jsonl", path=str(path), owned=False)
    services.start_import(batch, "openai_chat", by=None)
    drain()
    assert counts(batch) == (0, 0, 4)
    client.post(f"/datasets/{dataset.pk}/run/reread/{batch.pk}/", {"format": "chat"})
    drain()
    assert counts(batch) == (3, 0, 1)
    assert list(dataset.records.order_by("line").values_list("line", "format")) == [
        (1, "chat"),
        (2, "chat"),
        (3, "chat"),
    ]
    html = client.get(page(batch)).content.decode()
    assert "3\u00a0lines became records, 0 were in the dataset already, 1 could not be read." in html


@pytest.mark.parametrize("slice_seconds", [0.0, 45.0])
def test_reading_again_in_slices_ends_in_the_same_rows(workspace, tmp_path, slice_seconds):
    lines = [json.dumps(record(f"Where is parcel number {n}?")) for n in range(450)]
    batch = import_file(make_dataset(workspace), write_lines(tmp_path / "t.jsonl", GOOD, *(["{"] * 450)))
    for row, text in zip(batch.rejected.all(), lines, strict=True):
        row.text = text if row.line % 2 else "{"
        row.save(update_fields=["text"])
    job = mending.reread(batch, "auto", by=None)
    drain(slice_seconds=slice_seconds)
    job.refresh_from_db()
    assert job.result == {"imported": 225, "already_present": 0, "unreadable": 225}
    assert counts(batch) == (226, 0, 225)
    assert batch.rejected.filter(fixed_at=None).count() == 225


def test_one_file_at_a_time_is_read_again(workspace, batch, tmp_path):
    other = import_file(batch.dataset, write_lines(tmp_path / "other.jsonl", GOOD, "{"))
    first = mending.reread(batch, "auto", by=None)
    assert mending.reread(batch, "auto", by=None) == first
    with pytest.raises(Refused, match="lines of another file are being read again"):
        mending.reread(other, "auto", by=None)


def test_lines_are_filtered_by_reason_and_paged_without_counting_through(client, workspace, tmp_path):
    path = write_lines(tmp_path / "t.jsonl", GOOD, *(["{"] * 60), *(["[1]"] * 5))
    batch = import_file(make_dataset(workspace), path)
    html = client.get(page(batch)).content.decode()
    assert html.count(">Mend<") == 50
    assert '<a href="?kind=Not%20valid%20JSON">Not valid JSON</a><b class="num">60</b>' in html
    assert 'href="?after=51"' in html
    assert client.get(f"{page(batch)}?after=51").content.decode().count(">Mend<") == 15
    kind = "The%20line%20holds%20a%20list%2C%20not%20a%20JSON%20object"
    assert client.get(f"{page(batch)}?kind={kind}").content.decode().count(">Mend<") == 5
    assert client.get(f"{page(batch)}?kind=nothing&after=x").content.decode().count(">Mend<") == 50


def test_downloads_are_the_lines_or_the_lines_with_their_place(client, batch):
    lines = client.get(f"{page(batch)}?download=lines").getvalue()
    assert lines == f"{BROKEN}\n[1, 2]\n{{\n".encode()
    client.post(f"{page(batch)}2/", {"text": MENDED})
    reasons = client.get(f"{page(batch)}?download=reasons").getvalue().splitlines()
    assert [json.loads(line) for line in reasons] == [
        {"file": "t.jsonl", "line": 3, "reason": "The line holds a list, not a JSON object.", "text": "[1, 2]"},
        {
            "file": "t.jsonl",
            "line": 4,
            "reason": "Not valid JSON: Expecting property name enclosed in double quotes at character 2.",
            "text": "{",
        },
    ]


def test_a_line_of_an_archive_names_its_member(client, workspace, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("one.jsonl", json.dumps(GOOD))
        archive.writestr("day/two.jsonl", "{broken")
    batch = import_file(make_dataset(workspace), tmp_path / "t.zip")
    assert "day/two.jsonl" in client.get(page(batch)).content.decode()
    [line] = client.get(f"{page(batch)}?download=reasons").getvalue().splitlines()
    assert json.loads(line)["member"] == "day/two.jsonl"


def test_a_line_that_was_too_long_to_keep_says_so(client, workspace, tmp_path):
    path = write_lines(tmp_path / "t.jsonl", GOOD, '{"a": "' + "x" * TEXT_KEPT)
    batch = import_file(make_dataset(workspace), path)
    assert "Only its first 65,536 characters were kept" in client.get(f"{page(batch)}2/").content.decode()


def test_a_colleague_may_mend_and_a_stranger_may_not(batch, colleague, stranger, client_of):
    assert client_of(stranger).post(f"{page(batch)}2/", {"text": MENDED}).status_code == 404
    assert counts(batch) == (1, 0, 3)
    assert client_of(colleague).post(f"{page(batch)}2/", {"text": MENDED}).status_code == 302
    assert counts(batch) == (2, 0, 2)

"""The page before an import: nothing is stored, every choice is shown at once, and what it shows is what is stored."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from datasets_app import staging
from datasets_app.models import Dataset, ImportBatch
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

QUESTION = "Where is the parcel I ordered last week?"
LINES = [record(f"{QUESTION} Number {n}.", None, metadata={"team": "shipping", "ticket": n}, hint="h") for n in (1, 2)]
BODY = "".join(f"{json.dumps(line)}\n" for line in LINES).encode() + b"{broken\n"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


@pytest.fixture
def batch(workspace: Any, owner: Any) -> ImportBatch:
    return staged(make_dataset(workspace), owner, BODY)


def staged(dataset: Dataset, owner: Any, body: bytes, name: str = "t.jsonl") -> ImportBatch:
    return staging.stage(dataset, SimpleUploadedFile(name, body), "", by=owner)


def region(client: Client, batch: ImportBatch, **query: Any) -> str:
    answer = client.get(f"/datasets/{batch.dataset_id}/regions/{batch.pk}/preview/", query, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_it_says_what_was_detected_and_what_cannot_be_read(client, batch):
    html = words(client.get(f"/datasets/{batch.dataset_id}/import/{batch.pk}/").content.decode())
    assert "66.7 % of the 3 lines are RFT Studio records . Nothing is stored yet." in html
    assert "Not valid JSON" in html
    assert batch.dataset.records.count() == 0


def test_choices_are_shown_and_stored_alike(client, batch):
    chosen = {
        "format": "canonical", "shown_for": "canonical", "reference_field": "metadata.team",
        "span_id": "metadata.ticket", "session_id": "metadata.team", "items": ["metadata.ticket"],
    }  # fmt: skip
    html = words(region(client, batch, **chosen))
    assert "Id 1 Session shipping ticket 1" in html
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", chosen)
    drain()
    first = batch.dataset.records.select_related("raw").order_by("pk")[0]
    assert (first.trace.reference_answer, first.span_id, first.session_id) == ("shipping", "1", "shipping")
    assert (first.trace.fields, first.trace.metadata["hint"]) == ({"ticket": 1}, "h")


def test_another_format_shows_other_conversations_and_its_own_fields(client, workspace, owner):
    body = b'{"messages": [{"role": "user", "content": "Is it open?"}], "input": {"messages": []}, "team": "sales"}'
    batch = staged(make_dataset(workspace), owner, body)
    auto, chat = region(client, batch), region(client, batch, format="chat", shown_for="auto", items=["fields.x"])
    assert "Example 1 User Is it open?" not in words(auto) and "Example 1 User Is it open?" in words(chat)
    assert 'value="fields.team" id="id_items_1" checked' in chat.replace('class="input" ', "")


def test_a_format_that_reads_nothing_can_be_left_again(client, batch):
    html = region(client, batch, format="openai_chat", shown_for="auto")
    assert "No line of this file could be read." in html and "<select" in html
    assert "Import</button>" not in html
    answer = client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "openai_chat"})
    assert answer.status_code == 422
    assert ImportBatch.objects.get().waits


@pytest.mark.parametrize("wrong", [{"format": "nothing"}, {"reference_field": "no.such"}, {"limit": "0"}])
def test_a_choice_that_is_not_offered_starts_nothing(client, batch, wrong):
    answer = client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "auto", **wrong})
    assert answer.status_code == 422
    assert ImportBatch.objects.get().waits


def test_the_same_file_again_says_that_it_was_here(client, batch, owner):
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "auto"})
    drain()
    batch.refresh_from_db()
    again = staged(batch.dataset, owner, BODY, "renamed.jsonl")
    html = words(client.get(f"/datasets/{batch.dataset_id}/import/{again.pk}/").content.decode())
    assert "This file was imported before. That was just now, by owner." in html
    other = staged(batch.dataset, owner, BODY + b"{}\n")
    assert "imported before" not in client.get(f"/datasets/{batch.dataset_id}/import/{other.pk}/").content.decode()


def test_several_files_are_read_the_same_way_at_once(client, batch, owner):
    second = staged(batch.dataset, owner, b'{"messages": [{"role": "user", "content": "Another file, same way"}]}')
    assert "Read 1\u00a0other waiting file the same way" in region(client, batch)
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/", {"format": "auto", "others": "on"})
    drain()
    assert [b.imported for b in ImportBatch.objects.order_by("pk")] == [2, 1]
    second.refresh_from_db()
    assert second.finished_at is not None


def test_a_preview_of_what_was_imported_meanwhile_loads_the_page_anew(client, workspace, tmp_path):
    batch = import_file(make_dataset(workspace), write_lines(tmp_path / "t.jsonl", *LINES))
    url = f"/datasets/{batch.dataset_id}/regions/{batch.pk}/preview/"
    assert client.get(url, headers=HTMX).headers["HX-Refresh"] == "true"
    assert client.get(url)["Location"] == f"/datasets/{batch.dataset_id}/import/{batch.pk}/"


def test_after_an_import_one_may_look_at_what_collapsing_would_do(client, workspace, tmp_path):
    batch = import_file(make_dataset(workspace), write_lines(tmp_path / "t.jsonl", *LINES))
    html = client.get(f"/datasets/{batch.dataset_id}/import/{batch.pk}/").content.decode()
    url = re.search(r'href="([^"]*action=collapse[^"]*)"', html)[1].replace("&amp;", "&")
    assert client.get(url).status_code == 200
    assert batch.dataset.records.count() == 2

"""The pages of exports: choosing, looking, fetching, taking away; owner, colleague and stranger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app import exports
from datasets_app.exports import Selection
from datasets_app.models import Dataset, Export, Snapshot, SnapshotItem
from rft_project.connections.models import AuditEntry
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EXPORT_DIR = tmp_path / "exports"
    return settings.EXPORT_DIR


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    lines = [record(f"Where is the parcel number {n} that I ordered?", fields={"n": n}) for n in range(12)]
    lines[3]["input"]["messages"].append({"role": "assistant", "content": "<b>On its way</b>"})
    made = make_dataset(workspace, "Desk <tickets>")
    import_file(made, write_lines(tmp_path / "t.jsonl", *lines))
    return made


@pytest.fixture
def ready(dataset: Dataset, owner: Any) -> Export:
    export = exports.start_export(dataset, "openai", Selection(), by=owner)
    drain()
    export.refresh_from_db()
    return export


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_choosing_a_format_makes_the_file_and_shows_it(dataset: Dataset, owner: Any, client_of: Any) -> None:
    client = client_of(owner)
    page = client.get(f"/datasets/{dataset.pk}/export/").content.decode()
    assert page.count('type="radio"') == 7
    assert 'value="canonical" aria-describedby="about-canonical" checked' in page
    answer = client.post(f"/datasets/{dataset.pk}/export/", {"format": "azure", "source": "", "verdict": "valid"})
    export = Export.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/datasets/{dataset.pk}/export/{export.pk}/")
    assert "Waiting for a free worker" in client.get(answer["Location"]).content.decode()
    drain()
    page = client.get(answer["Location"]).content.decode()
    assert "11\u00a0records as Azure RFT." in page
    assert "Nothing: every record that was chosen is in the file." in page
    assert "desk-tickets-azure.jsonl" in client.get(f"/datasets/{dataset.pk}/export/").content.decode()


def test_what_was_left_out_is_named_with_examples(
    dataset: Dataset, ready: Export, colleague: Any, client_of: Any
) -> None:
    broken = dataset.records.get(code="last_not_user")
    page = client_of(colleague).get(ready.get_absolute_url()).content.decode()
    assert "The conversation does not end with the user&#x27;s message" in page
    assert f'<a href="/datasets/{dataset.pk}/records/{broken.pk}/">{broken.pk}</a>' in page
    assert "11\u00a0records as OpenAI RFT; 1 left out." in page


def test_downloads_are_the_file_its_manifest_and_the_list(ready: Export, colleague: Any, client_of: Any) -> None:
    client = client_of(colleague)
    answer = client.get(f"{ready.get_absolute_url()}file")
    assert body(answer) == exports.file_of(ready).read_bytes()
    assert answer["Content-Disposition"] == 'attachment; filename="desk-tickets-openai.jsonl"'
    assert (answer["Content-Type"], int(answer["Content-Length"])) == ("application/jsonl", ready.bytes)
    manifest = client.get(f"{ready.get_absolute_url()}manifest")
    assert json.loads(manifest.content) == ready.manifest
    left = client.get(f"{ready.get_absolute_url()}left_out")
    assert [json.loads(line)["rules"] for line in body(left).splitlines()] == [["last_not_user"]]
    assert client.get(f"{ready.get_absolute_url()}anything").status_code == 404
    written = AuditEntry.objects.order_by("pk").values_list("action", "actor__username", "workspace__name")
    assert list(written) == [
        ("export dataset", "owner", "Support desk"),
        ("download export", "colleague", "Support desk"),
    ]


@pytest.mark.parametrize("what", ["", "file", "manifest", "left_out"])
def test_a_stranger_reaches_nothing_of_it(ready: Export, stranger: Any, client_of: Any, what: str) -> None:
    assert client_of(stranger).get(f"{ready.get_absolute_url()}{what}").status_code == 404


def test_one_may_not_reach_an_export_through_another_dataset(
    ready: Export, workspace: Any, owner: Any, client_of: Any
) -> None:
    other = make_dataset(workspace, "Other")
    assert client_of(owner).get(f"/datasets/{other.pk}/export/{ready.pk}/file").status_code == 404


def test_a_file_that_is_gone_from_the_disk_is_404(ready: Export, owner: Any, client_of: Any) -> None:
    exports.file_of(ready).unlink()
    assert client_of(owner).get(f"{ready.get_absolute_url()}file").status_code == 404


def test_an_expired_export_is_gone_before_it_is_swept(ready: Export, owner: Any, client_of: Any) -> None:
    Export.objects.update(expires_at="2026-01-01T00:00:00Z")
    assert client_of(owner).get(f"{ready.get_absolute_url()}file").status_code == 404
    assert "desk-tickets-openai" not in client_of(owner).get(f"/datasets/{ready.dataset_id}/export/").content.decode()


def test_deleting_is_a_post_and_says_so(ready: Export, owner: Any, client_of: Any, folder: Path) -> None:
    client = client_of(owner)
    address = f"/datasets/{ready.dataset_id}/delete_export/{ready.pk}/"
    assert client.get(address).status_code == 405
    page = client.post(address, follow=True).content.decode()
    assert "desk-tickets-openai.jsonl is deleted." in page
    assert (Export.objects.count(), list(folder.iterdir())) == (0, [])


def test_a_refused_file_says_why_and_can_be_tried_again(dataset: Dataset, owner: Any, client_of: Any) -> None:
    client = client_of(owner)
    client.post(f"/datasets/{dataset.pk}/export/", {"format": "bedrock", "verdict": ""})
    drain()
    export = Export.objects.get()
    page = client.get(export.get_absolute_url()).content.decode()
    assert "Bedrock takes files of at least 100 rows, and this one would have 11" in page
    assert "Left out, and why" in page
    assert client.get(f"{export.get_absolute_url()}file").status_code == 404
    client.post(f"/datasets/{dataset.pk}/run/export/{export.pk}/")
    export.job.refresh_from_db()
    assert export.job.state == "QUEUED"
    client.post(f"/datasets/{dataset.pk}/stop_export/{export.pk}/")
    drain()
    export.job.refresh_from_db()
    assert export.job.state == "CANCELLED"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "openai", "gzip": "on"}, "OpenAI RFT files are not gzipped; leave that out."),
        ({"format": "word"}, "Select a valid choice."),
        ({}, "This field is required."),
        ({"format": "csv", "source": "99:train"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_made_is_said_on_the_form(
    dataset: Dataset, owner: Any, client_of: Any, given: dict[str, str], words: str
) -> None:
    answer = client_of(owner).post(f"/datasets/{dataset.pk}/export/", given)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Export.objects.count() == 0


def test_a_part_of_a_split_is_offered_and_exported(dataset: Dataset, owner: Any, client_of: Any) -> None:
    snapshot = Snapshot.objects.create(dataset=dataset, content_hash="abc")
    for row in dataset.records.filter(verdict="valid").select_related("raw"):
        SnapshotItem.objects.create(snapshot=snapshot, record_id=row.pk, part="train", body=row.raw.body)
    client = client_of(owner)
    page = client.get(f"/datasets/{dataset.pk}/export/?source={snapshot.pk}:train").content.decode()
    assert f'<option value="{snapshot.pk}:train" selected>' in page
    assert "11 to train on" in page
    client.post(
        f"/datasets/{dataset.pk}/export/", {"format": "csv", "source": f"{snapshot.pk}:train", "verdict": "valid"}
    )
    export = Export.objects.get()
    assert (export.snapshot, exports.chosen_of(export)) == (snapshot, Selection(part="train"))


def test_an_address_may_say_what_to_begin_with(dataset: Dataset, owner: Any, client_of: Any) -> None:
    page = client_of(owner).get(f"/datasets/{dataset.pk}/export/?format=csv&verdict=invalid&gzip=on").content.decode()
    assert 'aria-describedby="about-csv" checked' in page
    assert '<option value="invalid" selected>' in page


def test_the_page_costs_the_same_for_three_files_as_for_one(ready: Export, owner: Any, client_of: Any) -> None:
    client, address = client_of(owner), f"/datasets/{ready.dataset_id}/export/"
    client.get(address)
    with CaptureQueriesContext(connection) as one:
        client.get(address)
    for format in ("csv", "trl"):
        exports.start_export(ready.dataset, format, Selection(), by=owner)
    with CaptureQueriesContext(connection) as three:
        client.get(address)
    assert len(three) == len(one)

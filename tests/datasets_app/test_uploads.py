"""Files sent in parts: a part that comes twice, late, torn or from a second tab changes nothing."""

from __future__ import annotations

import io
import json
import os
import resource
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from datasets_app import staging
from datasets_app.models import Dataset, ImportBatch, Upload
from datasets_app.services import Refused
from datasets_app.staging import CHUNK, EDGE, Offered
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

LINE = json.dumps(record("Where is the parcel I ordered last week?")).encode() + b"\n"
BODY = LINE * (CHUNK * 5 // 2 // len(LINE))  # two and a half parts


def offer(body: bytes = BODY, filename: str = "big.jsonl", modified: int = 7) -> Offered:
    return Offered(filename, len(body), modified, body[:EDGE], body[-EDGE:])


def part(body: bytes, offset: int) -> bytes:
    return body[offset : offset + CHUNK]


def give(upload: Upload, body: bytes, offset: int | None = None) -> Upload:
    """Send the part at ``offset`` as a browser that has just looked."""
    at = upload.received if offset is None else offset
    chunk = part(body, at)
    return staging.receive(Upload.objects.get(pk=upload.pk), at, len(chunk), io.BytesIO(chunk))


def give_all(upload: Upload, body: bytes) -> ImportBatch:
    while upload.batch is None:
        upload = give(upload, body)
    return upload.batch


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    return make_dataset(workspace)


@pytest.fixture
def begin(workspace: Any, dataset: Dataset, owner: Any) -> Callable[..., Upload]:
    def started(body: bytes = BODY, *, by: Any = None, **more: Any) -> Upload:
        return staging.begin(workspace, dataset, "", offer(body, **more), by=by or owner)

    return started


def test_a_file_arrives_in_parts_and_is_staged_byte_by_byte(begin):
    batch = give_all(begin(), BODY)
    assert Path(batch.path).read_bytes() == BODY
    assert (batch.filename, batch.size, batch.waits) == ("big.jsonl", len(BODY), True)
    assert Path(batch.path).parent == settings.UPLOAD_DIR


def test_it_goes_on_where_it_stopped_also_for_a_page_that_knows_nothing(begin):
    give(begin(), BODY)
    again = begin()
    assert (Upload.objects.count(), again.received) == (1, CHUNK)
    assert Path(give_all(again, BODY).path).read_bytes() == BODY


@pytest.mark.parametrize(
    "other", [{"filename": "other.jsonl"}, {"modified": 8}, {"body": BODY + LINE}, {"body": b"x" + BODY[1:]}]
)
def test_a_file_that_differs_in_name_size_time_or_an_end_is_another_one(begin, other):
    give(begin(), BODY)
    assert begin(**other).received == 0
    assert Upload.objects.count() == 2


@pytest.mark.parametrize("offset", [0, CHUNK + 1, 2 * CHUNK, len(BODY), len(BODY) + 1])
def test_a_part_that_does_not_start_where_the_last_one_ended_changes_nothing(begin, offset):
    upload = give(begin(), BODY)
    with pytest.raises(staging.NotHere) as elsewhere:
        give(upload, b"?" * (len(BODY) + 2 * CHUNK), offset)
    assert elsewhere.value.upload.received == CHUNK
    assert Path(upload.path).read_bytes() == BODY[:CHUNK]


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK + 1])
def test_a_part_of_another_length_is_refused(begin, length):
    upload = begin()
    with pytest.raises(Refused, match="which cannot be right"):
        staging.receive(upload, 0, length, io.BytesIO(BODY[:length]))
    assert Upload.objects.get().received == 0


def test_a_torn_part_counts_for_nothing_and_is_sent_again(begin):
    upload = begin()
    with pytest.raises(Refused, match="connection was lost"):
        staging.receive(upload, 0, CHUNK, io.BytesIO(BODY[: CHUNK // 3]))
    assert Upload.objects.get().received == 0
    assert Path(give_all(upload, BODY).path).read_bytes() == BODY


def test_what_a_killed_server_wrote_and_did_not_count_is_written_over(begin):
    upload = give(begin(), BODY)
    with Path(upload.path).open("ab") as file:
        file.write(b"?" * CHUNK)  # of a part whose transaction was lost
    assert Path(give_all(begin(), BODY).path).read_bytes() == BODY


def test_a_disk_that_cannot_be_written_is_a_sentence_and_what_was_sent_counts(begin, tmp_path):
    upload = give(begin(), BODY)
    Upload.objects.update(path="/proc/nothing/here.jsonl")
    with pytest.raises(Refused, match=r"^The file could not be kept: No such file or directory\. Free some space"):
        give(upload, BODY)
    Upload.objects.update(path=upload.path)
    assert Path(give_all(Upload.objects.get(), BODY).path).read_bytes() == BODY


def test_two_tabs_with_one_file_make_one_import(begin):
    one, two = begin(), begin()
    give(one, BODY)
    with pytest.raises(staging.NotHere):
        give(two, BODY, 0)
    batch = give_all(Upload.objects.get(), BODY)
    with pytest.raises(staging.NotHere) as elsewhere:  # the slower tab is told where the file went
        give(two, BODY, 2 * CHUNK)
    assert elsewhere.value.upload.batch == batch
    assert ImportBatch.objects.count() == 1


def test_two_tabs_that_send_the_same_part_at_the_same_moment(begin):
    """The second had read the row before the first had written it."""
    upload = begin()
    one, two = Upload.objects.get(), Upload.objects.get()
    staging.receive(one, 0, CHUNK, io.BytesIO(part(BODY, 0)))
    with pytest.raises(staging.NotHere):
        staging.receive(two, 0, CHUNK, io.BytesIO(part(BODY, 0)))
    upload.refresh_from_db()
    assert upload.received == CHUNK
    assert Path(give_all(upload, BODY).path).read_bytes() == BODY


def test_a_file_that_changed_on_the_way_is_not_glued_together(begin):
    changed = BODY[:-1] + b"!"
    upload = give(give(begin(), BODY), BODY)
    with pytest.raises(Refused, match="changed while it was being sent"):
        give(upload, changed)
    assert (Upload.objects.count(), ImportBatch.objects.count(), Path(upload.path).exists()) == (0, 0, False)


def test_a_finished_upload_does_not_stand_in_the_way_of_the_same_file(begin):
    give_all(begin(), BODY)
    assert begin().received == 0


def test_a_file_for_a_new_dataset_makes_it_when_it_is_all_here(workspace, owner):
    upload = staging.begin(workspace, None, "Mine", offer(), by=owner)
    give(upload, BODY)
    assert not Dataset.objects.exists()
    make_dataset(workspace, "Mine")  # somebody was faster
    batch = give_all(Upload.objects.get(), BODY)
    assert batch.dataset.name == "Mine 2"


def test_a_name_that_is_taken_is_refused_before_anything_is_sent(workspace, owner, dataset):
    with pytest.raises(Refused, match="already a dataset called Tickets"):
        staging.begin(workspace, None, "Tickets", offer(), by=owner)


def test_what_does_not_fit_is_refused_before_anything_is_sent(begin, settings):
    settings.UPLOAD_LIMIT = 3 * len(BODY)
    begin()
    give_all(begin(filename="second.jsonl"), BODY)
    with pytest.raises(Refused, match=r"may take 31.MB; 21.MB are taken\. Import or discard"):
        begin(BODY + LINE, filename="third.jsonl")
    huge = Offered("huge.jsonl", 2**60, 1, b"{", b"}")
    with pytest.raises(Refused, match="The disk of the server has room for"):
        staging.begin(Dataset.objects.get().workspace, None, "n", huge, by=Upload.objects.all()[0].created_by)


def test_a_name_cannot_leave_the_folder(begin):
    upload = begin(filename=staging.safe_name("../../etc/evil\x00.jsonl"))
    assert upload.filename == "evil\ufffd.jsonl"
    assert Path(upload.path).resolve().parent == settings.UPLOAD_DIR.resolve()


def test_uploads_nobody_goes_on_with_are_forgotten(begin):
    old, fresh = begin(), begin(filename="fresh.jsonl")
    Upload.objects.filter(pk=old.pk).update(updated_at=timezone.now() - staging.FORGOTTEN - timedelta(hours=1))
    begin(filename="fresh.jsonl")
    assert list(Upload.objects.all()) == [fresh]
    assert (Path(old.path).exists(), Path(fresh.path).exists()) == (False, True)


def test_one_file_has_one_digest_however_it_came(begin, dataset, owner):
    chunked = give_all(begin(), BODY)
    whole = staging.stage(dataset, SimpleUploadedFile("copy.jsonl", BODY), "", by=owner)
    pasted = staging.stage(dataset, None, BODY.decode(), by=owner)
    assert chunked.file_digest == whole.file_digest == pasted.file_digest != ""


def test_memory_stays_flat_while_two_gigabytes_arrive(begin, workspace, owner):
    """The file is sparse and the parts are zeros: what is measured is what the server holds of it, not the disk."""
    size, zeros = 2 << 30, b"\0" * CHUNK
    upload = staging.begin(workspace, None, "n", Offered("z.jsonl", size, 1, zeros[:EDGE], zeros[:EDGE]), by=owner)
    give(upload, zeros, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Upload.objects.update(received=size - 8 * CHUNK)  # the middle of the file is a hole
    os.truncate(upload.path, size - 8 * CHUNK)
    for n in range(8):
        upload = staging.receive(Upload.objects.get(), size - (8 - n) * CHUNK, CHUNK, io.BytesIO(zeros))
    assert upload.batch.size == Path(upload.path).stat().st_size == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # kB


# --- over HTTP -------------------------------------------------------------------------------------------------------


def ask(client: Client, url: str, body: bytes = BODY, **more: Any) -> Any:
    data = {"name": "", "filename": "big.jsonl", "size": len(body), "modified": 7}
    ends = {"head": SimpleUploadedFile("head", body[:EDGE]), "tail": SimpleUploadedFile("tail", body[-EDGE:])}
    return client.post(url, {**data, **ends, **more})


def send(client: Client, state: dict[str, Any], body: bytes = BODY) -> Any:
    chunk = body[state["offset"] : state["offset"] + state["chunk"]]
    return client.post(f"{state['url']}?offset={state['offset']}", chunk, content_type="application/octet-stream")


def test_the_browsers_way_from_the_first_part_to_the_records(owner, client_of, dataset):
    client, url = client_of(owner), f"/datasets/{dataset.pk}/upload/"
    state = ask(client, url).json()
    assert state == {"url": f"/datasets/upload/{Upload.objects.get().pk}/", "offset": 0, "chunk": CHUNK, "done": ""}
    state = send(client, state).json()
    assert ask(client, url).json()["offset"] == CHUNK  # after a reload
    stale = send(client, {**state, "offset": 0})
    assert (stale.status_code, stale.json()["offset"]) == (409, CHUNK)
    while not state["done"]:
        state = send(client, state).json()
    batch = ImportBatch.objects.get()
    assert state["done"] == f"/datasets/{dataset.pk}/import/{batch.pk}/"
    assert state["into"] == url
    assert "RFT Studio records" in client.get(state["done"]).content.decode()
    client.post(f"/datasets/{dataset.pk}/run/import/{batch.pk}/", {"format": "auto", "limit": "2"})
    drain()
    assert dataset.records.count() == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": "0"}, "The file is empty; choose another one."),
        ({"name": "", "filename": ""}, "This field is required."),
    ],
)
def test_an_offer_that_cannot_be_met_is_a_sentence(owner, client_of, dataset, change, sentence):
    answer = ask(client_of(owner), f"/datasets/{dataset.pk}/upload/", **change)
    assert (answer.status_code, answer.json()) == (422, {"error": sentence})


@pytest.mark.parametrize("offset", ["", "-1", "x", "1e3", "9" * 30, "٣"])
def test_an_offset_that_is_no_number_is_refused(owner, client_of, dataset, offset):
    client = client_of(owner)
    state = ask(client, f"/datasets/{dataset.pk}/upload/").json()
    answer = client.post(f"{state['url']}?offset={offset}", b"x", content_type="application/octet-stream")
    assert answer.status_code in (400, 409)
    assert Upload.objects.get().received == 0


def test_only_the_one_who_sends_a_file_can_go_on_with_it(owner, colleague, stranger, client_of, dataset):
    state = ask(client_of(owner), f"/datasets/{dataset.pk}/upload/").json()
    for person in (colleague, stranger):
        client = client_of(person)
        assert send(client, state).status_code == 404
        assert client.post(f"{state['url']}discard/").status_code == 404
    assert ask(client_of(stranger), f"/datasets/{dataset.pk}/upload/").status_code == 404
    theirs = ask(client_of(colleague), f"/datasets/{dataset.pk}/upload/").json()  # a colleague's is a file of its own
    assert theirs["url"] != state["url"]
    assert send(client_of(owner), state).status_code == 200


def test_pages_list_what_did_not_end_and_what_waits(owner, colleague, client_of, dataset, begin):
    give(begin(), BODY)
    client, page = client_of(owner), f"/datasets/{dataset.pk}/import/"
    html = client.get(page).content.decode()
    assert "Uploads that did not end" in html and "4.2\u00a0MB of 10\u00a0MB (40\u00a0%)" in html
    assert "Uploads that did not end" not in client_of(colleague).get(page).content.decode()
    batch = give_all(Upload.objects.get(), BODY)
    html = client.get(page).content.decode()
    assert "Files that wait for you" in html and "Uploads that did not end" not in html
    client.post(f"/datasets/{dataset.pk}/import/{batch.pk}/discard/")
    assert (ImportBatch.objects.count(), Path(batch.path).exists()) == (0, False)


def test_a_file_that_was_imported_cannot_be_discarded(owner, client_of, dataset, tmp_path):
    batch = import_file(dataset, write_lines(tmp_path / "t.jsonl", record("Where is my parcel now?")))
    client_of(owner).post(f"/datasets/{dataset.pk}/import/{batch.pk}/discard/")
    assert dataset.batches.count() == 1


def test_an_upload_is_discarded_with_its_file(owner, client_of, dataset, begin):
    upload = give(begin(), BODY)
    client_of(owner).post(f"/datasets/upload/{upload.pk}/discard/")
    assert (Upload.objects.count(), Path(upload.path).exists()) == (0, False)

"""Every address of a dataset: the owner and a colleague get it, a stranger gets 404, nobody signed out gets in."""

from __future__ import annotations

import pytest
from django.urls import NoReverseMatch, get_resolver, reverse

from datasets_app import editing, snapshots, staging, urls
from datasets_app.core.topics import UNKNOWN
from datasets_app.exports import Selection, start_export
from datasets_app.models import GenerationRun
from datasets_app.staging import Offered
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

NAMES = sorted(pattern.name for pattern in urls.urlpatterns)
OPEN = {"datasets", "new_dataset", "upload_new"}  # lists and forms of one's own


@pytest.fixture
def addresses(workspace, owner, tmp_path):
    dataset = make_dataset(workspace)
    batch = import_file(dataset, write_lines(tmp_path / "t.jsonl", record("Where is my parcel now?"), "{broken"))
    row = dataset.records.get()
    upload = staging.begin(workspace, dataset, "", Offered("big.jsonl", 9, 1, b"{}", b"{}"), by=owner)
    change = editing.set_topic(row, UNKNOWN, by=None)
    frozen = [snapshots.freeze(dataset, by=None).pk for _ in range(2)]
    given = {
        "change_pk": change.pk,
        "other_pk": frozen[0],
        "snapshot_pk": frozen[1],
        "pk": dataset.pk,
        "batch_pk": batch.pk,
        "record_pk": row.pk,
        "form": "json",
        "action": "sanitize",
        "upload_pk": upload.pk,
        "line": 2,
        "name": UNKNOWN,
        "run_pk": GenerationRun.objects.create(dataset=dataset, model="writer-1").pk,
    }
    export = start_export(dataset, "canonical", Selection(), by=None)
    drain()
    given |= {"export_pk": export.pk, "what": "file"}

    def of(name):
        pattern = next(p for p in get_resolver("datasets_app.urls").url_patterns if p.name == name)
        return reverse(f"datasets:{name}", kwargs={key: given[key] for key in pattern.pattern.converters})

    return of


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN])
def test_a_stranger_gets_404_for_reading_and_writing(addresses, stranger, client_of, name):
    client = client_of(stranger)
    answers = {client.get(addresses(name)).status_code, client.post(addresses(name)).status_code}
    assert answers <= {404, 405}
    assert 404 in answers


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_let_in_without_signing_in(addresses, client, name):
    for answer in (client.get(addresses(name)), client.post(addresses(name))):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("person", ["owner", "colleague"])
@pytest.mark.parametrize(
    "name",
    [
        "datasets",
        "new_dataset",
        "dataset",
        "import_page",
        "review_import",
        "rejected",
        "mend",
        "report",
        "privacy",
        "topics",
        "topic",
        "topic_sources",
        "export_topics",
        "record",
        "exports",
        "export",
        "generate",
        "gaps",
        "generation",
        "download_export",
        "records",
        "review",
        "sorting",
        "edit_record",
        "changes",
        "coverage_page",
        "snapshots",
        "snapshot_diff",
    ],
)
def test_owner_and_colleague_see_every_page(request, addresses, client_of, person, name):
    client = client_of(request.getfixturevalue(person))
    assert client.get(addresses(name)).status_code == 200


@pytest.mark.parametrize(
    "name", [p.name for p in urls.urlpatterns if "/run/" in str(p.pattern) or p.name.startswith("set_")]
)
def test_commands_change_nothing_on_get(addresses, owner, client_of, name):
    assert client_of(owner).get(addresses(name)).status_code == 405


def test_no_address_is_left_out():
    with pytest.raises(NoReverseMatch):
        reverse("datasets:nothing")
    assert len(NAMES) == len(set(NAMES))

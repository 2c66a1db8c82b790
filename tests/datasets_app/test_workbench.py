"""The page of records and what is done from it: what is shown, counted, selected, edited, frozen and compared."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app import changes, editing, listing, snapshots
from datasets_app.filters import UNSORTED, Where, matching
from datasets_app.models import Change, Dataset, RecordText, Snapshot
from datasets_app.services import Refused
from rft_project.jobs.models import Job
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


def filled(workspace: Any, path: Path, count: int, name: str = "Tickets") -> Dataset:
    """Records of every verdict, under two topics and none, from two sources, some to be reviewed."""
    dataset = make_dataset(workspace, name)
    tree = {"version": "1.0", "topics": {"billing": {}, "shipping": {}}}
    Dataset.objects.filter(pk=dataset.pk).update(topic_hierarchy=tree)
    texts = [f"Where is parcel {n}?" if n % 3 < 2 else "no" for n in range(count)]
    import_file(dataset, write_lines(path, *map(record, texts)))
    dataset.refresh_from_db()
    for n, row in enumerate(dataset.records.order_by("pk")):
        row.topic = (None, "billing", "shipping", "unknown")[n % 4]
        row.needs_review, row.source = n % 5 == 0, "manual" if n % 7 == 0 else "trace"
        row.is_generated = False
        row.save(update_fields=["topic", "needs_review", "source", "is_generated"])
    return dataset


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    return filled(workspace, tmp_path / "t.jsonl", 30)


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


WHERES = [
    Where(**dict(zip(("verdict", "topic", "source", "review"), values, strict=True)))
    for values in product(("", "valid", "invalid"), ("", "billing", "unknown", UNSORTED), ("", "manual"), ("", "1"))
]


@pytest.mark.parametrize("q", ["", "parcel", "parcel 1*"])
def test_pages_hold_what_the_filters_mean_once_each_in_both_directions(
    dataset: Dataset, monkeypatch: Any, q: str
) -> None:
    monkeypatch.setattr(listing, "PAGE", 4)
    monkeypatch.setattr("datasets_app.searching.NEWEST", 5)
    for where in WHERES:
        where = where.model_copy(update={"q": q})
        expected = sorted(matching(dataset, where).values_list("pk", flat=True), reverse=True)
        seen: list[int] = []
        page = listing.page_of(dataset, where, {})
        while True:
            seen += [row.pk for row in page.rows]
            if not page.older:
                break
            page = listing.page_of(dataset, where, {"before": str(page.older["before"])})
        assert seen == expected, where
        if not q and len(expected) > 4:
            page = listing.page_of(dataset, where, {"last": "1"})
            back = [row.pk for row in page.rows][::-1]
            while page.newer:
                page = listing.page_of(dataset, where, {"after": str(page.newer["after"])})
                back += [row.pk for row in page.rows][::-1]
            assert sorted(set(back), reverse=True) == expected, where


def test_counts_and_facets_agree_with_the_records(dataset: Dataset) -> None:
    counts = listing.Counted(dataset)
    for where in WHERES:
        assert counts.total(where) == matching(dataset, where).count(), where
        for name in ("verdict", "topic", "source"):
            for value, n in counts.facet(where, name).items():
                assert n == matching(dataset, where.model_copy(update={name: value})).count(), (where, name, value)


def test_what_counters_do_not_know_is_counted_up_to_a_limit(dataset: Dataset, monkeypatch: Any) -> None:
    counts = listing.Counted(dataset)

    def counted(**where: str) -> str:
        page = listing.page_of(dataset, Where(**where), {})
        return listing.counted(dataset, Where(**where), counts, page)

    batch = str(dataset.batches.get().pk)
    assert counted(batch=batch) == "30"
    assert counted(q="parcel") == "20"
    assert counted(q="parcel", topic="billing") == "5"
    monkeypatch.setattr(listing, "MOST_COUNTED", 10)
    monkeypatch.setattr(listing, "MOST_FOUND", 10)
    monkeypatch.setattr(listing, "PAGE", 3)
    assert counted(batch=batch) == "10+"
    assert counted(q="parcel") == "10+"
    assert counted(q="parcel", topic="billing") == "3+"
    assert counted(verdict="invalid") == "10"  # counters know


@pytest.mark.parametrize(
    "address", ["", "?verdict=invalid", "?topic=billing", "?review=1", "?q=parcel", "?q=parcel&topic=billing"]
)
def test_a_page_costs_as_many_queries_for_three_records_as_for_one(
    workspace: Any, client: Client, tmp_path: Path, address: str
) -> None:
    costs = []
    for count in (1, 3):
        dataset = filled(workspace, tmp_path / f"{count}", count, f"Of {count}")
        path = f"/datasets/{dataset.pk}/records/{address}"
        client.get(path)
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        costs.append(len(asked))
    assert costs[0] == costs[1] <= 17


def plan_of_query(records: Any) -> str:
    """How the database would answer, with its estimates kept from preferring a scan of a small table."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    return records.explain()


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (Where(), "record_by_dataset"),
        (Where(verdict="valid"), "record_by_verdict"),
        (Where(code="last_not_user"), "record_by_code"),
        (Where(topic="billing"), "record_by_topic"),
        (Where(topic="billing", verdict="valid"), "record_by_topic"),
        (Where(source="manual"), "record_by_source"),
        (Where(format="canonical"), "record_by_format"),
        (Where(review="1"), "record_"),
    ],
)
def test_every_lane_of_a_page_is_read_in_the_order_of_an_index(dataset: Dataset, where: Where, index: str) -> None:
    for lane in listing.lanes(dataset, where):
        plan = plan_of_query(lane.filter(pk__lt=10**9).order_by("-pk").values_list(*listing.Row._fields)[:51])
        # with thirty records every index in the right order is as good to PostgreSQL
        assert (index if connection.vendor == "sqlite" else "Index Scan Backward using record_") in plan
        assert "SCAN" not in plan and "Seq Scan" not in plan
        assert "TEMP B-TREE" not in plan and "Sort" not in plan.replace("Sort Key", "")


def test_an_edit_of_the_text_is_checked_at_once_found_and_can_be_undone(dataset: Dataset, client: Client) -> None:
    row = dataset.records.select_related("raw").filter(verdict="invalid").earliest("pk")
    body, page = row.raw.body, f"/datasets/{dataset.pk}/records/{row.pk}/edit/"
    seen = editing.mark_of(row)
    client.post(page, {"seen": seen, "how": "text", "text": "A longer question about invoices"})
    row.refresh_from_db()
    assert (row.verdict, row.preview) == ("valid", "A longer question about invoices")
    assert list(RecordText.objects.filter(words__contains="invoices").values_list("pk", flat=True)) == [row.pk]
    change = Change.objects.get()
    assert changes.undo(change, by=None) == changes.Undone(1, 0)
    row = dataset.records.select_related("raw").get(pk=row.pk)
    assert (row.raw.body, row.verdict, row.preview) == (body, "invalid", "no")


def test_an_edit_as_json_takes_messages_answer_and_reference(dataset: Dataset, client: Client) -> None:
    row = dataset.records.select_related("raw").earliest("pk")
    given = {
        "seen": editing.mark_of(row),
        "how": "json",
        "messages": json.dumps([{"role": "user", "content": "What does it cost to send?"}]),
        "answer": json.dumps([{"role": "assistant", "content": "Nothing."}]),
        "reference": '{"topic": "shipping"}',
    }
    client.post(f"/datasets/{dataset.pk}/records/{row.pk}/edit/", given)
    trace = dataset.records.select_related("raw").get(pk=row.pk).trace
    assert trace.messages == [{"role": "user", "content": "What does it cost to send?"}]
    assert trace.output_messages == [{"role": "assistant", "content": "Nothing."}]
    assert trace.reference_answer == {"topic": "shipping"}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("messages", "[{]", "Not valid JSON"),
        ("messages", '{"role": "user"}', "Write a list"),
        ("messages", '["hello"]', "Message 1 must be an object"),
        ("messages", '[{"content": "no role"}]', "Message 1 needs a role"),
        ("messages", '[{"role": "user", "content": 5}]', "The content of message 1"),
        ("answer", "nothing", "Not valid JSON"),
        ("reference", "billing", "Not valid JSON"),
        ("reference", "NaN", "Not valid JSON"),
    ],
)
def test_a_fault_in_an_edit_names_its_field_and_changes_nothing(
    dataset: Dataset, client: Client, field: str, value: str, sentence: str
) -> None:
    row = dataset.records.select_related("raw").earliest("pk")
    given = {"seen": editing.mark_of(row), "how": "json", "messages": "[]", "answer": "", "reference": "", field: value}
    answer = client.post(f"/datasets/{dataset.pk}/records/{row.pk}/edit/", given)
    assert answer.status_code == 422
    assert [sentence in error for error in answer.context["form"].errors[field]] == [True]
    assert not Change.objects.exists()


def test_an_edit_over_somebody_elses_is_refused(dataset: Dataset) -> None:
    row = dataset.records.select_related("raw", "dataset").earliest("pk")
    seen = editing.mark_of(row)
    editing.edit(row, editing.with_last_user_text(row.trace, "The first one here"), seen=seen, by=None)
    with pytest.raises(Refused, match="Somebody else changed this record"):
        editing.edit(row, editing.with_last_user_text(row.trace, "The second one"), seen=seen, by=None)
    row = dataset.records.select_related("raw", "dataset").get(pk=row.pk)
    assert editing.edit(row, row.trace, seen=editing.mark_of(row), by=None) is None
    assert Change.objects.count() == 1


def test_the_drawer_says_where_a_record_comes_from_and_what_was_done(dataset: Dataset, client: Client) -> None:
    row = dataset.records.earliest("pk")
    editing.set_topic(row, "shipping", by=None)
    snapshot = snapshots.freeze(dataset, by=None)
    page = f"/datasets/{dataset.pk}/records/{row.pk}/"
    html = client.get(page, headers={"HX-Request": "true"}).content.decode()
    for words in ("t.jsonl</a>, line 1", "canonical", f"Record {row.pk} moved to shipping", f"snapshot {snapshot.pk}"):
        assert words in html
    assert "<html" not in html
    assert "<html" in client.get(page).content.decode()


def test_an_answer_in_the_drawer_tells_the_list(dataset: Dataset, client: Client) -> None:
    row = dataset.records.filter(topic="billing").earliest("pk")
    path = f"/datasets/{dataset.pk}/records/{row.pk}/topic/"
    answer = client.post(path, {"topic": "shipping"}, headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"]) == {"record-changed": {"pk": row.pk, "topic": "shipping"}}
    answer = client.post(f"/datasets/{dataset.pk}/undo_last/", headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["record-changed"] == {"pk": row.pk, "topic": "billing"}
    row.refresh_from_db()
    assert row.topic == "billing"


def test_one_takes_back_ones_own_changes_only(dataset: Dataset, client: Client, colleague: Any) -> None:
    row = dataset.records.filter(topic="billing").earliest("pk")
    editing.set_topic(row, "shipping", by=colleague)
    client.post(f"/datasets/{dataset.pk}/undo_last/")
    row.refresh_from_db()
    assert row.topic == "shipping"
    client.post(f"/datasets/{dataset.pk}/changes/{Change.objects.get().pk}/undo/")  # by its own button everybody can
    row.refresh_from_db()
    assert row.topic == "billing"


def test_the_bulk_page_shows_the_count_and_changes_nothing_before_it_is_confirmed(
    dataset: Dataset, client: Client
) -> None:
    page = f"/datasets/{dataset.pk}/records/change/"
    asked = {"action": "set_topic", "into": "billing", "all": "1", "verdict": "invalid"}
    panel = client.get(page, asked).context["panel"]
    assert (panel.count, panel.button) == (10, "Set topic: 10\u00a0records")
    assert not Change.objects.exists()
    answer = client.post(page, {**asked, "upto": panel.plan.selection.upto})
    assert answer["Location"] == f"/datasets/{dataset.pk}/records/?verdict=invalid"
    assert Change.objects.get().count == dataset.records.filter(verdict="invalid", method="manual").count() == 10


def test_the_bulk_page_sends_back_who_chose_nothing(dataset: Dataset, client: Client) -> None:
    answer = client.get(f"/datasets/{dataset.pk}/records/change/", {"action": "delete", "q": "parcel"}, follow=True)
    assert answer.redirect_chain[0][0] == f"/datasets/{dataset.pk}/records/?q=parcel"
    assert "Tick the records first" in answer.content.decode()


def test_snapshots_freeze_everything_and_their_difference_is_exact(dataset: Dataset, tmp_path: Path) -> None:
    first = snapshots.freeze(dataset, by=None)
    keys = list(dataset.records.order_by("pk").values_list("pk", flat=True))
    row = dataset.records.select_related("raw", "dataset").get(pk=keys[1])
    editing.edit(row, editing.with_last_user_text(row.trace, "Other words here"), seen=editing.mark_of(row), by=None)
    editing.set_topic(dataset.records.get(pk=keys[2]), "billing", by=None)
    dataset.records.filter(pk=keys[3]).delete()
    import_file(dataset, write_lines(tmp_path / "more.jsonl", record("One that is new here.")))
    second = snapshots.freeze(dataset, by=None)
    found = snapshots.difference(first, second)
    newest = dataset.records.latest("pk").pk
    assert [item.record_id for item in found.added] == [newest]
    assert [item.record_id for item in found.removed] == [keys[3]]
    assert [item.record_id for item in found.changed] == keys[1:3]
    assert sum(after for _, _, after in found.topics) == 30
    assert not snapshots.difference(second, second).changed.exists()


def test_the_hash_of_a_snapshot_is_that_of_its_content_however_it_was_made(dataset: Dataset, monkeypatch: Any) -> None:
    at_once = snapshots.freeze(dataset, by=None)
    monkeypatch.setattr(snapshots, "AT_ONCE", 5)
    monkeypatch.setattr(snapshots, "SLICE", 7)
    by_job = snapshots.freeze(dataset, by=None)
    assert snapshots.freeze(dataset, by=None) == by_job  # pressed twice
    drain(slice_seconds=0)
    by_job.refresh_from_db()
    assert Job.objects.filter(kind="snapshot").count() == 1
    assert (by_job.content_hash, by_job.items.count(), by_job.report) == (at_once.content_hash, 30, {"records": 30})
    editing.set_topic(dataset.records.earliest("pk"), "shipping", by=None)
    assert snapshots.freeze(dataset, by=None) is not None
    drain()
    assert Snapshot.objects.latest("pk").content_hash != at_once.content_hash


def test_an_empty_dataset_is_not_frozen(workspace: Any, client: Client) -> None:
    dataset = make_dataset(workspace, "Empty")
    html = client.post(f"/datasets/{dataset.pk}/freeze/", follow=True).content.decode()
    assert "There are no records to freeze yet." in html

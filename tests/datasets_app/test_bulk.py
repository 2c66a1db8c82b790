"""Changing many records: what is selected, that nothing else is touched, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_app import bulk, changes
from datasets_app.bulk import Selection
from datasets_app.models import Change, ChangedRecord, Dataset, DatasetRecord, RawRecord
from datasets_app.services import Refused
from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import Job, State
from rft_project.jobs.services import request_cancel, retry
from tests.factories import import_file, make_dataset, plan_of, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
BELL = "A question with a \u0007 bell in it, number"


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """Ten good records, five that a repair mends, one that none does."""
    made = make_dataset(workspace)
    Dataset.objects.filter(pk=made.pk).update(topic_hierarchy={"version": 1, "topics": {"billing": {}, "shipping": {}}})
    made.refresh_from_db()
    lines = [record(f"Where is parcel number {n}?") for n in range(10)]
    lines += [record(f"{BELL} {n}") for n in range(5)] + [record("no")]
    import_file(made, write_lines(tmp_path / "t.jsonl", *lines))
    return made


@pytest.fixture
def small_slices(monkeypatch: Any) -> None:
    """Everything is a job of slices of four."""
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(changes, "SLICE", 4)
    monkeypatch.setattr(bulk.BulkAction, "size", property(lambda self: 4, lambda self, value: None))


def rows(dataset: Dataset) -> list[tuple[Any, ...]]:
    columns = [field.attname for field in DatasetRecord._meta.concrete_fields]
    return list(dataset.records.order_by("pk").values_list(*columns, "raw__body"))


def test_the_ticked_records_are_changed_at_once_and_the_undo_is_exact(dataset: Dataset, owner: Any) -> None:
    before = rows(dataset)
    keys = [row[0] for row in before[1:4]]
    change = bulk.begin(dataset, bulk.plan(dataset, "set_topic", Selection(ids=keys), {"into": "billing"}), by=owner)
    assert change is not None
    assert (change.count, change.sentence, change.job) == (3, "Moved to billing", None)
    assert list(dataset.records.filter(topic="billing", method="manual").values_list("pk", flat=True)) == keys
    assert bulk.undo(change, by=owner) == changes.Undone(3, 0)
    assert rows(dataset) == before
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "detail", "actor")) == [
        ("bulk set_topic", "Moved to billing: 3\u00a0records", owner.pk),
        ("undo", "Moved to billing: 3\u00a0records", owner.pk),
    ]


def test_all_that_match_are_those_there_were_when_it_was_asked_for(
    dataset: Dataset, tmp_path: Path, small_slices: None
) -> None:
    change = bulk.begin(dataset, plan_of(dataset, "set_topic", {"verdict": "valid"}, into="billing"), by=None)
    assert change is not None and change.job is not None
    import_file(dataset, write_lines(tmp_path / "later.jsonl", record("A record that came later.")))
    drain()
    change.refresh_from_db()
    assert (change.count, change.job.state) == (10, State.SUCCEEDED)
    assert dataset.records.filter(topic="billing").count() == 10
    assert dataset.records.get(preview="A record that came later.").topic is None


def test_what_stands_so_already_is_not_changed(dataset: Dataset) -> None:
    first = bulk.begin(dataset, plan_of(dataset, "set_topic", into="billing"), by=None)
    assert first is not None and first.count == 16
    assert bulk.begin(dataset, plan_of(dataset, "set_topic", into="billing"), by=None) is None
    assert list(Change.objects.all()) == [first]
    cleared = bulk.begin(dataset, plan_of(dataset, "clear_topic"), by=None)
    assert cleared is not None and cleared.count == 16
    assert not dataset.records.exclude(topic=None, method="").exists()


def test_deleted_records_are_gone_with_their_payloads_and_come_back(dataset: Dataset, small_slices: None) -> None:
    before = rows(dataset)
    change = bulk.begin(dataset, plan_of(dataset, "delete", {"code": "control_characters"}), by=None)
    drain()
    assert change is not None
    assert dataset.records.count() == RawRecord.objects.count() == 11
    assert bulk.undo(Change.objects.get(), by=None) is None
    drain()
    assert rows(dataset) == before
    assert Change.objects.get().undone_at is not None


def test_a_repair_mends_what_it_can_and_rechecks(dataset: Dataset, small_slices: None) -> None:
    before = rows(dataset)
    bulk.begin(dataset, plan_of(dataset, "repair", repairs=["strip_control_characters"]), by=None)
    drain()
    mended = dataset.records.filter(preview__startswith="A question with a  bell")
    assert list(mended.values_list("verdict", "code").distinct()) == [("valid", "")]
    assert mended.count() == Change.objects.get().count == ChangedRecord.objects.count() == 5
    bulk.undo(Change.objects.get(), by=None)
    drain()
    assert rows(dataset) == before


def test_checking_again_changes_only_verdicts_that_are_wrong(dataset: Dataset) -> None:
    bulk.begin(dataset, plan_of(dataset, "recheck"), by=None)  # imported records are not marked as fully checked
    key = dataset.records.latest("pk").pk
    dataset.records.filter(pk=key).update(verdict="valid", code="", issues=[])
    change = bulk.begin(dataset, plan_of(dataset, "recheck"), by=None)
    assert change is not None and change.count == 1
    assert dataset.records.get(pk=key).code == "user_message_too_short"


def test_history_logged_again_with_every_turn_collapses_to_the_longest(
    workspace: Any, tmp_path: Path, small_slices: None
) -> None:
    dataset, turns, lines = make_dataset(workspace), [], []
    for n in range(4):
        turns = [*turns, {"role": "user", "content": f"And what about order {n}?"}]
        line = {"input": {"messages": turns}, "output": {"messages": []}, "session_id": "s1"}
        lines.append({**line, "reference_answer": n})
        turns = [*turns, {"role": "assistant", "content": f"It is on its way, {n}."}]
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines, record("Another conversation altogether.")))
    dataset.records.exclude(preview="Another conversation altogether.").update(session_id="s1")
    before = rows(dataset)
    bulk.begin(dataset, plan_of(dataset, "collapse"), by=None)
    drain()
    assert list(dataset.records.order_by("pk").values_list("preview", flat=True)) == [
        "And what about order 3?",
        "Another conversation altogether.",
    ]
    bulk.undo(Change.objects.get(), by=None)
    drain()
    assert rows(dataset) == before


def test_a_stop_keeps_what_is_done_which_can_be_undone(dataset: Dataset, small_slices: None) -> None:
    before = rows(dataset)
    change = bulk.begin(dataset, plan_of(dataset, "set_topic", into="billing"), by=None)
    assert change is not None and change.job is not None
    drain(1, slice_seconds=0)
    request_cancel(change.job)
    drain()
    job = Job.objects.get(pk=change.job.pk)
    assert (job.state, job.done, dataset.records.filter(topic="billing").count()) == (State.CANCELLED, 4, 4)
    bulk.undo(Change.objects.get(), by=None)
    drain()
    assert rows(dataset) == before


def test_it_goes_on_slice_by_slice_and_does_nothing_twice(dataset: Dataset, small_slices: None) -> None:
    change = bulk.begin(dataset, plan_of(dataset, "set_topic", into="billing"), by=None)
    assert change is not None and change.job is not None
    assert drain(slice_seconds=0) > 3
    change.refresh_from_db()
    assert (change.count, ChangedRecord.objects.count(), change.job.done) == (16, 16, 16)
    Job.objects.filter(pk=change.job.pk).update(state=State.FAILED)  # as if the worker had died after the last slice
    retry(change.job)
    drain()
    assert AuditEntry.objects.count() == 1


def test_pressing_twice_is_one_job_and_another_change_waits(dataset: Dataset, small_slices: None) -> None:
    wanted = plan_of(dataset, "set_topic", into="billing")
    first = bulk.begin(dataset, wanted, by=None)
    assert bulk.begin(dataset, wanted, by=None) == first
    with pytest.raises(Refused, match="at work"):
        bulk.begin(dataset, plan_of(dataset, "delete"), by=None)
    with pytest.raises(Refused, match="at work"):
        bulk.undo(Change.objects.get(), by=None)
    assert Job.objects.filter(kind="bulk").count() == 1


@pytest.mark.parametrize(
    ("action", "values", "sentence"),
    [
        ("set_topic", {}, "Set topic: fill in"),
        ("set_topic", {"into": "nowhere"}, "Choose one of the topics"),
        ("repair", {"repairs": []}, "at least one"),
        ("repair", {"repairs": ["none"]}, "at least one"),
        ("burn", {}, "Choose what to do"),
    ],
)
def test_what_makes_no_sense_is_refused(dataset: Dataset, action: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        plan_of(dataset, action, **values)


def test_other_datasets_are_never_touched(dataset: Dataset, workspace: Any, tmp_path: Path) -> None:
    other = make_dataset(workspace, "Other")
    import_file(other, write_lines(tmp_path / "o.jsonl", record("Somebody else's question, please.")))
    before = rows(other)
    keys = [*other.records.values_list("pk", flat=True), dataset.records.earliest("pk").pk]
    change = bulk.begin(dataset, bulk.plan(dataset, "delete", Selection(ids=keys), {}), by=None)
    assert change is not None and change.count == 1
    assert rows(other) == before

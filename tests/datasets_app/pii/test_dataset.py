"""Findings of a dataset: they follow its records through scans, edits, redactions and undos, and never hold a value."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from datasets_app import actions, bulk, privacy
from datasets_app.bulk import Selection
from datasets_app.core.hygiene import HygieneReport
from datasets_app.counters import take_turn
from datasets_app.models import Change, Dataset, Finding, FoundValue, RawRecord, Rescan, Vault
from rft_project.connections.sealing import key_id_of, new_key
from rft_project.jobs.models import Job, JobEvent, State
from tests.datasets_app.pii.examples import _KEYS
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
KEY = _KEYS["openai_key"][0]
LINES = [
    record("Please write to Joe@shop.example about my parcel."),
    record("It is joe@shop.example, or ann@shop.example, or +49 151 2345678."),
    record(f"My code fails: client = Client(api_key='{KEY}')"),
    record("Where is the parcel that I ordered on Monday?"),
]


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    made = make_dataset(workspace)
    import_file(made, write_lines(tmp_path / "t.jsonl", *LINES))
    return made


def scan(dataset: Dataset, **kwargs: Any) -> Job:
    job = actions.start(dataset, actions.SCAN, {}, by=None)
    drain(**kwargs)
    job.refresh_from_db()
    return job


def redact(dataset: Dataset, kind: str, values: list[int] | None = None) -> Change | None:
    return bulk.redact(dataset, kind, values or [], by=None)


def held(dataset: Dataset) -> list[tuple[int, str, int, int]]:
    """Position of the record, kind, number of the placeholder, how often."""
    order = {pk: n for n, pk in enumerate(dataset.records.order_by("pk").values_list("pk", flat=True))}
    rows = Finding.objects.filter(record__dataset=dataset).values_list(
        "record_id", "value__kind", "value__number", "count"
    )
    return sorted((order[pk], *rest) for pk, *rest in rows)


FOUND = [(0, "email", 1, 1), (1, "email", 1, 1), (1, "email", 2, 1), (1, "phone", 1, 1), (2, "openai_key", 1, 1)]


def user_text(dataset: Dataset, place: int) -> str:
    trace = dataset.records.select_related("raw").order_by("pk")[place].trace
    return trace.messages[-1]["content"]


def test_a_scan_finds_values_and_counts_records(dataset: Dataset) -> None:
    job = scan(dataset)
    assert (job.state, job.done, job.total) == (State.SUCCEEDED, 4, 4)
    assert held(dataset) == FOUND
    assert job.result == {
        "dataset": "Tickets",
        "total": 4,
        "pii": {"email": 2, "phone": 1},
        "secrets": {"openai_key": 1},
    }
    counts = Vault.objects.get().counts
    assert {kind: (c.records, c.values) for kind, c in counts.kinds.items()} == {
        "openai_key": (1, 1),
        "email": (2, 2),
        "phone": (1, 1),
    }
    assert (counts.records, counts.secrets, counts.personal) == (4, 1, 2)


def test_a_scan_in_slices_is_the_same_scan(dataset: Dataset, monkeypatch: Any) -> None:
    monkeypatch.setattr(privacy, "BATCH", 1)
    job = scan(dataset, slice_seconds=0)
    assert job.state == State.SUCCEEDED
    assert held(dataset) == FOUND


def test_sanitizing_looks_too_and_reports_with_a_sentence(dataset: Dataset) -> None:
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    report = HygieneReport.model_validate(actions.last_result(dataset, actions.SANITIZE))
    assert (report.pii, report.secrets) == ({"email": 2, "phone": 1}, {"openai_key": 1})
    assert report.recommendations == [
        "1 of 4 records (25.0%) holds passwords, keys or tokens; redact them before the data leave this machine, and "
        "renew them.",
        "2 of 4 records (50.0%) hold personal data (e-mail addresses in 2, phone numbers in 1); review them before the "
        "data go to a platform.",
    ]


def test_new_records_are_scanned_alone_and_known_values_keep_their_number(dataset: Dataset, tmp_path: Path) -> None:
    scan(dataset)
    more = [record("JOE@SHOP.EXAMPLE and bob@shop.example wait for an answer.")]
    import_file(dataset, write_lines(tmp_path / "more.jsonl", *more))
    assert not privacy.is_complete(dataset, Vault.objects.get())
    job = scan(dataset)
    assert job.done == 1
    assert held(dataset) == sorted([*FOUND, (4, "email", 1, 1), (4, "email", 3, 1)])
    assert privacy.is_complete(dataset, Vault.objects.get())
    assert scan(dataset).done == 0


def test_redaction_covers_the_record_checks_it_again_and_is_done_once(dataset: Dataset) -> None:
    scan(dataset)
    before = list(dataset.records.order_by("pk").values_list("digest", "preview", "raw__body"))
    change = redact(dataset, "email")
    assert change is not None
    assert (change.count, change.sentence) == (2, "Redacted e-mail addresses")
    assert user_text(dataset, 0) == "Please write to <EMAIL_1> about my parcel."
    assert user_text(dataset, 1) == "It is <EMAIL_1>, or <EMAIL_2>, or +49 151 2345678."
    rows = list(dataset.records.order_by("pk").values_list("digest", "preview", "raw__body"))
    assert rows[0][1] == "Please write to <EMAIL_1> about my parcel."
    assert rows[0][0] != before[0][0]
    assert rows[2:] == before[2:]
    assert held(dataset) == [(1, "phone", 1, 1), (2, "openai_key", 1, 1)]
    assert "email" not in Vault.objects.get().counts.kinds
    assert redact(dataset, "email") is None
    drain()
    assert held(dataset) == [(1, "phone", 1, 1), (2, "openai_key", 1, 1)]


def test_undo_brings_back_texts_findings_and_numbers(dataset: Dataset, owner: Any) -> None:
    scan(dataset)
    before = list(dataset.records.order_by("pk").values_list("raw__body", flat=True))
    change = redact(dataset, "email")
    assert change is not None
    bulk.undo(change, by=owner)
    drain()
    assert list(dataset.records.order_by("pk").values_list("raw__body", flat=True)) == before
    assert held(dataset) == FOUND
    assert not Rescan.objects.exists()
    redact(dataset, "email")
    assert user_text(dataset, 1) == "It is <EMAIL_1>, or <EMAIL_2>, or +49 151 2345678."


def test_some_values_of_a_kind(dataset: Dataset) -> None:
    scan(dataset)
    ann = FoundValue.objects.get(kind="email", number=2)
    change = redact(dataset, "email", [ann.pk])
    assert change is not None
    assert (change.count, change.sentence) == (1, "Redacted 1 of the e-mail addresses")
    assert user_text(dataset, 0) == "Please write to Joe@shop.example about my parcel."
    assert user_text(dataset, 1) == "It is joe@shop.example, or <EMAIL_2>, or +49 151 2345678."


def test_many_records_are_redacted_by_a_job_in_slices(dataset: Dataset, monkeypatch: Any) -> None:
    scan(dataset)
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    monkeypatch.setattr(bulk.BulkAction, "size", property(lambda self: 1, lambda self, value: None))
    change = redact(dataset, "email")
    assert change is not None
    assert change.job is not None
    drain(slice_seconds=0)
    change.refresh_from_db()
    assert change.count == 2
    assert held(dataset) == [(1, "phone", 1, 1), (2, "openai_key", 1, 1)]


def test_false_alarms_are_remembered_and_not_redacted(dataset: Dataset, tmp_path: Path) -> None:
    scan(dataset)
    take_turn(dataset.pk)
    joe = FoundValue.objects.get(kind="email", number=1)
    assert privacy.set_false_alarm(dataset, "email", [joe.pk], True) == 1
    assert privacy.set_false_alarm(dataset, "email", [joe.pk], True) == 0
    import_file(dataset, write_lines(tmp_path / "more.jsonl", record("Joe@Shop.example asks again about it.")))
    scan(dataset)
    counts = Vault.objects.get().counts
    assert (counts.kinds["email"].records, counts.kinds["email"].values, counts.false_alarms) == (1, 1, {"email": 1})
    redact(dataset, "email")
    assert user_text(dataset, 1) == "It is joe@shop.example, or <EMAIL_2>, or +49 151 2345678."
    privacy.set_false_alarm(dataset, "email", [joe.pk], False)
    assert Vault.objects.get().counts.kinds["email"].records == 3


def test_a_kind_can_be_a_false_alarm_altogether(dataset: Dataset) -> None:
    scan(dataset)
    privacy.ignore_kind(dataset, "phone", True)
    assert "phone" not in Vault.objects.get().counts.kinds
    assert redact(dataset, "phone") is None
    privacy.ignore_kind(dataset, "phone", False)
    assert Vault.objects.get().counts.kinds["phone"].records == 1


def test_removed_records_take_their_findings_along_and_come_back_with_them(dataset: Dataset, owner: Any) -> None:
    scan(dataset)
    first = dataset.records.order_by("pk")[1].pk
    change = bulk.begin(dataset, bulk.plan(dataset, "delete", Selection(ids=[first]), {}), by=owner)
    assert change is not None
    drain()
    assert Vault.objects.get().counts.kinds["email"].records == 1
    bulk.undo(change, by=owner)
    drain()
    assert held(dataset) == FOUND
    assert Vault.objects.get().counts.kinds["email"].records == 2


def test_other_rules_make_the_scan_start_over(dataset: Dataset) -> None:
    scan(dataset)
    numbers = list(FoundValue.objects.order_by("pk").values_list("kind", "digest", "number"))
    Vault.objects.update(rules="0")
    assert scan(dataset).done == 4
    assert held(dataset) == FOUND
    assert list(FoundValue.objects.order_by("pk").values_list("kind", "digest", "number")) == numbers


def test_two_datasets_do_not_know_each_others_values(dataset: Dataset, workspace: Any, tmp_path: Path) -> None:
    other = make_dataset(workspace, "Other")
    import_file(other, write_lines(tmp_path / "o.jsonl", record("Nothing here but bob@b.example."), LINES[0]))
    scan(dataset)
    scan(other)
    assert held(other) == [(0, "email", 1, 1), (1, "email", 2, 1)]
    assert not set(dataset.found_values.values_list("digest")) & set(other.found_values.values_list("digest"))


def test_rotating_the_servers_keys_keeps_digests_and_placeholders(dataset: Dataset, settings: Any, capsys: Any) -> None:
    scan(dataset)
    old = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [new_key(), *old]
    before = Vault.objects.get().key()
    call_command("rotate_secrets")
    assert "Sealed anew: 1," in capsys.readouterr().out
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    vault = Vault.objects.get()
    assert vault.key() == before
    redact(dataset, "email")
    assert user_text(dataset, 0) == "Please write to <EMAIL_1> about my parcel."


def test_a_lost_key_is_a_sentence(dataset: Dataset, settings: Any) -> None:
    scan(dataset)
    assert key_id_of(Vault.objects.get().sealed)
    settings.FIELD_ENCRYPTION_KEYS = [new_key()]
    Rescan.objects.create(record=dataset.records.first(), dataset=dataset)
    job = scan(dataset)
    assert (job.state, job.error_message) == (State.FAILED, str(privacy.Locked()))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    report = HygieneReport.model_validate(actions.last_result(dataset, actions.SANITIZE))
    assert (report.total, report.pii, report.secrets) == (4, None, None)


def test_values_stand_nowhere_but_in_the_records(dataset: Dataset, caplog: Any) -> None:
    """Not in findings, jobs, their logs and results, nor in what the process logs."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        caplog.set_level(logging.DEBUG)
        actions.start(dataset, actions.SANITIZE, {}, by=None)
        drain()
        redact(dataset, "openai_key")
        drain()
    finally:
        logging.getLogger().removeHandler(handler)
    records = {"datasets_app_rawrecord", "datasets_app_changedrecord", "datasets_app_recordtext"}
    told = [stream.getvalue(), caplog.text, *JobEvent.objects.values_list("message", flat=True)]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table in records or table.startswith("datasets_app_recordtext"):
                continue
            cursor.execute(f'SELECT * FROM "{table}"')
            told += [str(row) for row in cursor.fetchall()]
    assert [text for text in told if KEY in text] == []
    assert RawRecord.objects.filter(body__contains=KEY).count() == 0


def test_new_rules_look_through_every_record_again_and_say_how_many(dataset: Dataset, monkeypatch: Any) -> None:
    scan(dataset)
    assert privacy.left_to_scan(dataset) == 0
    monkeypatch.setattr(privacy, "VERSION", privacy.VERSION + 1)
    assert privacy.left_to_scan(dataset) == 4
    assert not privacy.is_complete(dataset, Vault.objects.get())
    job = scan(dataset)
    assert (job.done, job.total, held(dataset)) == (4, 4, FOUND)
    assert privacy.is_complete(dataset, Vault.objects.get())

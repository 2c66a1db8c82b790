"""Changes and their undo: row for row, on both databases, in any order."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from datasets_app import changes
from datasets_app.changes import CONTENT, RECORD, TOPIC
from datasets_app.models import Change, ChangedRecord, Dataset, DatasetRecord, RawRecord
from tests.factories import import_file, make_dataset, record, write_lines

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    made = make_dataset(workspace)
    import_file(made, write_lines(tmp_path / "t.jsonl", *(record(f"Question number {n}, please.") for n in range(12))))
    return made


def rows(dataset: Dataset) -> list[tuple[Any, ...]]:
    """Every column of every record, payloads included."""
    columns = [field.attname for field in DatasetRecord._meta.concrete_fields]
    return list(dataset.records.order_by("pk").values_list(*columns, "raw__body"))


def made(dataset: Dataset, scope: str, keys: list[int], by: Any = None) -> Change:
    """A change of ``keys`` that really changes something in its scope."""
    records = dataset.records.filter(pk__in=keys)
    with transaction.atomic():
        change = changes.begin(dataset, scope, f"A change of {scope}.", scope=scope, by=by)
        changes.keep(change, records)
        if scope == TOPIC:
            records.update(topic=f"topic {change.pk}", method="manual", confidence=1.0)
        elif scope == CONTENT:
            RawRecord.objects.filter(record__in=records).update(body=f'{{"edited": {change.pk}}}')
            records.update(preview=f"edited {change.pk}", digest=f"{change.pk}")
        else:
            changes.remove(changes.kept(change))
    return change


@pytest.mark.parametrize("scope", [TOPIC, CONTENT, RECORD])
def test_undo_puts_every_column_back_and_a_second_undo_does_nothing(dataset: Dataset, scope: str, owner: Any) -> None:
    before = rows(dataset)
    change = made(dataset, scope, [row[0] for row in before[2:7]], owner)
    assert rows(dataset) != before
    assert changes.undo(change, by=owner) == changes.Undone(5, 0)
    assert rows(dataset) == before
    assert changes.undo(change, by=owner) == changes.Undone(0, 0)
    assert rows(dataset) == before
    change.refresh_from_db()
    assert (change.count, change.left, change.undone_by) == (5, 0, owner)


@pytest.mark.parametrize("seed", range(8))
def test_changes_undone_backwards_lead_back_whatever_they_were(dataset: Dataset, seed: int) -> None:
    chance = random.Random(seed)
    states, stack = [rows(dataset)], []
    for _ in range(8):
        keys = list(dataset.records.values_list("pk", flat=True))
        scope = chance.choices([TOPIC, CONTENT, RECORD], [4, 4, 1])[0]
        stack.append(made(dataset, scope, chance.sample(keys, chance.randint(1, min(4, len(keys))))))
        states.append(rows(dataset))
    while stack:
        assert rows(dataset) == states.pop()
        assert changes.undo(stack.pop(), by=None).left == 0
    assert rows(dataset) == states.pop()


@pytest.mark.parametrize("seed", range(8))
def test_changes_undone_in_any_order_agree_with_a_model(dataset: Dataset, seed: int) -> None:
    """The model: per record and column group the values in order; an undo takes its own back where it is the newest."""
    chance = random.Random(100 + seed)
    keys = list(dataset.records.order_by("pk").values_list("pk", flat=True))
    topics: dict[int, Any] = dict.fromkeys(keys)
    previews = dict(dataset.records.values_list("pk", "preview"))
    standing: list[tuple[Change, str, dict[int, Any]]] = []
    for _ in range(25):
        if standing and chance.random() < 0.5:
            change, scope, images = standing.pop(chance.randrange(len(standing)))
            values = topics if scope == TOPIC else previews
            newer = {k for c, s, seen in standing if s == scope and c.pk > change.pk for k in seen}
            values.update({k: v for k, v in images.items() if k not in newer})
            assert changes.undo(change, by=None) == changes.Undone(
                len(images.keys() - newer), len(images.keys() & newer)
            )
        else:
            scope, chosen = chance.choice([TOPIC, CONTENT]), chance.sample(keys, chance.randint(1, 5))
            values = topics if scope == TOPIC else previews
            images = {key: values[key] for key in chosen}
            change = made(dataset, scope, chosen)
            values.update(dict.fromkeys(chosen, f"topic {change.pk}" if scope == TOPIC else f"edited {change.pk}"))
            standing.append((change, scope, images))
    assert dict(dataset.records.values_list("pk", "topic")) == topics
    assert dict(dataset.records.values_list("pk", "preview")) == previews


def test_what_a_check_said_meanwhile_stays_when_a_topic_is_undone(dataset: Dataset) -> None:
    key = dataset.records.earliest("pk").pk
    change = made(dataset, TOPIC, [key])
    dataset.records.filter(pk=key).update(verdict="invalid", code="last_not_user")
    changes.undo(change, by=None)
    assert dataset.records.values_list("topic", "code").get(pk=key) == (None, "last_not_user")


def test_a_line_imported_again_after_a_removal_is_not_doubled(dataset: Dataset, tmp_path: Path) -> None:
    change = made(dataset, RECORD, list(dataset.records.values_list("pk", flat=True)))
    import_file(dataset, write_lines(tmp_path / "again.jsonl", record("Question number 3, please.")))
    assert changes.undo(change, by=None) == changes.Undone(11, 1)
    assert dataset.records.count() == RawRecord.objects.count() == 12


def test_many_rows_are_put_back_slice_by_slice(dataset: Dataset, monkeypatch: Any) -> None:
    before = rows(dataset)
    change = made(dataset, RECORD, [row[0] for row in before])
    monkeypatch.setattr(changes, "SLICE", 5)
    assert changes.undo(change, by=None) == changes.Undone(12, 0)
    assert rows(dataset) == before


def test_a_row_is_kept_once_however_often_it_is_asked_for(dataset: Dataset) -> None:
    with transaction.atomic():
        change = changes.begin(dataset, "topic", "Twice.", scope=TOPIC, by=None)
        assert changes.keep(change, dataset.records.all()) == 12
        assert changes.keep(change, dataset.records.all()) == 0
        assert changes.keep(change, dataset.records.filter(pk__in=[])) == 0
    assert Change.objects.get().count == ChangedRecord.objects.count() == 12


def test_a_change_is_forgotten_after_thirty_days(dataset: Dataset) -> None:
    old = made(dataset, TOPIC, list(dataset.records.values_list("pk", flat=True)))
    assert changes.can_undo(old)
    old.created_at = timezone.now() - timedelta(days=31)
    old.save(update_fields=["created_at"])
    assert not changes.can_undo(old)
    new = made(dataset, TOPIC, [dataset.records.earliest("pk").pk])
    assert list(Change.objects.all()) == [new]
    assert ChangedRecord.objects.count() == 1

"""The counters say what a live count says, whatever was done to the records and however it was written."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F, Sum, Value
from django.db.models.functions import Coalesce

from datasets_app import counters
from datasets_app.facts import dataset_facts, topic_counts
from datasets_app.filters import UNSORTED, Where
from datasets_app.listing import Counted
from datasets_app.models import COUNTED, Dataset, DatasetRecord, RecordCount
from tests.factories import make_dataset, small_dataset

pytestmark = pytest.mark.django_db

CHOICES: dict[str, list[Any]] = {
    "verdict": ["valid", "invalid", "duplicate"],
    "code": ["", "empty_messages", "near_duplicate"],
    "topic": [None, "shipping", "billing", "unknown"],
    "is_generated": [False, True],
    "needs_review": [False, True],
    "source": ["trace", "manual"],
    "checked_by": ["", "0123456789abcdef"],
}


def live() -> dict[tuple[Any, ...], int]:
    """Counted anew from the records of all datasets."""
    topic = Coalesce(F("topic"), Value(""))
    rows = DatasetRecord.objects.order_by().annotate(topic_or_none=topic)
    names = ["topic_or_none" if name == "topic" else name for name in COUNTED]
    return {tuple(row[:-1]): row[-1] for row in rows.values_list(*names).annotate(n=Count("pk"))}


def kept() -> dict[tuple[Any, ...], int]:
    return {tuple(row[:-1]): row[-1] for row in RecordCount.objects.values_list(*COUNTED, "n")}


def a_record(dataset: Dataset, dice: random.Random, key: int) -> DatasetRecord:
    values = {name: dice.choice(choices) for name, choices in CHOICES.items()}
    return DatasetRecord(dataset=dataset, import_key=str(key), digest="", preview="", **values)


def some(dice: random.Random, dataset: Dataset) -> Any:
    """A part of the dataset's records, chosen by a column."""
    name = dice.choice(list(CHOICES))
    return dataset.records.filter(**{name: dice.choice([v for v in CHOICES[name] if v is not None])})


def one_change(dice: random.Random, datasets: list[Dataset], key: int) -> None:
    dataset = dice.choice(datasets)
    match dice.randrange(7):
        case 0 | 1:
            rows = [a_record(dataset, dice, key * 100 + n) for n in range(dice.randrange(1, 30))]
            DatasetRecord.objects.bulk_create(rows)
        case 2:  # a part of them is there already
            rows = [a_record(dataset, dice, dice.randrange(key) * 100 + n) for n in range(20)]
            DatasetRecord.objects.bulk_create(rows, ignore_conflicts=True)
        case 3:
            name = dice.choice(list(CHOICES))
            some(dice, dataset).update(**{name: dice.choice(CHOICES[name])})
        case 4:
            some(dice, dataset).filter(import_key__endswith=str(dice.randrange(10))).delete()
        case 5:
            record = dataset.records.first()
            if record is not None:
                record.topic, record.verdict = dice.choice(CHOICES["topic"]), dice.choice(CHOICES["verdict"])
                record.save(update_fields=["topic", "verdict"])
        case 6:  # nothing that is counted
            dataset.records.update(preview=str(key))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_are_those_of_the_records_after_any_changes(workspace, seed):
    dice = random.Random(seed)
    datasets = [make_dataset(workspace, f"Number {n}") for n in range(3)]
    most = 0
    for key in range(1, 60):
        one_change(dice, datasets, key)
        assert kept() == live()
        most = max(most, len(kept()))
    assert most > 50
    datasets[0].delete()
    assert kept() == live()
    DatasetRecord.objects.all().delete()
    assert kept() == {}


def test_pages_read_the_counters_and_say_the_same(workspace):
    dataset = small_dataset(workspace)
    dataset.records.filter(pk__in=list(dataset.records.values_list("pk", flat=True)[:7])).update(topic=None)
    dataset.records.filter(topic=None).update(verdict="invalid", code="empty_messages")
    by_topic = dataset.records.filter(verdict="valid").values_list("topic").annotate(n=Count("pk")).order_by()
    assert topic_counts(dataset) == dict(by_topic)
    counts = Counted(dataset)
    assert counts.facet(Where(), "verdict") == {"valid": 53, "invalid": 7}
    assert counts.facet(Where(), "code") == {"": 53, "empty_messages": 7}
    assert counts.facet(Where(), "topic")[UNSORTED] == 7
    doubtful = dataset.record_counts.values_list("needs_review").annotate(n=Sum("n")).order_by()
    assert dict(doubtful) == dict(dataset.records.values_list("needs_review").annotate(n=Count("pk")))
    facts = dataset_facts(dataset)
    assert (facts.total, facts.valid, facts.invalid, facts.generated) == (60, 53, 7, 0)


def test_facts_look_at_no_record(workspace, django_assert_num_queries):
    dataset = small_dataset(workspace)
    with django_assert_num_queries(4) as asked:  # the fourth asks for unreviewed findings
        dataset_facts(dataset)
        topic_counts(dataset)
        Counted(dataset).facet(Where(), "verdict")
    assert not any(DatasetRecord._meta.db_table in query["sql"] for query in asked.captured_queries)


def test_triggers_that_a_migration_lost_come_back_with_right_counts(workspace):
    dataset = make_dataset(workspace)
    dice = random.Random(4)
    DatasetRecord.objects.bulk_create([a_record(dataset, dice, n) for n in range(20)])
    on = "" if connection.vendor == "sqlite" else f" ON {DatasetRecord._meta.db_table}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER record_count_update_{counters.VERSION}{on}")
    dataset.records.update(verdict="valid", topic="shipping")
    assert kept() != live()
    counters.install()
    assert kept() == live()
    dataset.records.update(topic="billing")
    assert kept() == live()

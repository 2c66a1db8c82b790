"""Searching the records of a dataset, on both databases, while they are imported, changed, removed and put back."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import transaction

from datasets_app import bulk, searching
from datasets_app.bulk import Selection
from datasets_app.bulk_actions import write_payloads
from datasets_app.core.records import Trace
from datasets_app.filters import Where
from datasets_app.models import Change, Dataset, DatasetRecord, RecordText
from rft_project.jobs.models import Job
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
TEXTS = [
    "Where is my parcel now?",
    "The parcel arrived late, my café order",
    "Parcels everywhere",
    "Delivery to 配送先?",
]


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    made = make_dataset(workspace)
    import_file(made, write_lines(tmp_path / "t.jsonl", *map(record, TEXTS)))
    other = make_dataset(workspace, "Other")
    import_file(other, write_lines(tmp_path / "o.jsonl", record("A parcel of somebody else")))
    return made


def found(dataset: Dataset, text: str) -> list[str]:
    """Previews, oldest first; both ways of asking agree."""
    keys = searching.newest(dataset, text, 100)
    assert keys == sorted(searching.search(dataset, text).values_list("pk", flat=True), reverse=True)
    return list(dataset.records.filter(pk__in=keys).order_by("pk").values_list("preview", flat=True))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("parcel", [0, 1]),
        ("PARCEL late", [1]),
        ("parcel*", [0, 1, 2]),
        ('"my parcel"', [0]),
        ('"parcel my"', []),
        ("cafe", [1]),
        ("配送", [3]),
        ("送配", []),
        ("nothing", []),
        ("?!", []),
        ("", []),
    ],
)
def test_words_beginnings_and_phrases_are_found(dataset: Dataset, query: str, expected: list[int]) -> None:
    assert found(dataset, query) == [TEXTS[n] for n in expected]


@pytest.mark.parametrize(
    "query", ['"', "*", "a:b", "words:x", "(", ") OR (", "NEAR(a b)", "^a", "a & | !", "'", "\\", "%_", "a\x00b"]
)
def test_nothing_that_is_typed_is_a_syntax_error(dataset: Dataset, query: str) -> None:
    assert found(dataset, query) == []


def test_the_newest_come_first_within_bounds(dataset: Dataset) -> None:
    keys = list(dataset.records.order_by("-pk").values_list("pk", flat=True))
    assert searching.newest(dataset, "parcel*", 2) == keys[1:3]
    assert searching.newest(dataset, "parcel*", 2, before=keys[1]) == keys[2:4]
    assert searching.newest(dataset, "parcel*", 1, after=keys[3]) == [keys[2]]


def test_an_edit_is_found_under_its_new_words_only(dataset: Dataset) -> None:
    key = dataset.records.earliest("pk").pk
    trace = Trace({"input": {"messages": [{"role": "user", "content": "Something about invoices instead"}]}})
    with transaction.atomic():
        write_payloads(dataset, {key: trace})
    searching.keep_up(dataset.pk)
    drain()
    assert found(dataset, "invoices") == ["Something about invoices instead"]
    assert found(dataset, '"my parcel"') == []
    assert not RecordText.objects.filter(stale=True).exists()


def test_what_is_removed_is_not_found_and_comes_back(dataset: Dataset) -> None:
    bulk.begin(dataset, bulk.plan(dataset, "delete", Selection.all_matching(dataset, Where(q="late")), {}), by=None)
    assert found(dataset, "parcel") == [TEXTS[0]]
    bulk.undo(Change.objects.get(), by=None)
    drain()
    assert found(dataset, "parcel") == TEXTS[:2]


def test_it_lags_behind_an_import_and_says_so(dataset: Dataset, tmp_path: Path) -> None:
    assert searching.lag(dataset) == ""
    dataset.records.create(import_key="new", digest="", preview="", verdict="valid")
    assert searching.lag(dataset).startswith("The newest records cannot be searched yet")


def test_slices_that_meet_a_kill_do_nothing_twice(workspace: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(searching, "BATCH", 2)
    dataset = make_dataset(workspace, "Long")
    lines = [record(f"Parcel number {n}, please.") for n in range(7)]
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines))
    assert RecordText.objects.filter(dataset=dataset).count() == 7
    searching.keep_up(dataset.pk)
    drain(slice_seconds=0)
    assert len(found(dataset, "parcel")) == 7
    assert set(Job.objects.filter(kind="search").values_list("state", flat=True)) == {"SUCCEEDED"}


def test_the_newest_are_found_however_far_apart_they_stand(workspace: Any, monkeypatch: Any) -> None:
    """Keys over hundreds of the blocks in which PostgreSQL is asked, words that many, few and no newer records have."""
    monkeypatch.setattr(searching, "_WINDOW", 4)
    rng = Random(7)
    datasets = [make_dataset(workspace, name) for name in ("One", "Two")]
    keys = rng.sample(range(1, 400 << 13), 300) + list(range(9 << 13, (9 << 13) + 40))
    rows = [
        DatasetRecord(pk=key, dataset=rng.choice(datasets), import_key=str(key), digest="", preview="", verdict="valid")
        for key in keys
    ]
    DatasetRecord.objects.bulk_create(rows)
    said = {"common": 0.6, "scarce": 0.1, "old": 0.0}
    texts = {
        row.pk: " ".join(word for word, share in said.items() if rng.random() < (share or row.pk < 40 << 13))
        for row in rows
    }
    RecordText.objects.bulk_create(
        RecordText(record_id=row.pk, dataset_id=row.dataset_id, words=texts[row.pk]) for row in rows
    )
    for text, most in product(("common", "scarce", "old", "common scarce", "old comm*", "absent"), (1, 5, 1000)):
        having = sorted((r.pk for r in rows if r.dataset == datasets[0] and match_all(text, texts[r.pk])), reverse=True)
        assert searching.newest(datasets[0], text, most) == having[:most], (text, most)
        for bound in (1, (9 << 13) + 20, 200 << 13, *rng.sample(keys, 5)):
            older, newer = [k for k in having if k < bound], [k for k in having if k > bound]
            assert searching.newest(datasets[0], text, most, before=bound) == older[:most], (text, most, bound)
            assert searching.newest(datasets[0], text, most, after=bound) == newer[-most:], (text, most, bound)


def match_all(text: str, words: str) -> bool:
    return all(any(word.startswith(term.rstrip("*")) for word in words.split()) for term in text.split())

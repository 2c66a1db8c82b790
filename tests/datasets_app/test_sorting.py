"""Sorting as a job: what it writes, what it leaves, how it goes on after it was killed, what it says meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection

from datasets_app import actions, editing
from datasets_app.core.topics import UNKNOWN
from datasets_app.jobs import categorizing
from datasets_app.models import Dataset
from datasets_app.panels.details import sure_words
from datasets_app.writing import Sorted, write_topics
from rft_project.jobs.models import Job
from rft_project.jobs.runner import run
from tests.factories import small_dataset
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    return small_dataset(workspace)


def start(dataset: Dataset) -> Job:
    return actions.start(dataset, actions.CATEGORIZE, {}, by=None)


def sorted_as(dataset: Dataset) -> dict[int, tuple[Any, ...]]:
    rows = dataset.records.values_list("pk", "topic", "confidence", "method", "needs_review", "secondary_topics")
    return {pk: tuple(values) for pk, *values in rows}


def test_what_is_written_is_what_was_found_and_a_persons_word_is_left(dataset: Dataset) -> None:
    first, second, third = dataset.records.order_by("pk")[:3]
    editing.set_topic(second, UNKNOWN, by=None)
    rows = [Sorted(row.pk, "a", 0.25, "llm", True, '["b", "c"]') for row in (first, second)]
    write_topics([])
    untouched = sorted_as(dataset)[third.pk]
    write_topics(rows)
    found = sorted_as(dataset)
    assert found[first.pk] == ("a", 0.25, "llm", True, ["b", "c"])
    assert found[second.pk] == (UNKNOWN, 1.0, "manual", False, found[second.pk][4])
    assert found[third.pk] == untouched


def test_a_run_that_changes_nothing_says_so(dataset: Dataset) -> None:
    start(dataset)
    drain()
    settled = sorted_as(dataset)
    job = start(dataset)
    drain()
    job.refresh_from_db()
    assert sorted_as(dataset) == settled
    assert (job.result["moved"], job.result["examples"]) == (0, 0)


def test_slices_and_a_database_that_goes_away_come_to_the_same(dataset: Dataset, monkeypatch: Any) -> None:
    """Every batch ends its slice, and one is lost before its commit: the end is that of a run in one go."""
    start(dataset)
    drain()
    wanted = sorted_as(dataset)
    dataset.records.update(topic=None, confidence=None, method="", needs_review=False, secondary_topics=[])
    monkeypatch.setattr(categorizing, "BATCH", 7)
    job = start(dataset)
    turns: list[str] = []
    done: list[int] = []

    def unplugged(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith('UPDATE "datasets_app_dataset" SET "name"'):  # a batch takes its turn
            turns.append(sql)
            if len(turns) == 3:
                raise OperationalError("gone")
        return execute(sql, *rest)

    with connection.execute_wrapper(unplugged):
        while job.is_live:
            drain(1, jump=True, slice_seconds=0.0)
            job.refresh_from_db()
            done.append(job.done)
    assert job.state == "SUCCEEDED"
    assert done[:4] == [7, 14, 14, 21]
    assert done[-1] == job.total == 60
    assert sorted_as(dataset) == wanted
    assert job.result["records"] == 60


def test_progress_says_how_sure_it_is(dataset: Dataset) -> None:
    job = start(dataset)
    notes: list[tuple[str, int, str]] = []
    run(job.pk, listener=lambda progress: notes.append((progress.phase, progress.done, progress.note)))
    job.refresh_from_db()
    result = job.result
    doubtful = result["needs_review"] + result["unknown"]
    said = f"{result['high']} sure, {result['medium']} fairly sure, {doubtful} to be reviewed"
    assert ("Learning the topics", 0, "") in notes
    assert ("Sorting", 60, said) in notes
    assert sum(result[kind] for kind in ("high", "medium", "needs_review", "unknown")) == result["records"] == 60


def test_confidence_in_words(dataset: Dataset) -> None:
    record = dataset.records.first()
    assert record is not None
    for confidence, review, method, words in (
        (0.93, False, "embedding", "sure (0.93)"),
        (0.63, False, "embedding", "fairly sure (0.63)"),
        (0.31, True, "embedding", "not sure (0.31)"),
        (1.0, False, "manual", ""),
        (None, False, "", ""),
    ):
        record.confidence, record.needs_review, record.method = confidence, review, method
        assert sure_words(record) == words

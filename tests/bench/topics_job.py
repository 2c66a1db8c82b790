"""The job that sorts records, on the database of this process: reading, sorting, writing, the questions."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from datasets_app import actions
from datasets_app.core.topics import flat_tree
from datasets_app.counters import take_turn
from datasets_app.models import Dataset
from datasets_app.writing import NewRecord, insert_records
from rft_project.connections.models import Workspace
from tests.bench.suites.topics import KEYWORDS, banking, drawn
from tests.worker import drain

LOT = 5000
TAUGHT = 5  # records of every topic that a person has sorted


def sorting(count: int) -> Callable[[], dict[str, Any]]:
    """``count`` synthetic records, each three questions of the training file together, under the 77 intents."""
    _, _, texts, _ = banking()
    keywords = tomllib.loads(KEYWORDS.read_text(encoding="utf-8"))
    generator = np.random.default_rng(0)
    tree = flat_tree({name: ("", words) for name, words in sorted(keywords.items())})
    workspace = Workspace.objects.create(name="Bench")
    dataset = Dataset.objects.create(workspace=workspace, name="Topics", topic_hierarchy=tree.to_json())
    lines = [(text, name) for name, given in drawn(TAUGHT, 0).items() for text in given]
    lines += [(" ".join(texts[i] for i in generator.integers(0, len(texts), 3)), "") for _ in range(count)]
    for rows, bodies in _lots(dataset, lines):
        with transaction.atomic():
            take_turn(dataset.pk)
            insert_records(rows, bodies)
    job = actions.start(dataset, actions.CATEGORIZE, {}, by=None)

    def run() -> dict[str, Any]:
        drain()
        job.refresh_from_db()
        return {"state": job.state, "done": job.done, "questions": dataset.questions.count(), **job.result}

    return run


def _lots(dataset: Dataset, lines: list[tuple[str, str]]) -> Iterator[tuple[list[NewRecord], list[str]]]:
    for start in range(0, len(lines), LOT):
        part = lines[start : start + LOT]
        rows = [_row(dataset, start + at, text, topic) for at, (text, topic) in enumerate(part)]
        said = [[{"role": "system", "content": "Sort the request."}, {"role": "user", "content": t}] for t, _ in part]
        yield rows, [json.dumps({"data": {"input": {"messages": one}, "output": {"messages": []}}}) for one in said]


def _row(dataset: Dataset, number: int, text: str, topic: str) -> NewRecord:
    return NewRecord(
        dataset_id=dataset.pk,
        batch_id=None,
        line=number,
        format="canonical",
        import_key=f"k{number}",
        span_id="",
        session_id="",
        digest=f"d{number}",
        source="trace",
        is_generated=False,
        preview=text[:600],
        verdict="valid",
        code="",
        issues="[]",
        tokens=50,
        checked_by="",
        topic=topic or None,
        confidence=1.0 if topic else None,
        method="manual" if topic else "",
        needs_review=False,
        secondary_topics="[]",
        created_at=timezone.now(),
    )

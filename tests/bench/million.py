"""A dataset of a million records in a database of its own, filled by the database itself, and what is measured on it.

Runs inside one process per database (see ``child``). The records are made by SQL from a few thousand generated ones,
each with a number of its own in its text, so that a word can be in one record, in some, or in many.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, models, transaction
from django.utils import timezone

from datasets_app.actions import SANITIZE
from datasets_app.core.hygiene import TokenSummary, build_report
from datasets_app.models import ActionRun, Dataset, DatasetRecord, RawRecord, RecordText, SearchIndex
from rft_project.connections.models import Membership, Workspace
from rft_project.jobs.models import Job, State
from tests.bench import data

TOPICS, TEMPLATES, CHUNK = 60, 4000, 50_000
RECORDS, BODIES = DatasetRecord._meta.db_table, RawRecord._meta.db_table


def topic_name(number: int) -> str:
    return f"topic_{number:02d}"


def dataset_of(count: int) -> Dataset:
    """A new dataset with ``count`` records, and another of a tenth of it beside it: the pages must tell them apart."""
    workspace = Workspace.objects.create(name="Bench")
    person = get_user_model().objects.create_user("bench")
    Membership.objects.create(workspace=workspace, user=person, role="owner")
    tree = {topic_name(n): {"description": "", "subtopics": [], "keywords": []} for n in range(TOPICS)}
    found = []
    for name, size in (("Beside", count // 10), ("Large", count)):
        dataset = Dataset.objects.create(
            workspace=workspace, name=name, topic_hierarchy={"version": "1.0", "topics": tree}
        )
        _fill(dataset, size)
        _checked(dataset)
        _searchable(dataset)
        found.append(dataset)
    with connection.cursor() as cursor:  # what autovacuum does by itself after a while
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "PRAGMA optimize")
    return found[-1]


def _searchable(dataset: Dataset) -> None:
    """The words of the records, of what lists show of them; the job that makes them is measured elsewhere."""
    newest = dataset.records.order_by("-pk").values_list("pk", flat=True)[0]
    texts = RecordText._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {texts} (record_id, dataset_id, words, stale) SELECT id, dataset_id, lower(preview), FALSE "
            f"FROM {RECORDS} WHERE dataset_id = %s ORDER BY id",
            [dataset.pk],
        )
    SearchIndex.objects.create(dataset=dataset, upto=newest)


def _checked(dataset: Dataset) -> None:
    """The report of a sanitize run, as the one that gave the records their verdicts would have written it."""
    codes = dict(dataset.records.values_list("code").annotate(n=models.Count("pk")).order_by())
    total = sum(codes.values())
    codes.pop("", None)
    report = build_report(total, codes, codes, TokenSummary(p50=550, p95=780, max=799))
    job = Job.objects.create(
        kind="sanitize", lock_key=f"bench:{dataset.pk}", state=State.SUCCEEDED, result=report.model_dump(mode="json")
    )
    ActionRun.objects.create(dataset=dataset, action=SANITIZE, job=job)


def _templates() -> Iterator[tuple[str, str]]:
    """Last request and whole line of generated records; ``@@`` stands for the record's number."""
    for item in data.made(TEMPLATES * 2):
        if item.kind == "valid":
            record = data.msgspec.json.decode(item.line)
            messages = record["input"]["messages"][-3:]
            messages[-1]["content"] = f"About LM-@@: {messages[-1]['content']}"
            line = {"input": {"messages": messages}, "output": record["output"], "reference_answer": "billing"}
            yield messages[-1]["content"][:590], json.dumps(line)


def _fill(dataset: Dataset, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS bench_text (n integer PRIMARY KEY, preview text, body text)"
        )
        cursor.execute("SELECT COUNT(*) FROM bench_text")
        if not cursor.fetchone()[0]:
            rows = [(n, *texts) for n, texts in zip(range(TEMPLATES), _templates(), strict=False)]
            cursor.executemany("INSERT INTO bench_text VALUES (%s, %s, %s)", rows)
        columns = _columns(dataset)
        for start in range(0, count, CHUNK):
            stop = min(count, start + CHUNK)
            with transaction.atomic():
                cursor.execute("SELECT COALESCE(MAX(id), 0) FROM " + RECORDS)
                base = cursor.fetchone()[0] - start
                cursor.execute(
                    f"INSERT INTO {RECORDS} (id, {', '.join(columns)}) {_numbers(start, stop)} "
                    f"SELECT {base + 1} + i, {', '.join(columns.values())} "
                    f"FROM numbers JOIN bench_text t ON t.n = (i * 7919) % {TEMPLATES} ORDER BY i"
                )
                cursor.execute(
                    f"INSERT INTO {BODIES} (record_id, body) {_numbers(start, stop)} "
                    f"SELECT {base + 1} + i, replace(t.body, '@@', CAST(i AS text)) "
                    f"FROM numbers JOIN bench_text t ON t.n = (i * 7919) % {TEMPLATES} ORDER BY i"
                )
        if connection.vendor == "postgresql":
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{RECORDS}', 'id'), (SELECT MAX(id) FROM {RECORDS}))")


def _numbers(start: int, stop: int) -> str:
    return (
        f"WITH RECURSIVE numbers (i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {stop})"
        if connection.vendor == "sqlite"
        else f"WITH numbers (i) AS (SELECT * FROM generate_series({start}::bigint, {stop - 1}))"
    )


def _columns(dataset: Dataset) -> dict[str, str]:
    """SQL for each column of a record; what is not said here has the field's own default."""
    from datasets_app.facts import rules_digest

    valid = "i % 9 <> 0 AND i % 31 <> 0"
    said = {
        "dataset_id": str(dataset.pk),
        "import_key": "'bench-' || i",
        "digest": "'digest-' || i",
        "span_id": "'span-' || i",
        "format": "'canonical'",
        "line": "i + 1",
        "preview": "substr(replace(t.preview, '@@', CAST(i AS text)), 1, 600)",
        "source": "CASE WHEN i % 7 = 0 THEN 'generated' ELSE 'trace' END",
        "is_generated": "i % 7 = 0",
        "verdict": f"CASE WHEN {valid} THEN 'valid' WHEN i % 9 = 0 THEN 'invalid' ELSE 'duplicate' END",
        "code": f"CASE WHEN {valid} THEN '' WHEN i % 9 = 0 THEN "
        "CASE i % 4 WHEN 0 THEN 'last_not_user' WHEN 1 THEN 'empty_user_message' WHEN 2 THEN 'invalid_role' "
        "ELSE 'user_message_too_short' END ELSE 'near_duplicate' END",
        "issues": "'[]'" if connection.vendor == "sqlite" else "'[]'::jsonb",
        "tokens": "300 + i % 500",
        "checked_by": f"'{rules_digest(dataset)}'",
        # a tenth of all under the first topic, and a few under none
        "topic": f"CASE WHEN i % 50 = 0 THEN NULL WHEN i % 10 = 1 THEN 'topic_00' "
        f"ELSE 'topic_' || substr('0' || (1 + (i * 31) % {TOPICS - 1}), -2) END",
        "confidence": "0.3 + (i % 70) / 100.0",
        "method": "'keyword'",
        "needs_review": "i % 40 = 3",
        "created_at": f"'{timezone.now().isoformat(sep=' ')}'"
        + ("" if connection.vendor == "sqlite" else "::timestamptz"),
    }
    if connection.vendor == "postgresql":
        said["topic"] = (
            "CASE WHEN i % 50 = 0 THEN NULL WHEN i % 10 = 1 THEN 'topic_00' "
            f"ELSE 'topic_' || lpad(CAST(1 + (i * 31) % {TOPICS - 1} AS text), 2, '0') END"
        )
    return {
        field.column: said.get(field.column) or _default(field) for field in DatasetRecord._meta.concrete_fields[1:]
    }


def _default(field: models.Field) -> str:
    value = field.get_db_prep_save(field.get_default(), connection)
    value = getattr(value, "obj", value)  # psycopg wraps JSON
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value).upper()
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}'" + ("::jsonb" if isinstance(field, models.JSONField) and connection.vendor != "sqlite" else "")


class Clock:
    """CPU of this process and of its PostgreSQL backend, exact to the microsecond."""

    def __init__(self) -> None:
        self.backend = 0
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.backend = cursor.fetchone()[0]

    def server(self) -> float:
        """CPU seconds of the backend so far."""
        if not self.backend:
            return 0.0
        return int(Path(f"/proc/{self.backend}/schedstat").read_text().split()[0]) / 1e9

    def of(self, work: Callable[[], Any]) -> float:
        """Milliseconds of CPU of both processes."""
        server, own = self.server(), time.process_time()
        work()
        return (time.process_time() - own + self.server() - server) * 1e3


class Asked:
    """The queries of one piece of work, kept so that they can be asked again one by one."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.queries: list[tuple[str, Any]] = []
        with connection.execute_wrapper(self):
            work()

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.queries.append((sql, params))
        return execute(sql, params, many, context)

    def costs(self, clock: Clock, rounds: int = 5) -> list[float]:
        """Milliseconds of CPU of each query, all its rows fetched; median of some rounds."""
        with connection.cursor() as cursor:

            def ask(sql: str, params: Any) -> None:
                cursor.execute(sql, params)
                cursor.fetchall()

            return [median(clock.of(partial(ask, *query)) for _ in range(rounds)) for query in self.queries]

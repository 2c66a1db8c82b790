"""Many records into the database at the cost of the database: COPY on PostgreSQL, few prepared INSERTs on SQLite.

The ORM spends ten times as long on a row as either database does. Callers hold the dataset's turn (see
``counters.take_turn``) in a transaction of their own. What the drivers raise leaves here as Django's errors, which the
runner of jobs knows: a database that is full or busy is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from django.db import connection

from datasets_app.core.records import clean_text, encode_json
from datasets_app.core.sanitizing import Issue

from .models import DatasetRecord, JoinedPart, RawRecord

_RECORDS, _RAW = DatasetRecord._meta.db_table, RawRecord._meta.db_table
_PARTS = JoinedPart._meta.db_table


class NewRecord(NamedTuple):
    """A row of records without its id; the names are those of the columns. ``issues`` is JSON text."""

    dataset_id: int
    batch_id: int | None
    line: int
    format: str
    import_key: str
    span_id: str
    session_id: str
    digest: str
    source: str
    is_generated: bool
    preview: str
    verdict: str
    code: str
    issues: str
    tokens: int
    checked_by: str
    topic: str | None
    confidence: float | None
    method: str
    needs_review: bool
    secondary_topics: str
    created_at: datetime


class Verdict(NamedTuple):
    """What checking writes to a record. ``issues`` is JSON text."""

    id: int
    verdict: str
    code: str
    issues: str
    tokens: int
    digest: str


class Sorted(NamedTuple):
    """What sorting writes to a record. ``secondary_topics`` is JSON text."""

    id: int
    topic: str
    confidence: float
    method: str
    needs_review: bool
    secondary_topics: str


def issues_text(issues: Iterable[Issue]) -> str:
    """The column ``issues`` as JSON text."""
    found = [{"code": issue.code, "detail": clean_text(issue.detail)} for issue in issues]
    return encode_json(found) if found else "[]"


def present_keys(dataset_id: int, keys: Sequence[str]) -> set[str]:
    """Those of the import keys that the dataset has already, in a record or as a part of a conversation."""
    given = "ANY(%s)" if connection.vendor == "postgresql" else "(SELECT value FROM json_each(%s))"
    compare = "=" if connection.vendor == "postgresql" else "IN"
    with connection.cursor() as cursor:
        asked = f"WHERE dataset_id = %s AND import_key {compare} {given}"
        wanted = [dataset_id, list(keys) if connection.vendor == "postgresql" else encode_json(list(keys))]
        cursor.execute(
            f"SELECT import_key FROM {_RECORDS} {asked} UNION ALL SELECT import_key FROM {_PARTS} {asked}", wanted * 2
        )
        return {key for (key,) in cursor.fetchall()}


def insert_records(rows: Sequence[NewRecord], bodies: Sequence[str]) -> range | list[int]:
    """Inserts the rows with their payloads; returns their ids, which rise in the order given."""
    if not rows:
        return []
    columns = ", ".join(("id", *NewRecord._fields))
    with connection.wrap_database_errors, connection.cursor() as cursor:
        ids = _free_ids(cursor, len(rows))
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {_RECORDS} ({columns}) FROM STDIN") as copy:
                for pk, row in zip(ids, rows, strict=True):
                    copy.write_row((pk, *row))
            # binary: long texts are neither escaped nor searched for escapes
            with cursor.copy(f"COPY {_RAW} (record_id, body) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["bigint", "text"])
                for pair in zip(ids, bodies, strict=True):
                    copy.write_row(pair)
            return ids
        # The driver's own cursor: Django's would log and convert every row.
        driver = connection.connection
        at = connection.ops.adapt_datetimefield_value(rows[0].created_at)
        # SQLite keeps a copy of each page that a statement with triggers touches, so a statement inserts many rows.
        width = len(NewRecord._fields) + 1
        marks = f"({', '.join('?' * width)})"
        values = [(pk, *row[:-1], at) for pk, row in zip(ids, rows, strict=True)]
        together = (connection.features.max_query_params or width) // width
        for start in range(0, len(values), together):
            part = values[start : start + together]
            insert = f"INSERT INTO {_RECORDS} ({columns}) VALUES {', '.join([marks] * len(part))}"
            driver.execute(insert, tuple(chain.from_iterable(part)))
        driver.executemany(f"INSERT INTO {_RAW} (record_id, body) VALUES (?, ?)", zip(ids, bodies, strict=True))
        return ids


def _free_ids(cursor: Any, count: int) -> range | list[int]:
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [_RECORDS, count]
        )
        return sorted(pk for (pk,) in cursor.fetchall())
    cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [_RECORDS])
    first = cursor.fetchone()[0] + 1
    return range(first, first + count)


def write_verdicts(found: Sequence[Verdict], checked_by: str) -> None:
    """One UPDATE for all of them, or one prepared UPDATE per row where that is as cheap (SQLite)."""
    if not found:
        return
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            columns = [list(column) for column in zip(*found, strict=True)]
            cursor.execute(
                f"""UPDATE {_RECORDS} record SET verdict = given.verdict, code = given.code,
                issues = given.issues::jsonb, tokens = given.tokens, digest = given.digest, checked_by = %s
                FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::text[])
                AS given (id, verdict, code, issues, tokens, digest) WHERE record.id = given.id""",
                [checked_by, *columns],
            )
            return
        connection.connection.executemany(
            f"""UPDATE {_RECORDS} SET verdict = ?, code = ?, issues = ?, tokens = ?, digest = ?, checked_by = ?
            WHERE id = ?""",
            [(*row[1:], checked_by, row.id) for row in found],
        )


def write_topics(found: Sequence[Sorted]) -> None:
    """As ``write_verdicts``; what a person has sorted since it was read is left alone."""
    if not found:
        return
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            columns = [list(column) for column in zip(*found, strict=True)]
            cursor.execute(
                f"""UPDATE {_RECORDS} record SET topic = given.topic, confidence = given.confidence,
                method = given.method, needs_review = given.needs_review,
                secondary_topics = given.secondary_topics::jsonb
                FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[], %s::boolean[], %s::text[])
                AS given (id, topic, confidence, method, needs_review, secondary_topics)
                WHERE record.id = given.id AND record.method <> 'manual'""",
                columns,
            )
            return
        connection.connection.executemany(
            f"""UPDATE {_RECORDS} SET topic = ?, confidence = ?, method = ?, needs_review = ?, secondary_topics = ?
            WHERE id = ? AND method <> 'manual'""",
            [(*row[1:], row.id) for row in found],
        )

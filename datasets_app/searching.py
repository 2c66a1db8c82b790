"""Full-text search over a dataset's records: one function, FTS5 on SQLite and a GIN index on PostgreSQL.

The words of each record stand in ``RecordText``; the database itself keeps the index on them. Building it costs more
than reading the records, so imports leave it to the job ``search``, which starts when they end: rows up to
``SearchIndex.upto`` have been looked at, and those that changed since are marked ``stale`` in the transaction that
changes them.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, connections
from django.db.models import QuerySet

from datasets_app.core.searching import Term, searched_words, terms_of
from rft_project.jobs.models import Job, live_job
from rft_project.jobs.services import enqueue

from .models import Dataset, DatasetRecord, RecordText, SearchIndex

NEWEST = 500  # matches that further filters look through at a time: a common word costs no more than a rare one
BATCH = 1000
_TEXTS = RecordText._meta.db_table
_FOUND = "datasets_app_recordtext_fts"
# PostgreSQL's index of words has no order, so it is asked for the newest block of records first, then for older ones.
_WINDOW = 1000  # records that are looked through without it: among them are enough of a common word
_BLOCK = 13  # bits of a primary key within a block
_NEAREST = 20  # blocks asked for before all the rest: what was not found enough of in them is rare
_BLOCKS = f"(ARRAY[(dataset_id << 40) | (record_id >> {_BLOCK})])"
_INDEX = f"{_TEXTS}_words"
_LAST = 2**63 - 1


def search(dataset: Dataset, text: str) -> QuerySet[RecordText]:
    """The words of the records that have all terms of ``text``, in no order; none where ``text`` has no word."""
    terms, texts = terms_of(text), RecordText.objects.filter(dataset=dataset).order_by()
    if not terms:
        return texts.none()
    if connection.vendor == "sqlite":
        found = f"record_id IN (SELECT rowid FROM {_FOUND} WHERE {_FOUND} MATCH %s)"
        return texts.extra(where=[found], params=[_fts5(dataset, terms)])
    return texts.extra(where=["document @@ to_tsquery('simple', %s)"], params=[_tsquery(terms)])


def newest(dataset: Dataset, text: str, most: int, *, before: int = 0, after: int = 0) -> list[int]:
    """Primary keys of at most ``most`` records that have all terms of ``text``, the newest first.

    ``before`` or ``after`` bounds them, 0 for no bound; with ``after`` those next above it.
    """
    terms = terms_of(text)
    if not terms:
        return []
    ask = _newest_on_sqlite if connection.vendor == "sqlite" else _newest_on_postgres
    return sorted(ask(dataset, terms, most, before, after), reverse=True)


def _newest_on_sqlite(dataset: Dataset, terms: list[Term], most: int, before: int, after: int) -> list[int]:
    order, beyond, edge = ("ASC", ">", after) if after else ("DESC", "<", before or _LAST)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT rowid FROM {_FOUND} WHERE {_FOUND} MATCH %s AND rowid {beyond} %s ORDER BY rowid {order} LIMIT %s",
            [_fts5(dataset, terms), edge, most],
        )
        return [found for (found,) in cursor.fetchall()]


def _newest_on_postgres(dataset: Dataset, terms: list[Term], most: int, before: int, after: int) -> list[int]:
    """The next records in order, then the index of words by blocks: neither a common nor a rare word reads them all."""
    query, step = _tsquery(terms), 1 if after else -1
    order, beyond, edge = ("ASC", ">", after) if after else ("DESC", "<", before or _LAST)

    def indexed(where: str, *given: Any) -> list[int]:
        cursor.execute(
            f"WITH hits AS MATERIALIZED (SELECT record_id FROM {_TEXTS} "
            f"WHERE document @@ to_tsquery('simple', %s) AND {where}) "
            f"SELECT record_id FROM hits WHERE record_id {beyond} %s ORDER BY record_id {order} LIMIT %s",
            [query, *given, edge, most - len(found)],
        )
        return [key for (key,) in cursor.fetchall()]

    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*), {'MAX' if after else 'MIN'}(record_id), "
            f"ARRAY_AGG(record_id) FILTER (WHERE document @@ to_tsquery('simple', %s)) "
            f"FROM (SELECT record_id, document FROM {_TEXTS} WHERE dataset_id = %s AND record_id {beyond} %s "
            f"ORDER BY record_id {order} LIMIT %s) next",
            [query, dataset.pk, edge, _WINDOW],
        )
        seen, last, hits = cursor.fetchone()
        found = sorted(hits or (), reverse=not after)[:most]
        if len(found) == most or seen < _WINDOW:
            return found
        edge, block, asked, span = last, (last + step) >> _BLOCK, 0, 1
        while asked < _NEAREST and block >= 0:
            blocks = [dataset.pk << 40 | number for number in range(block, block + step * span, step) if number >= 0]
            found += indexed(f"{_BLOCKS} && %s::bigint[]", blocks)
            if len(found) == most:
                return found
            block, asked = block + step * span, asked + span
            enough = (most - len(found)) * asked // len(found) + 1 if found else _NEAREST
            span = min(4 * span, max(asked // 2, enough))
        edge = (block << _BLOCK) - 1 if after else (block + 1) << _BLOCK
        return found + indexed(f"dataset_id = %s AND record_id {beyond} %s", dataset.pk, edge)


def _fts5(dataset: Dataset, terms: list[Term]) -> str:
    wanted = " AND ".join(f'"{" ".join(term.words)}"{"*" if term.prefix else ""}' for term in terms)
    return f'dataset_id : "{dataset.pk}" AND words : ({wanted})'


def _tsquery(terms: list[Term]) -> str:
    return " & ".join(
        "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*" if term.prefix else "") + ")" for term in terms
    )


def keep_up(dataset_id: int) -> Job:
    """Queue the job that makes new and changed records searchable; one at a time per dataset."""
    return enqueue("search", {"dataset": dataset_id}, lock_key=lock_key(dataset_id))


def lock_key(dataset_id: int) -> str:
    return f"dataset:{dataset_id}:search"


def mark_stale(records: QuerySet[DatasetRecord]) -> None:
    """The payloads of these records changed, or they have no words yet: the job will read them again."""
    RecordText.objects.filter(record__in=records.values("pk")).update(stale=True)


def lag(dataset: Dataset) -> str:
    """A sentence on what cannot be found yet; "" where everything can."""
    job = live_job(lock_key(dataset.pk))
    if job is not None and job.percent is not None:
        return (
            f"Search covers {job.percent} % of the new records so far; what is missing here may be found in a moment."
        )
    index = SearchIndex.objects.filter(dataset=dataset).first()
    last = dataset.records.order_by("-pk").values_list("pk", flat=True).first() or 0
    if job is not None or last > (index.upto if index else 0):
        return "The newest records cannot be searched yet; they are being made ready."
    return ""


def index_slice(dataset_id: int) -> int:
    """Make the next records searchable; needs a transaction and the dataset's turn. Returns how many they were."""
    index, _ = SearchIndex.objects.get_or_create(dataset_id=dataset_id)
    records = DatasetRecord.objects.filter(dataset_id=dataset_id).select_related("raw")
    stale = list(RecordText.objects.filter(dataset_id=dataset_id, stale=True).values_list("pk", flat=True)[:BATCH])
    if stale:
        write_words(list(records.filter(pk__in=stale)))
        return len(stale)
    new = list(records.filter(pk__gt=index.upto).order_by("pk")[:BATCH])
    if new:
        write_words(new)
        SearchIndex.objects.filter(pk=index.pk).update(upto=new[-1].pk)
    return len(new)


def settle() -> None:
    """PostgreSQL keeps the newest words in a list that every search reads whole, until they are put in their places."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [_INDEX])


def write_words(records: list[DatasetRecord]) -> None:
    """Store what is searched of these records."""
    RecordText.objects.bulk_create(
        [RecordText(record=r, dataset_id=r.dataset_id, words=searched_words(r.trace)) for r in records],
        update_conflicts=True,
        unique_fields=["record"],
        update_fields=["words", "stale"],
    )


def install(using: str = "default", **kwargs: Any) -> None:
    """Make the database's index on the words where it is missing; a receiver of ``post_migrate``.

    SQLite loses triggers when Django alters the table, so they are looked for after every migration.
    """
    database = connections[using]
    if _TEXTS not in database.introspection.table_names():
        return
    with database.cursor() as cursor:
        for statement in _ON_SQLITE if database.vendor == "sqlite" else _ON_POSTGRES:
            cursor.execute(statement)


_OLD = "'delete', OLD.record_id, OLD.dataset_id, OLD.words"
_TAKE_OUT = f"INSERT INTO {_FOUND} ({_FOUND}, rowid, dataset_id, words) VALUES ({_OLD});"
_PUT_IN = f"INSERT INTO {_FOUND} (rowid, dataset_id, words) VALUES (NEW.record_id, NEW.dataset_id, NEW.words);"
_ON_SQLITE = [
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {_FOUND} USING fts5(dataset_id, words, content='{_TEXTS}', "
    "content_rowid='record_id', columnsize=0, tokenize='ascii')",
    f"CREATE TRIGGER IF NOT EXISTS {_FOUND}_insert AFTER INSERT ON {_TEXTS} BEGIN {_PUT_IN} END",
    f"CREATE TRIGGER IF NOT EXISTS {_FOUND}_delete AFTER DELETE ON {_TEXTS} BEGIN {_TAKE_OUT} END",
    f"CREATE TRIGGER IF NOT EXISTS {_FOUND}_update AFTER UPDATE OF words ON {_TEXTS} BEGIN {_TAKE_OUT} {_PUT_IN} END",
]
_ON_POSTGRES = [
    f"ALTER TABLE {_TEXTS} ADD COLUMN IF NOT EXISTS document tsvector "
    "GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED",
    f"CREATE INDEX IF NOT EXISTS {_INDEX} ON {_TEXTS} USING gin (document, {_BLOCKS})",
    f"DROP INDEX IF EXISTS {_FOUND}",
]

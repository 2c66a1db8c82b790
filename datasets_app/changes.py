"""Changes of records that can be undone: copies of the rows are kept in the transaction that changes them.

A change has a scope: ``TOPIC`` touches what a record is sorted under, ``CONTENT`` its payload and what is derived from
it, ``RECORD`` removes the record. An undo puts the columns of its scope back where no later change that still stands
has touched them; what was done to other columns meanwhile (a check, another topic) stays. A change may also make
records (``made``): the undo takes them out again, but for those that another change has touched and that still stands.
Everything is set-based SQL that SQLite and PostgreSQL both know, so a hundred thousand rows take seconds.

::

    with transaction.atomic():
        change = begin(dataset, "set_topic", "3 records moved to billing.", scope=TOPIC, by=user)
        keep(change, records)            # the rows as they are now
        records.update(topic="billing")
    undo(change, by=user)

Rows that are removed leave the tables of records altogether, so that no list, count or query has to leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import Exists, F, Max, OuterRef, QuerySet
from django.utils import timezone

from rft_project.jobs.services import HasPk

from .counters import take_turn
from .keys import among
from .models import Change, ChangedRecord, Dataset, DatasetRecord, MadeRecord, RawRecord, RecordText

TOPIC, CONTENT, RECORD = "topic", "content", "record"
KEPT = timedelta(days=30)
FORGOTTEN = 5000  # copies removed at a time when they are too old
SLICE = 10_000  # rows put back in one statement

_ROW = [str(field.column) for field in DatasetRecord._meta.concrete_fields if field.name not in ("id", "dataset")]
COLUMNS: dict[str, list[str]] = {
    TOPIC: ["topic", "confidence", "method", "needs_review", "secondary_topics"],
    CONTENT: ["digest", "preview", "verdict", "code", "issues", "tokens", "checked_by"],
    RECORD: _ROW,
}
_RECORDS, _BODIES = DatasetRecord._meta.db_table, RawRecord._meta.db_table
_TEXTS = RecordText._meta.db_table
_COPIES, _CHANGES = ChangedRecord._meta.db_table, Change._meta.db_table

# A later change that still stands and meets this one in its columns.
_TOUCHED_AGAIN = f"""
EXISTS (SELECT 1 FROM {_COPIES} later JOIN {_CHANGES} c ON c.id = later.change_id
        WHERE later.record_id = b.record_id AND later.id > b.id AND c.undone_at IS NULL
          AND (c.scope = %s OR c.scope = '{RECORD}'))"""


@dataclass(frozen=True)
class Undone:
    """How many records are as they were, and how many were left because they had changed again.

    Records that the change had made count among those left only.
    """

    restored: int
    left: int


def begin(
    dataset: Dataset, kind: str, sentence: str, *, scope: str, by: HasPk | None, params: dict[str, Any] | None = None
) -> Change:
    """A change with nothing kept yet, inside a transaction of the caller's, who has the dataset's turn from here on.

    ``sentence``: what is done, for people, at most 300 characters. Copies too old to be undone are forgotten meanwhile.
    """
    take_turn(dataset.pk)
    forget_old(dataset)
    return Change.objects.create(
        dataset=dataset,
        kind=kind,
        sentence=sentence[:300],
        scope=scope,
        by_id=by.pk if by else None,
        params=params or {},
    )


def keep(change: Change, records: QuerySet[DatasetRecord]) -> int:
    """Copy ``records`` as they are now; returns how many were not kept by this change before.

    Call it before the rows are changed, in the same transaction. Texts are not copied where only topics change.
    """
    try:
        chosen, params = records.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    columns = _listed(_ROW)
    copied = _listed(_ROW, "r")
    body = f"(SELECT body FROM {_BODIES} WHERE record_id = r.id)"
    if change.scope == TOPIC:  # the long texts are neither touched nor put back
        copied, body = copied.replace("r.preview", "''"), "NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_COPIES} (change_id, record_id, {columns}, body) "
            f"SELECT %s, r.id, {copied}, {body} FROM {_RECORDS} r WHERE r.id IN ({chosen}) ORDER BY r.id "
            "ON CONFLICT (change_id, record_id) DO NOTHING",
            [change.pk, *params],
        )
        kept = cursor.rowcount
    Change.objects.filter(pk=change.pk).update(count=F("count") + kept)
    change.count += kept
    return kept


def kept(change: Change, after: int = 0) -> QuerySet[DatasetRecord]:
    """The records kept by ``change`` with a primary key above ``after``, as they are now."""
    copies = ChangedRecord.objects.filter(change=change, record_id__gt=after)
    return DatasetRecord.objects.filter(pk__in=copies.values("record_id"))


def made(change: Change, keys: Iterable[int]) -> None:
    """Note the primary keys of records that ``change`` has made, in the same transaction."""
    noted = MadeRecord.objects.bulk_create([MadeRecord(change=change, record_id=key) for key in keys])
    Change.objects.filter(pk=change.pk).update(new=F("new") + len(noted))
    change.new += len(noted)


def remove(records: QuerySet[DatasetRecord]) -> None:
    """Take rows out of the tables of records, with everything that hangs on them. ``keep`` them first."""
    # looked for once: every table that is asked about them would have to look for them again
    these = among(list(records.order_by("pk").values_list("pk", flat=True)))
    for relation in DatasetRecord._meta.related_objects:
        hanging = relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": these})
        if relation.on_delete is models.SET_NULL:
            hanging.update(**{relation.field.name: None})
        else:
            hanging._raw_delete(hanging.db)
    DatasetRecord.objects.filter(pk__in=these)._raw_delete(records.db)


def can_undo(change: Change) -> bool:
    """It still stands, is not too old, and nothing is at work on it."""
    fresh = change.created_at > timezone.now() - KEPT
    return (
        change.undone_at is None
        and bool(change.count or change.new)
        and fresh
        and not (change.job and change.job.is_live)
    )


def undo(change: Change, *, by: HasPk | None) -> Undone:
    """Put the rows back in one transaction (``undo_slice`` is for many). Undoing twice does nothing the second time."""
    with transaction.atomic():
        take_turn(change.dataset_id)
        if not Change.objects.filter(pk=change.pk, undone_at=None).exists():
            return Undone(0, 0)
        restored = last = 0
        while True:
            found, last = undo_slice(change, last)
            if not last:
                break
            restored += found
        return finish_undo(change, restored, by=by)


def undo_slice(change: Change, last: int) -> tuple[int, int]:
    """Put back the rows of the next records after record ``last`` (0: the first); needs the dataset's turn.

    Records that were made come last, being the newest: what was put together is there until all its parts are.
    Returns how many records are as they were, and the last record looked at (0 when there was none left).
    """
    copies = ChangedRecord.objects.filter(change=change, record_id__gt=last).order_by("record_id")
    until = copies.values("record_id")[:SLICE].aggregate(last=Max("record_id"))["last"]
    if until is None:
        return 0, _take_out(change, last)
    where = f"b.change_id = %s AND b.record_id > %s AND b.record_id <= %s AND NOT {_TOUCHED_AGAIN}"
    given = [change.pk, last, until, change.scope]
    put_back = _put_back_rows if change.scope == RECORD else _put_back_columns
    return put_back(change, where, given), until


def _put_back_columns(change: Change, where: str, given: list[Any]) -> int:
    settings = ", ".join(f"{column} = b.{column}" for column in COLUMNS[change.scope])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_RECORDS} SET {settings} FROM {_COPIES} b WHERE {_RECORDS}.id = b.record_id AND {where}", given
        )
        restored = cursor.rowcount
        if change.scope == CONTENT:
            cursor.execute(
                f"UPDATE {_BODIES} SET body = b.body FROM {_COPIES} b "
                f"WHERE {_BODIES}.record_id = b.record_id AND {where}",
                given,
            )
            cursor.execute(
                f"UPDATE {_TEXTS} SET stale = TRUE FROM {_COPIES} b WHERE {_TEXTS}.record_id = b.record_id AND {where}",
                given,
            )
    return restored


def _put_back_rows(change: Change, where: str, given: list[Any]) -> int:
    """A record whose line was imported again meanwhile stays away: its import key is taken."""
    columns = _listed(_ROW)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_RECORDS} (id, dataset_id, {columns}) SELECT b.record_id, %s, {_listed(_ROW, 'b')} "
            f"FROM {_COPIES} b WHERE {where} ON CONFLICT DO NOTHING",
            [change.dataset_id, *given],
        )
        restored = cursor.rowcount
        cursor.execute(
            f"INSERT INTO {_BODIES} (record_id, body) SELECT b.record_id, b.body FROM {_COPIES} b "
            f"JOIN {_RECORDS} r ON r.id = b.record_id WHERE {where} AND b.body IS NOT NULL ON CONFLICT DO NOTHING",
            given,
        )
        cursor.execute(
            f"INSERT INTO {_TEXTS} (record_id, dataset_id, words, stale) SELECT r.id, r.dataset_id, '', TRUE "
            f"FROM {_COPIES} b JOIN {_RECORDS} r ON r.id = b.record_id WHERE {where} ON CONFLICT DO NOTHING",
            given,
        )
    return restored


def _take_out(change: Change, last: int) -> int:
    """Remove the next records that the change made and nobody has changed since; returns the last looked at, or 0."""
    noted = MadeRecord.objects.filter(change=change, record_id__gt=last).order_by("record_id")
    until = noted.values("record_id")[:SLICE].aggregate(last=Max("record_id"))["last"]
    if until is None:
        return 0
    changed = ChangedRecord.objects.filter(record_id=OuterRef("pk"), change__undone_at=None)
    records = DatasetRecord.objects.filter(pk__in=noted.filter(record_id__lte=until).order_by().values("record_id"))
    remove(records.filter(~Exists(changed)))
    return until


def finish_undo(change: Change, restored: int, *, by: HasPk | None) -> Undone:
    """Note that the change is undone; its copies stay until they are too old."""
    still = DatasetRecord.objects.filter(pk__in=change.made.values("record_id")).count() if change.new else 0
    left = change.count - restored + still
    Change.objects.filter(pk=change.pk, undone_at=None).update(
        undone_at=timezone.now(), undone_by_id=by.pk if by else None, left=left
    )
    change.refresh_from_db()
    return Undone(restored, left)


def forget_old(dataset: Dataset, *, now: Any = None) -> None:
    """Remove what can no longer be undone, a few thousand copies at a time so that nobody waits for it."""
    old = Change.objects.filter(dataset=dataset, created_at__lt=(now or timezone.now()) - KEPT)
    for change in old.order_by("pk")[:20]:
        for noted in (change.rows.all(), change.made.all()):
            few = noted.order_by("pk").values_list("pk", flat=True)[:FORGOTTEN]
            noted.model._base_manager.filter(pk__in=few)._raw_delete(connection.alias)
            if noted.exists():
                return
        Change.objects.filter(pk=change.pk)._raw_delete(connection.alias)


def _listed(columns: list[str], table: str = "") -> str:
    return ", ".join(f"{table}.{column}" if table else column for column in columns)

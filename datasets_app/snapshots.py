"""Freezing a dataset by hand, and what differs between two snapshots of it. Both are set-based."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from rft_project.connections.models import AuditEntry
from rft_project.jobs.services import HasPk, enqueue

from .counters import take_turn
from .models import Dataset, DatasetRecord, RawRecord, Snapshot, SnapshotItem
from .services import Refused

AT_ONCE = 2000  # records frozen while somebody waits for the page; more is a job
SLICE = 5000
_RECORDS, _BODIES, _ITEMS = (model._meta.db_table for model in (DatasetRecord, RawRecord, SnapshotItem))


def freeze(dataset: Dataset, *, by: HasPk | None) -> Snapshot:
    """Freeze all records as they are, at once or by the job ``snapshot``. Raises Refused where there are none."""
    newest = dataset.records.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None:
        raise Refused("There are no records to freeze yet.")
    with transaction.atomic():
        take_turn(dataset.pk)
        open_one = dataset.snapshots.filter(content_hash="", params__made="by hand").first()
        if open_one is not None:  # pressed twice
            return open_one
        params = {"made": "by hand", "upto": newest}
        snapshot = Snapshot.objects.create(dataset=dataset, params=params, created_by_id=by.pk if by else None)
        AuditEntry.write("snapshot", dataset, workspace=dataset.workspace, actor=by)  # type: ignore[arg-type]
        if dataset.records.order_by()[: AT_ONCE + 1].count() <= AT_ONCE:
            _, mark, count = freeze_slice(snapshot, 0, "")
            finish(snapshot, mark, count)
        else:
            params = {"dataset": dataset.pk, "snapshot": snapshot.pk}
            enqueue("snapshot", params, lock_key=f"dataset:{dataset.pk}:snapshot", by=by)
    return snapshot


def freeze_slice(snapshot: Snapshot, last: int, mark: str) -> tuple[int, str, int]:
    """Copy the next records above ``last``; needs the dataset's turn.

    Returns the last one copied (0 when there was none left), the hash so far and how many were copied.
    """
    records = snapshot.dataset.records.filter(pk__gt=last, pk__lte=snapshot.params["upto"]).order_by("pk")
    keys = list(records.values_list("pk", flat=True)[:SLICE])
    if not keys:
        return 0, mark, 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_ITEMS} (snapshot_id, record_id, part, verdict, topic, body) "
            f"SELECT %s, r.id, '', r.verdict, COALESCE(r.topic, ''), b.body FROM {_RECORDS} r "
            f"JOIN {_BODIES} b ON b.record_id = r.id "
            "WHERE r.dataset_id = %s AND r.id > %s AND r.id <= %s ORDER BY r.id",
            [snapshot.pk, snapshot.dataset_id, last, keys[-1]],
        )
    items = snapshot.items.filter(record_id__gt=last, record_id__lte=keys[-1]).order_by("record_id")
    for record, verdict, topic, body in items.values_list("record_id", "verdict", "topic", "body").iterator():
        mark = sha256(f"{mark}{record}\x1f{verdict}\x1f{topic}\x1f{body}".encode()).hexdigest()
    return keys[-1], mark, len(keys)


def finish(snapshot: Snapshot, mark: str, count: int) -> None:
    """The snapshot is complete; its hash covers every record in order, whatever the slices were."""
    Snapshot.objects.filter(pk=snapshot.pk).update(content_hash=mark, report={"records": count})
    snapshot.refresh_from_db()


@dataclass(frozen=True)
class Difference:
    """What ``after`` has that ``before`` has not, and the other way round; ``topics``: name, before, after."""

    added: QuerySet[SnapshotItem]
    removed: QuerySet[SnapshotItem]
    changed: QuerySet[SnapshotItem]  # of ``after``, each with was_body, was_topic and was_verdict
    topics: list[tuple[str, int, int]]


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """Records are the same by their primary key; changed is another payload, topic or verdict."""
    there = SnapshotItem.objects.filter(snapshot=before, record_id=OuterRef("record_id"))
    here = SnapshotItem.objects.filter(snapshot=after, record_id=OuterRef("record_id"))
    both = after.items.annotate(
        was_body=there.values("body")[:1], was_topic=there.values("topic")[:1], was_verdict=there.values("verdict")[:1]
    ).filter(was_body__isnull=False)
    differs = ~Q(body=F("was_body")) | ~Q(topic=F("was_topic")) | ~Q(verdict=F("was_verdict"))
    return Difference(
        added=after.items.filter(~Exists(there)).order_by("record_id"),
        removed=before.items.filter(~Exists(here)).order_by("record_id"),
        changed=both.filter(differs).order_by("record_id"),
        topics=_topics(before, after),
    )


def _topics(before: Snapshot, after: Snapshot) -> list[tuple[str, int, int]]:
    counts: dict[str, dict[Any, int]] = {}
    items = SnapshotItem.objects.filter(snapshot__in=[before, after]).order_by()
    for topic, snapshot, n in items.values_list("topic", "snapshot").annotate(n=Count("pk")):
        counts.setdefault(topic or "no topic", {})[snapshot] = n
    found = [(topic, n.get(before.pk, 0), n.get(after.pk, 0)) for topic, n in counts.items()]
    return sorted(found, key=lambda line: (-line[2], line[0]))

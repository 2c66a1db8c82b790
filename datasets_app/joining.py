"""Sessions that are logged as several records, each of which becomes one conversation.

The record of a conversation is a new one; its parts leave the dataset as deleted records do, and the undo swaps them
back. Their lines are known still: a log that is imported again, longer by a day, brings only what is new. What the
record says beside its conversation is that of its last part, and its metadata name all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from datasets_app.core import joining
from datasets_app.core.judging import judged
from datasets_app.core.records import Trace, encode_json
from datasets_app.core.sanitizing import status_of
from rft_project.platforms.types import JsonDict

from .changes import RECORD, keep, made, remove
from .models import Change, Dataset, DatasetRecord, ImportBatch, JoinedPart
from .writing import NewRecord, insert_records, issues_text

MOST = 1000  # records of one conversation; what holds more is no session but a name that many sessions share


@dataclass(frozen=True)
class Joined:
    """A conversation and the records it is put together of, in their order; they are several."""

    parts: list[DatasetRecord]
    trace: Trace


def _several(records: QuerySet[DatasetRecord], *by: str) -> QuerySet[Any]:
    """The sessions that several of the records are of, with ``n``, how many."""
    counted = records.order_by().exclude(session_id="").values(*by, "session_id").annotate(n=Count("pk"))
    return counted.filter(n__gt=1, n__lte=MOST)


def sessions(records: QuerySet[DatasetRecord]) -> list[tuple[int, ...]]:
    """Primary keys of records that are of one session, of each session that several of ``records`` are of.

    In order, and the sessions by their first record. Only narrow rows are read: which of the records are one
    conversation their payloads tell (``conversations``).
    """
    wanted = records.filter(session_id__in=_several(records).values("session_id")).order_by("pk")
    found: dict[str, list[int]] = {}
    for pk, session in wanted.values_list("pk", "session_id").iterator():
        found.setdefault(session, []).append(pk)
    return [tuple(keys) for keys in found.values()]


def conversations(records: Sequence[DatasetRecord]) -> list[Joined]:
    """The conversations that several of the records are parts of; records with all of a session, oldest first."""
    found = joining.join_sessions([record.trace for record in records])
    return [_with_lineage([records[at] for at in parts], trace) for parts, trace in found if len(parts) > 1]


def _with_lineage(parts: list[DatasetRecord], trace: Trace) -> Joined:
    """The parts named in the metadata; of a part that was joined before, its own parts."""
    named = [origin for part in parts for origin in _noted(part.trace) or [_origin_of(part)]]
    return Joined(parts, replace(trace, metadata={**trace.metadata, "joined": len(named), "joined_from": named}))


def _origin_of(part: DatasetRecord) -> JsonDict:
    span = {"span_id": part.span_id} if part.span_id else {}
    place = {"file": part.batch.filename, "line": part.line} if part.batch else {}
    return {"record": part.pk, **span, **place}


def _noted(trace: Trace) -> list[JsonDict]:
    noted = trace.metadata.get("joined_from")
    return [part for part in noted if isinstance(part, dict)] if isinstance(noted, list) else []


def origins(trace: Trace) -> list[str]:
    """Where the parts of a conversation came from, for people; [] for a record that was not joined here."""
    return [", ".join(_origin(part)) for part in _noted(trace)]


def _origin(part: JsonDict) -> Iterator[str]:
    yield f"record {part.get('record')}"
    if part.get("file"):
        yield f"{part['file']} line {part.get('line')}"
    if part.get("span_id"):
        yield f"span {part['span_id']}"


def join(change: Change, dataset: Dataset, records: QuerySet[DatasetRecord]) -> None:
    """Put a conversation in the place of its parts, for all in ``records``; needs the dataset's turn."""
    found = conversations(list(records.select_related("raw", "batch").order_by("pk")))
    if not found:
        return
    parts = dataset.records.order_by().filter(pk__in=[part.pk for one in found for part in one.parts])
    known: dict[int, list[str]] = {}
    for record, key in JoinedPart.objects.filter(record__in=parts).values_list("record", "import_key"):
        known.setdefault(record, []).append(key)
    keep(change, parts)
    remove(parts)
    now = timezone.now()
    rows, bodies = zip(*(_row(change, dataset, one, now) for one in found), strict=True)
    keys = insert_records(rows, bodies)
    made(change, keys)
    JoinedPart.objects.bulk_create(
        [
            JoinedPart(record_id=key, dataset=dataset, import_key=line)
            for key, one in zip(keys, found, strict=True)
            for part in one.parts
            for line in (part.import_key, *known.get(part.pk, ()))
        ],
        ignore_conflicts=True,
    )


def _row(change: Change, dataset: Dataset, joined: Joined, now: datetime) -> tuple[NewRecord, str]:
    """The record of a conversation with its payload; what the last part was sorted under it is sorted under too."""
    last = joined.parts[-1]
    found = judged(joined.trace, dataset.sanitizing, last.format)
    row = NewRecord(
        dataset_id=dataset.pk,
        batch_id=last.batch_id,
        line=last.line,
        format=last.format,
        import_key=f"joined:{change.pk}:{joined.parts[0].pk}",
        span_id=found.span_id,
        session_id=found.session_id,
        digest=found.digest,
        source=last.source,
        is_generated=last.is_generated,
        preview=found.preview,
        verdict=status_of(found.issues),
        code=found.issues[0].code if found.issues else "",
        issues=issues_text(found.issues),
        tokens=found.tokens,
        checked_by="",
        topic=last.topic,
        confidence=last.confidence,
        method=last.method,
        needs_review=last.needs_review,
        secondary_topics=encode_json(last.secondary_topics),
        created_at=now,
    )
    return row, found.body


# --- what may be joined ----------------------------------------------------------------------------------------------


def count_spread(batches: QuerySet[ImportBatch]) -> None:
    """Count anew the sessions of these files that are several records: every record of theirs is looked at."""
    counts = dict.fromkeys(batches.values_list("pk", flat=True), 0)
    of_batches = DatasetRecord.objects.filter(batch__in=list(counts))
    for row in _several(of_batches, "batch").values_list("batch", flat=True).iterator():
        counts[row] += 1
    for pk, count in counts.items():
        ImportBatch.objects.filter(pk=pk).exclude(spread=count).update(spread=count)


def follow(change: Change) -> None:
    """After a change that removed or brought back records: are there sessions still, or again, that are several?"""
    batches = change.dataset.batches.all()
    if change.scope == RECORD and (change.new or batches.filter(spread__gt=0).exists()):
        count_spread(batches)


def spread_of(dataset: Dataset) -> int:
    """Sessions that are several records."""
    return dataset.batches.aggregate(n=Sum("spread"))["n"] or 0

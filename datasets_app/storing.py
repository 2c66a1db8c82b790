"""Entries of a file become rows: the narrow one with its verdict, and the payload beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from django.utils import timezone

from datasets_app.core.judging import Judged, judged
from datasets_app.core.quick import Ready
from datasets_app.core.reading import Parsed
from datasets_app.core.sanitizing import status_of

from .models import TRACE, ImportBatch
from .writing import NewRecord, insert_records, issues_text, present_keys

Source = TypeVar("Source", Parsed, Parsed | Ready)


def add_records(batch: ImportBatch, parsed: Sequence[tuple[Source, str]]) -> list[Source]:
    """Store entries with their import keys; those whose key is there already are left out. Returns what is new.

    Inside a transaction that has the dataset's turn. Duplicates are found by the sanitize run, which sees all records.
    """
    present = present_keys(batch.dataset_id, [key for _, key in parsed])
    new = [(entry, key) for entry, key in parsed if key not in present]
    config, now = batch.dataset.sanitizing, timezone.now()
    found = [
        entry.judged if isinstance(entry, Ready) else judged(entry.trace, config, entry.format) for entry, _ in new
    ]
    rows = [_row(batch, entry.line, key, one, now) for (entry, key), one in zip(new, found, strict=True)]
    insert_records(rows, [one.body for one in found])
    return [entry for entry, _ in new]


def _row(batch: ImportBatch, line: int, import_key: str, found: Judged, now: datetime) -> NewRecord:
    return NewRecord(
        dataset_id=batch.dataset_id,
        batch_id=batch.pk,
        line=line,
        format=found.format,
        import_key=import_key,
        span_id=found.span_id,
        session_id=found.session_id,
        digest=found.digest,
        source=TRACE,
        is_generated=False,
        preview=found.preview,
        verdict=status_of(found.issues),
        code=found.issues[0].code if found.issues else "",
        issues=issues_text(found.issues),
        tokens=found.tokens,
        checked_by="",
        topic=None,
        confidence=None,
        method="",
        needs_review=False,
        secondary_topics="[]",
        created_at=now,
    )

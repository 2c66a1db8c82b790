"""Entries of a file become rows: the narrow one with its verdict, and the payload beside it."""

from __future__ import annotations

from datasets_app.core.reading import Parsed
from datasets_app.core.records import dumps

from .checking import derived_fields
from .models import DatasetRecord, ImportBatch, RawRecord


def record_of(batch: ImportBatch, entry: Parsed, import_key: str) -> DatasetRecord:
    """The narrow row of an entry, with its verdict. Duplicates are found by the sanitize run, which sees them all."""
    return DatasetRecord(
        dataset_id=batch.dataset_id,
        batch=batch,
        line=entry.line,
        format=entry.format,
        import_key=import_key,
        span_id=entry.trace.span_id,
        session_id=entry.trace.session_id,
        **{**derived_fields(entry.trace, batch.dataset), "checked_by": ""},
    )


def add_records(batch: ImportBatch, parsed: list[tuple[Parsed, str]]) -> list[Parsed]:
    """Store entries with their import keys; those whose key is there already are left out. Returns what is new.

    Inside a transaction that has the dataset's turn.
    """
    keys = [key for _, key in parsed]
    stored = DatasetRecord.objects.filter(dataset=batch.dataset_id, import_key__in=keys)
    present = set(stored.values_list("import_key", flat=True))
    new = [(entry, key) for entry, key in parsed if key not in present]
    rows = DatasetRecord.objects.bulk_create([record_of(batch, entry, key) for entry, key in new])
    RawRecord.objects.bulk_create(
        [RawRecord(record=row, body=dumps(entry.trace)) for row, (entry, _) in zip(rows, new, strict=True)]
    )
    return [entry for entry, _ in new]

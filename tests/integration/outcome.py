"""What an import and a sanitize run leave behind, in a form that two datasets can be compared by."""

from __future__ import annotations

import re
from typing import Any

from datasets_app.models import Dataset, ImportBatch

COUNTS = ("imported", "already_present", "unreadable", "split_turns", "formats", "position")


def rows_of(dataset: Dataset) -> list[tuple[Any, ...]]:
    """Every record in the order it was stored, with all that was decided about it; others are named by their line."""
    records = list(dataset.records.order_by("pk").select_related("raw"))
    line_of = {str(record.pk): record.line for record in records}
    return [
        (
            record.line,
            record.import_key,
            record.digest,
            record.span_id,
            record.preview,
            record.verdict,
            record.code,
            [(issue["code"], _by_line(issue["detail"], line_of)) for issue in record.issues],
            record.tokens,
            record.checked_by,
            record.raw.body,
        )
        for record in records
    ]


def _by_line(detail: str, line_of: dict[str, int]) -> str:
    return re.sub(r"record (\d+)", lambda found: f"line {line_of[found[1]]}", detail)


def counts_of(batch: ImportBatch) -> dict[str, Any]:
    batch.refresh_from_db()
    return {name: getattr(batch, name) for name in COUNTS}


def rejected_of(batch: ImportBatch) -> list[tuple[int, str, str]]:
    return list(batch.rejected.order_by("pk").values_list("line", "reason", "text"))

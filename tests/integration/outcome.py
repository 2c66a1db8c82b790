"""What an import and a sanitize run leave behind, in a form that two datasets can be compared by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from datasets_app.models import Dataset, DatasetRecord, ImportBatch

COUNTS = ("imported", "already_present", "unreadable", "split_turns", "formats", "position")
OWN = ("id", "dataset", "batch", "created_at", "issues")  # differ from dataset to dataset, or are told otherwise
COLUMNS = [field.name for field in DatasetRecord._meta.concrete_fields if field.name not in OWN]


def rows_of(dataset: Dataset) -> list[tuple[Any, ...]]:
    """Every record in the order it was stored, with all that was decided about it; others are named by their line."""
    return list(each_row(dataset))


def each_row(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    """``rows_of`` one by one: all columns but those that name the dataset or the time, the payload last."""
    line_of = dict(dataset.records.order_by("pk").values_list("pk", "line"))
    records = dataset.records.order_by("pk").values_list(*COLUMNS, "issues", "raw__body")
    for *columns, issues, body in records.iterator(chunk_size=1000):
        yield *columns, [(issue["code"], _by_line(issue["detail"], line_of)) for issue in issues], body


def _by_line(detail: str, line_of: dict[int, int]) -> str:
    return re.sub(r"record (\d+)", lambda found: f"line {line_of[int(found[1])]}", detail)


def counts_of(batch: ImportBatch) -> dict[str, Any]:
    batch.refresh_from_db()
    return {name: getattr(batch, name) for name in COUNTS}


def rejected_of(batch: ImportBatch) -> list[tuple[int, str, str]]:
    return list(batch.rejected.order_by("pk").values_list("line", "reason", "text"))

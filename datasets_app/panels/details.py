"""What the pages beside the dataset page show: the list, one record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, Sum

from datasets_app.core.generating import STRATEGIES
from datasets_app.core.records import Trace, encode_json, to_canonical
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topics import UNKNOWN
from datasets_app.generation import call_of
from datasets_app.joining import origins
from datasets_app.models import (
    DUPLICATE,
    INVALID,
    VALID,
    Change,
    ChangedRecord,
    Dataset,
    DatasetRecord,
    GenerationCall,
    MadeRecord,
    RecordCount,
    Snapshot,
)
from rft_project.web.text import score

METHODS = {
    "keyword": "its keywords",
    "embedding": "its meaning",
    "llm": "the helper model",
    "manual": "a person",
    "generated": "what it was made for",
}


@dataclass(frozen=True)
class DatasetRow:
    dataset: Dataset
    records: int
    valid: int
    topics: int


def dataset_rows(datasets: Iterable[Dataset]) -> list[DatasetRow]:
    found = list(datasets)
    counted = (
        RecordCount.objects.filter(dataset__in=found)
        .values_list("dataset")
        .annotate(total=Sum("n"), valid=Sum("n", filter=Q(verdict=VALID), default=0))
        .order_by()
    )
    counts = {pk: (total, valid) for pk, total, valid in counted}
    return [DatasetRow(d, *counts.get(d.pk, (0, 0)), len(d.topics.leaves())) for d in found]


@dataclass(frozen=True)
class ShownIssue:
    title: str
    detail: str
    advice: str


@dataclass(frozen=True)
class RecordPanel:
    trace: Trace
    reference: str
    sure: str  # how sure the topic is, in words and as a figure; '' where a person decided
    secondary: str
    method: str
    issues: list[ShownIssue]
    topics: list[str]
    raw: str
    changes: list[Change]
    snapshots: list[Snapshot]
    joined_from: list[str]
    call: GenerationCall | None  # that brought a generated record

    @property
    def strategy(self) -> str:
        return STRATEGIES[self.call.strategy][0] if self.call is not None else ""


def record_panel(record: DatasetRecord) -> RecordPanel:
    trace = record.trace
    reference = trace.reference_answer
    leaves = record.dataset.topics.leaves()
    return RecordPanel(
        trace=trace,
        reference=reference if isinstance(reference, str) else encode_json(reference),
        sure=sure_words(record),
        secondary=", ".join(record.secondary_topics) if record.method != "manual" else "",
        method=METHODS.get(record.method, record.method),
        issues=[ShownIssue(CODES[i["code"]][0], i["detail"], CODES[i["code"]][1]) for i in record.issues],
        topics=[*leaves, UNKNOWN] if leaves and record.verdict not in (INVALID, DUPLICATE) else [],
        raw=json.dumps(to_canonical(trace), indent=2, ensure_ascii=True)[:20_000],
        changes=list(record.dataset.changes.filter(pk__in=_changes_of(record)).select_related("by")[:10]),
        snapshots=list(record.dataset.snapshots.filter(items__record_id=record.pk).order_by("-pk")[:10]),
        joined_from=origins(trace),
        call=call_of(record),
    )


def _changes_of(record: DatasetRecord) -> list[int]:
    """Changes that touched the record, and the one that made it."""
    touched = ChangedRecord.objects.filter(record_id=record.pk).order_by().values_list("change", flat=True)
    return list(touched.union(MadeRecord.objects.filter(record_id=record.pk).values_list("change", flat=True)))


def sure_words(record: DatasetRecord) -> str:
    """ "fairly sure (0.63)": of a hundred records with that figure about 63 are right."""
    if record.confidence is None or record.method == "manual":
        return ""
    words = "sure" if record.confidence >= 0.8 else "fairly sure"
    return f"{'not sure' if record.needs_review else words} ({score(record.confidence)})"

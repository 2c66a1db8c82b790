"""What the pages beside the dataset page show: the list, the report, the topics, one record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, Sum
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.actions import CATEGORIZE, TOPICS, last_run
from datasets_app.core.records import Trace, encode_json, to_canonical
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import UNKNOWN, TopicTree
from datasets_app.facts import topic_counts
from datasets_app.joining import origins
from datasets_app.models import (
    DUPLICATE,
    INVALID,
    VALID,
    Change,
    ChangedRecord,
    Dataset,
    DatasetRecord,
    MadeRecord,
    RecordCount,
    Snapshot,
)
from rft_project.jobs.models import Job
from rft_project.web.text import score

METHODS = {"keyword": "its keywords", "embedding": "its meaning", "llm": "the helper model", "manual": "a person"}


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
class TopicLine:
    name: str
    description: str
    keywords: str
    count: int
    depth: int
    leaf: bool
    others: SafeString  # options: the leaves it can be merged into


@dataclass(frozen=True)
class TopicsPanel:
    dataset: Dataset
    lines: list[TopicLine]
    templates: list[tuple[str, str]]
    unknown: int
    uncategorized: int
    undo: str  # what the last edit did, '' when there is none


def topics_panel(dataset: Dataset) -> TopicsPanel:
    tree, counts = dataset.topics, topic_counts(dataset)
    leaves = tree.leaves()
    others = _others(leaves)
    lines = [_topic_line(tree, name, counts, others) for name in tree.walk()]
    stray = sum(n for name, n in counts.items() if name not in others and name != UNKNOWN)
    templates = [(template.key, template.title) for template in TEMPLATES.values()]
    return TopicsPanel(dataset, lines, templates, counts.get(UNKNOWN, 0), stray, _last_edit(dataset))


def _last_edit(dataset: Dataset) -> str:
    return dataset.topic_history[-1]["sentence"] if dataset.topic_history else ""


def _topic_line(tree: TopicTree, name: str, counts: dict[str | None, int], others: dict[str, SafeString]) -> TopicLine:
    topic = tree.topics[name]
    count = sum(counts.get(leaf, 0) for leaf in tree.leaves_below(name))
    depth = len(tree.path(name)) - 1
    leaf, keywords = not topic.subtopics, ", ".join(topic.keywords)
    return TopicLine(name, topic.description, keywords, count, depth, leaf, others.get(name, SafeString()))


def _others(leaves: list[str]) -> dict[str, SafeString]:
    """For each leaf the options of all others: each is drawn once, because n times n of them took most of the page."""
    options = [format_html("<option>{}</option>", leaf) for leaf in leaves]
    before, after = [SafeString()], [SafeString()]
    for option in options:
        before.append(before[-1] + option)
    for option in reversed(options):
        after.append(option + after[-1])
    return {leaf: before[place] + after[-place - 2] for place, leaf in enumerate(leaves)}


@dataclass(frozen=True)
class TopicWorkPanel:
    """Progress of finding topics or of sorting records into them."""

    dataset: Dataset
    action: str
    job: Job | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


def topic_work_panel(dataset: Dataset) -> TopicWorkPanel:
    runs = [run for run in (last_run(dataset, TOPICS), last_run(dataset, CATEGORIZE)) if run is not None]
    live = [run for run in runs if run.job.is_live]
    newest = max(live or runs, key=lambda run: run.pk, default=None)
    page = reverse("datasets:topics", args=[dataset.pk])
    if newest is None:
        return TopicWorkPanel(dataset, TOPICS, None, page)
    return TopicWorkPanel(dataset, newest.action, newest.job, page)


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

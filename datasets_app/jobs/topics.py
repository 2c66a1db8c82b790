"""Finding topics in the records, and sorting records into topics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from datasets_app.actions import CATEGORIZE, TOPICS, last_result, start
from datasets_app.core.categorizing import Categorizer
from datasets_app.core.records import encode_json
from datasets_app.core.topics import UNKNOWN
from datasets_app.core.topics_auto import auto_topics
from datasets_app.counters import take_turn
from datasets_app.embedding import topic_embeddings
from datasets_app.helper import helper_of
from datasets_app.models import VALID, Dataset, DatasetRecord
from datasets_app.topic_commands import replace_tree
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed
from rft_project.platforms.embeddings import Vectors
from rft_project.platforms.types import last_user_text

BATCH = 1000
POOL = 4000  # texts that show how the dataset words things
MOST = 20_000  # texts that clustering looks at; the rest is sorted into what it finds
WRITTEN = ["topic", "confidence", "method", "needs_review", "secondary_topics"]


def texts_of(records: list[DatasetRecord]) -> list[str]:
    return [last_user_text(record.trace.messages) for record in records]


def run_topics(ctx: JobContext) -> dict[str, Any]:
    """Cluster the valid records' last user messages, replace the tree, and queue the sorting of all records."""
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    records = list(dataset.records.filter(verdict=VALID).order_by("pk").select_related("raw")[:MOST])
    if not records:
        raise JobFailed("There is no valid record to find topics in; sanitize the dataset first.", "no_records")
    ctx.progress.begin("Reading", total=len(records))
    texts = texts_of(records)
    ctx.progress.begin("Looking for groups", total=0, note=f"{len(records):,} messages compared with each other")
    helper = helper_of(dataset, ctx.log)
    labeller = helper.label if helper is not None else None
    found = auto_topics(texts, _embeddings(), k=ctx.params.get("clusters"), labeller=labeller)
    if not found.tree.topics:
        raise JobFailed("The messages do not fall into groups that could be named; choose a template instead.", "none")
    ctx.check()
    with ctx.batch():
        dataset.refresh_from_db()  # what somebody edited meanwhile can be undone to
        replace_tree(dataset, found.tree, f"{len(found.tree.leaves())} topics found in the data replaced the tree.")
        start(dataset, CATEGORIZE, {}, by=ctx.job.requested_by)
    typical = {leaf: [records[at].pk for at in indices] for leaf, indices in found.typical().items()}
    return {
        "topics": found.tree.leaves(),
        "chosen_by": found.chosen_by,
        "records": len(records),
        "typical": typical,
    }


def run_categorize(ctx: JobContext) -> dict[str, Any]:
    """Sort every valid record that no person has sorted. The cursor is the last record written.

    Topics that change meanwhile make it start over: its lock keeps the edit from queueing another run.
    """
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    tree = dataset.topics
    if not tree.topics:
        raise JobFailed("There are no topics to sort into; choose topics first.", "no_topics")
    topics = _mark(dataset.topic_hierarchy)
    last = ctx.cursor.get("last", 0) if ctx.cursor.get("topics") == topics else 0
    sortable = dataset.records.exclude(method="manual")
    records = sortable.filter(verdict=VALID).order_by("pk").select_related("raw")
    ctx.progress.begin("Sorting", done=records.filter(pk__lte=last).count(), total=records.count())
    helper = helper_of(dataset, ctx.log)
    categorizer = Categorizer(
        tree,
        _embeddings(),
        examples=_taught(dataset),
        pool=_pool(dataset),
        helper=helper.sort if helper is not None else None,
    )
    while chunk := list(records.filter(pk__gt=last)[:BATCH]):
        for record, found in zip(chunk, categorizer.assign(texts_of(chunk)), strict=True):
            record.topic = found.topic or UNKNOWN
            record.confidence, record.method = found.confidence, found.method
            record.needs_review, record.secondary_topics = found.needs_review, list(found.secondary_topics)
        last = chunk[-1].pk
        with ctx.batch(done=len(chunk)) as batch:
            take_turn(dataset.pk)
            sortable.bulk_update(chunk, WRITTEN)  # not what a person has sorted since it was read
            batch.cursor = {"last": last, "topics": topics}
        ctx.check()
        if ctx.slice_over or _topics_now(dataset) != topics:
            raise Again
    if _topics_now(dataset) != topics:
        raise Again
    return _summary(dataset)


def _embeddings() -> Callable[[Sequence[str]], Vectors]:
    try:
        return topic_embeddings()
    except LookupError as error:
        raise JobFailed(str(error), "embeddings") from None


def _mark(hierarchy: dict[str, Any]) -> str:
    """Tells one tree from another."""
    return blake2b(encode_json(hierarchy, sort=True).encode(), digest_size=8).hexdigest()


def _topics_now(dataset: Dataset) -> str:
    return _mark(Dataset.objects.values_list("topic_hierarchy", flat=True).get(pk=dataset.pk))


def _taught(dataset: Dataset) -> dict[str, list[str]]:
    """What people decided by hand teaches the run, beside the records that the found topics were made from."""
    manual = dataset.records.filter(method="manual", verdict=VALID).exclude(topic=UNKNOWN).select_related("raw")
    taught = _typical(dataset)
    for record in manual.iterator(chunk_size=BATCH):
        taught[str(record.topic)].append(last_user_text(record.trace.messages))
    return taught


def _typical(dataset: Dataset) -> dict[str, list[str]]:
    """The most typical records of each found topic that is still in the tree."""
    taught: dict[str, list[str]] = defaultdict(list)
    leaves = set(dataset.topics.leaves())
    for leaf, keys in (last_result(dataset, TOPICS).get("typical") or {}).items():
        if leaf in leaves:
            taught[leaf] = texts_of(list(dataset.records.filter(pk__in=keys).select_related("raw")))
    return taught


def _pool(dataset: Dataset) -> list[str]:
    """Texts that show how the dataset's messages are worded, from all over it."""
    valid = dataset.records.filter(verdict=VALID)
    step = max(1, valid.count() // POOL)
    keys = list(valid.order_by("pk").values_list("pk", flat=True))[::step][:POOL]
    return texts_of(list(valid.filter(pk__in=keys).order_by("pk").select_related("raw")))


def _summary(dataset: Dataset) -> dict[str, Any]:
    rows = dataset.records.filter(verdict=VALID).values_list("topic", "confidence", "needs_review", "method")
    report = {"records": 0, "high": 0, "medium": 0, "needs_review": 0, "unknown": 0, "manual": 0}
    for topic, confidence, review, method in rows.iterator():
        report["records"] += 1
        report["manual"] += method == "manual"
        if topic == UNKNOWN:
            report["unknown"] += 1
        elif review:
            report["needs_review"] += 1
        else:
            report["high" if (confidence or 0) >= 0.8 else "medium"] += 1
    return report

"""Finding topics in the records."""

from __future__ import annotations

from typing import Any

from datasets_app.actions import CATEGORIZE, start
from datasets_app.core.topics_auto import auto_topics
from datasets_app.helper import helper_of
from datasets_app.jobs.categorizing import embeddings
from datasets_app.models import VALID, Dataset, DatasetRecord
from datasets_app.topic_commands import replace_tree
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from rft_project.platforms.types import last_user_text

MOST = 20_000  # texts that clustering looks at; the rest is sorted into what it finds


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
    found = auto_topics(texts, embeddings(dataset), k=ctx.params.get("clusters"), labeller=labeller)
    if not found.tree.topics:
        raise JobFailed("The messages do not fall into groups that could be named; choose a template instead.", "none")
    ctx.check()
    typical = {leaf: [records[at].pk for at in indices] for leaf, indices in found.typical().items()}
    sentence = f"{len(found.tree.leaves())} topics found in the data replaced the tree."
    with ctx.batch():
        dataset.refresh_from_db()  # what somebody edited meanwhile can be undone to
        replace_tree(dataset, found.tree, sentence, by=ctx.job.requested_by, examples=typical)
        start(dataset, CATEGORIZE, {}, by=ctx.job.requested_by)
    return {
        "topics": found.tree.leaves(),
        "chosen_by": found.chosen_by,
        "records": len(records),
        "in_no_group": found.left,
    }

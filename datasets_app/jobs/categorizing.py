"""Sorting records into topics, and the questions that are left over."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from django.db.models import Case, Count, Q, Value, When
from django.db.models.functions import Mod
from pydantic import BaseModel

from datasets_app import moments
from datasets_app.consent import about_embeddings, refuse_unasked
from datasets_app.core.categorizing import HIGH, POOL, Assignment, Categorizer, Method
from datasets_app.core.records import encode_json, loads
from datasets_app.core.review import COMPARED, alike, review_order
from datasets_app.core.topics import UNKNOWN
from datasets_app.counters import take_turn
from datasets_app.embedding import Embed, connection_of, embeddings_of
from datasets_app.helper import helper_of
from datasets_app.models import VALID, Dataset, Question
from datasets_app.writing import Sorted, write_topics
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed
from rft_project.platforms.types import last_user_text
from rft_project.web.text import number

BATCH = 1000
TAUGHT = 200  # examples of a topic that are learned from, spread over all that people gave
ASKED = 500  # questions kept in order: more than anybody answers before the records are sorted again
# What the run at work in this process has learned: that takes as long as sorting thousands of records.
_LEARNED: dict[tuple[int, datetime, str], tuple[Categorizer, int]] = {}
DOUBTFUL = Q(needs_review=True) | Q(topic=UNKNOWN)


class Tally(BaseModel):
    """The job's cursor: what is written up to the record ``last``, under the tree that ``topics`` tells.

    ``moved``: records that are under another topic than before; ``before``: records that needed review before the run.
    """

    last: int = 0
    topics: str = ""
    before: int = 0
    moved: int = 0
    high: int = 0
    medium: int = 0
    review: int = 0

    @property
    def said(self) -> str:
        """How sure the records so far are."""
        return f"{number(self.high)} sure, {number(self.medium)} fairly sure, {number(self.review)} to be reviewed"


class Row(NamedTuple):
    """What is read of a record."""

    pk: int
    body: str
    topic: str | None
    confidence: float | None
    method: str
    needs_review: bool
    secondary_topics: list[str]

    @property
    def text(self) -> str:
        return last_user_text(loads(self.body).messages)


_READ = ("pk", "raw__body", "topic", "confidence", "method", "needs_review", "secondary_topics")


def run_categorize(ctx: JobContext) -> dict[str, Any]:
    """Sort every valid record that no person has sorted, then put what is doubtful in the order it is asked in.

    Topics and settings that change meanwhile make it start over: its lock keeps the change from queueing another.
    """
    return sort_records(ctx, Q())


def run_resort(ctx: JobContext) -> dict[str, Any]:
    """The same for the records that an edit of the topics concerns: those without a topic and those in doubt."""
    return sort_records(ctx, DOUBTFUL | Q(topic=None))


def sort_records(ctx: JobContext, which: Q) -> dict[str, Any]:
    """Sort those of the valid records that no person has sorted and that are ``which``."""
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    if not dataset.topics.topics:
        raise JobFailed("There are no topics to sort into; choose topics first.", "no_topics")
    tally, topics = Tally.model_validate(ctx.cursor), _mark(dataset)
    records = dataset.records.filter(which, verdict=VALID).exclude(method=Method.MANUAL).order_by("pk")
    if tally.topics != topics:
        tally = Tally(topics=topics, before=dataset.records.filter(DOUBTFUL, verdict=VALID).count())
    done = tally.high + tally.medium + tally.review
    total = done + records.filter(pk__gt=tally.last).count()
    ctx.progress.begin("Learning the topics", done=done, total=total)
    categorizer, examples = _learned(ctx, dataset, topics)
    ctx.progress.begin("Sorting", done=done, total=total, note=tally.said if done else "")
    while chunk := [Row(*row) for row in records.filter(pk__gt=tally.last).values_list(*_READ)[:BATCH]]:
        tally = _sort(ctx, dataset, categorizer, chunk, tally)
        ctx.check()
        if ctx.slice_over or _mark_now(dataset) != topics:
            raise Again
    _ask(ctx, dataset, categorizer)
    if _mark_now(dataset) != topics:
        raise Again
    _LEARNED.clear()
    moments.note(dataset.pk, "Records sorted into topics")
    return {**_summary(dataset), "moved": tally.moved, "doubtful_before": tally.before, "examples": examples}


def _learned(ctx: JobContext, dataset: Dataset, topics: str) -> tuple[Categorizer, int]:
    """The categorizer, and how many records people have sorted; learned once per process, not in every slice.

    Whether the models may be asked is looked at in every slice. Raises JobFailed as ``embeddings``.
    """
    embed, helper = embeddings(dataset), helper_of(dataset, ctx.log)
    key = (ctx.job.pk, ctx.job.created_at, topics)
    if key not in _LEARNED:
        _LEARNED.clear()
        _LEARNED[key] = _fitted(dataset, embed)
    categorizer, examples = _LEARNED[key]
    categorizer.helper = helper.sort if helper is not None else None
    return categorizer, examples


def _fitted(dataset: Dataset, embed: Embed) -> tuple[Categorizer, int]:
    manual = _by_hand(dataset)
    categorizer = Categorizer(
        dataset.topics,
        embed,
        examples=_examples(dataset, manual),
        pool=_pool(dataset),
        threshold=dataset.sorting.threshold,
    )
    return categorizer, sum(map(len, manual.values()))


def _sort(ctx: JobContext, dataset: Dataset, categorizer: Categorizer, chunk: list[Row], tally: Tally) -> Tally:
    """One batch; only what is different from before is written."""
    rows = [
        Sorted(
            id=row.pk,
            topic=one.topic or UNKNOWN,
            confidence=round(one.confidence, 4),
            method=one.method.value,
            needs_review=one.needs_review,
            secondary_topics=encode_json(list(one.secondary_topics)),
        )
        for row, one in zip(chunk, categorizer.assign([row.text for row in chunk]), strict=True)
    ]
    tally = tally.model_copy(update={"last": chunk[-1].pk})
    for row, new in zip(chunk, rows, strict=True):
        doubtful = new.needs_review or new.topic == UNKNOWN
        tally.moved += row.topic is not None and row.topic != new.topic
        tally.review += doubtful
        tally.high += not doubtful and new.confidence >= HIGH
        tally.medium += not doubtful and new.confidence < HIGH
    with ctx.batch(done=len(chunk), note=tally.said) as batch:
        take_turn(dataset.pk)
        write_topics([new for row, new in zip(chunk, rows, strict=True) if new != _as_stored(row)])
        batch.cursor = tally.model_dump()
    return tally


def _as_stored(row: Row) -> Sorted:
    others = encode_json(row.secondary_topics)
    return Sorted(row.pk, row.topic or "", row.confidence or 0.0, row.method, row.needs_review, others)


def _ask(ctx: JobContext, dataset: Dataset, categorizer: Categorizer) -> None:
    """Put the doubtful records in the order in which an answer teaches most."""
    fits_none = Case(When(topic=UNKNOWN, then=Value(1)), default=Value(0))
    doubtful = dataset.records.filter(DOUBTFUL, verdict=VALID).exclude(method=Method.MANUAL)
    rows = [Row(*row) for row in doubtful.order_by(fits_none, "confidence", "pk").values_list(*_READ)[:COMPARED]]
    vectors = categorizer.vectors([row.text for row in rows])
    unsure = [
        Assignment(None if row.topic == UNKNOWN else row.topic, row.confidence or 0.0, Method.EMBEDDING, True)
        for row in rows
    ]
    order = review_order(unsure, vectors, ASKED)[:ASKED]
    likely = categorizer.likely(vectors[order])
    asked = enumerate(zip(order, alike(vectors, order), likely, strict=True), start=1)
    questions = [
        Question(
            record_id=rows[at].pk,
            dataset=dataset,
            rank=rank,
            alike=near,
            choices=[[name, round(share, 3)] for name, share in best],
        )
        for rank, (at, near, best) in asked
    ]
    with ctx.batch():
        take_turn(dataset.pk)
        dataset.questions.all().delete()
        there = set(dataset.records.filter(pk__in=[q.record_id for q in questions]).values_list("pk", flat=True))
        Question.objects.bulk_create([question for question in questions if question.record_id in there])


def embeddings(dataset: Dataset) -> Embed:
    """Those that the dataset is sorted with. Raises JobFailed where they are not there, or somebody is to be asked."""
    try:
        connection = connection_of(dataset)
        if connection is not None:
            refuse_unasked(about_embeddings(dataset, connection))
        return embeddings_of(dataset)
    except LookupError as error:
        raise JobFailed(str(error), "embeddings") from None


def _mark(dataset: Dataset) -> str:
    """Tells one tree, and one way of sorting into it, from another."""
    said = encode_json([dataset.topic_hierarchy, dataset.sort_config], sort=True)
    return blake2b(said.encode(), digest_size=8).hexdigest()


def _mark_now(dataset: Dataset) -> str:
    return _mark(Dataset.objects.only("topic_hierarchy", "sort_config").get(pk=dataset.pk))


def _by_hand(dataset: Dataset) -> dict[str, list[int]]:
    """Primary keys of what people have sorted, by topic."""
    manual = dataset.records.filter(method=Method.MANUAL, verdict=VALID).exclude(topic=UNKNOWN)
    found: dict[str, list[int]] = defaultdict(list)
    for topic, pk in manual.order_by("pk").values_list("topic", "pk"):
        found[str(topic)].append(pk)
    return found


def _examples(dataset: Dataset, manual: dict[str, list[int]]) -> dict[str, list[str]]:
    """What people decided by hand teaches the run, beside the records that the found topics were made from."""
    leaves = set(dataset.topics.leaves())
    keys = {leaf: list(found) for leaf, found in dataset.topic_examples.items() if leaf in leaves}
    for topic, found in manual.items():
        keys.setdefault(topic, []).extend(found[:: -(-len(found) // TAUGHT)])
    text_of = dict(_texts(dataset, sorted({pk for found in keys.values() for pk in found})))
    return {leaf: [text_of[pk] for pk in found if pk in text_of] for leaf, found in keys.items()}


def _texts(dataset: Dataset, keys: list[int]) -> list[tuple[int, str]]:
    """Last user messages of the records that are still there."""
    found: list[tuple[int, str]] = []
    for at in range(0, len(keys), BATCH):
        rows = dataset.records.filter(pk__in=keys[at : at + BATCH]).values_list("pk", "raw__body")
        found += [(pk, last_user_text(loads(body).messages)) for pk, body in rows]
    return found


def _pool(dataset: Dataset) -> list[str]:
    """Texts that show how the dataset's messages are worded, from all over it."""
    valid = dataset.records.filter(verdict=VALID)
    step = -(-valid.count() // POOL)
    if step > 1:
        valid = valid.annotate(place=Mod("pk", step)).filter(place=0)
    bodies = valid.order_by("pk").values_list("raw__body", flat=True)[:POOL]
    return [last_user_text(loads(body).messages) for body in bodies]


def _summary(dataset: Dataset) -> dict[str, Any]:
    """How many records there are of each kind, in one query; what fits no topic counts as unknown only."""
    known = ~Q(topic=UNKNOWN)
    return dataset.records.filter(verdict=VALID).aggregate(
        records=Count("pk"),
        high=Count("pk", filter=known & Q(needs_review=False, confidence__gte=HIGH)),
        medium=Count("pk", filter=known & Q(needs_review=False, confidence__lt=HIGH)),
        needs_review=Count("pk", filter=known & Q(needs_review=True)),
        unknown=Count("pk", filter=Q(topic=UNKNOWN)),
        manual=Count("pk", filter=Q(method=Method.MANUAL)),
    )

"""The sanitize run: every record against every rule, then against the records before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Sum

from datasets_app import moments
from datasets_app.actions import CATEGORIZE, start
from datasets_app.core.dedupe import DuplicateIndex, duplicate_issue, prints_of, shared_lines
from datasets_app.core.fast import Judge, Shape
from datasets_app.core.hygiene import Held, HygieneReport, build_report, summarise_counts
from datasets_app.core.judging import Judged, judged
from datasets_app.core.records import loads
from datasets_app.core.sanitizing import status_of
from datasets_app.counters import take_turn
from datasets_app.facts import rules_digest
from datasets_app.jobs.privacy import held_of, look_through
from datasets_app.models import VALID, Dataset
from datasets_app.privacy import Locked
from datasets_app.writing import Verdict, issues_text, write_verdicts
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again

BATCH = 1000
SAMPLED = 2000  # records that decide which lines many conversations share


def run_sanitize(ctx: JobContext) -> HygieneReport:
    """Checks records in the order they came in; of a pair of duplicates the earlier one is kept.

    The cursor is the last record written. A later slice rebuilds the index of duplicates from the valid records before
    it, so that the verdicts do not depend on where a slice ended; it starts over where the limits changed meanwhile.
    """
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    digest = rules_digest(dataset)
    last = ctx.cursor.get("last", 0) if ctx.cursor.get("rules") == digest else 0
    records = dataset.records.order_by("pk")
    ctx.progress.begin("Checking", done=records.filter(pk__lte=last).count(), total=records.count())
    judge = Judge(dataset.sanitizing, Shape(format="canonical"))
    index = _index(dataset, judge, last)
    while chunk := list(_bodies(dataset, after=last)[:BATCH]):
        found = _checked(chunk, judge, index)
        last = chunk[-1][0]
        with ctx.batch(done=len(chunk)) as batch:
            take_turn(dataset.pk)
            write_verdicts(found, digest)
            batch.cursor = {"last": last, "rules": digest}
        ctx.check()
        if ctx.slice_over:
            raise Again
    dataset.refresh_from_db()
    if rules_digest(dataset) != digest:
        raise Again
    if dataset.topics.topics and dataset.records.filter(verdict=VALID, topic=None).exists():
        with ctx.batch():
            start(dataset, CATEGORIZE, {}, by=ctx.job.requested_by)
    held = _look_through(ctx, dataset)
    checked = records.filter(pk__lte=last).count()
    ctx.progress.begin("Checking", done=checked, total=checked)  # that phase counted its own
    moments.note(dataset.pk, "Records checked")
    return report_of(dataset, held)


def _look_through(ctx: JobContext, dataset: Dataset) -> Held | None:
    """Personal data and secrets; None where the vault cannot be opened (the job ``scan_pii`` says why)."""
    try:
        return held_of(look_through(ctx, dataset))
    except Locked as locked:
        ctx.log(str(locked), "warning")
        return None


def _bodies(dataset: Dataset, after: int = 0) -> Any:
    """Id and payload of the dataset's records, in the order they came in, from the one behind ``after``."""
    return dataset.records.filter(pk__gt=after).order_by("pk").values_list("pk", "raw__body")


def _judged(judge: Judge, body: str) -> Judged:
    """The record as it is stored: unlike a line of a file, it is not read as a format any more."""
    return judge.quick(body.encode()) or judged(loads(body), judge.config, "canonical")


def _index(dataset: Dataset, judge: Judge, last: int) -> DuplicateIndex:
    config = dataset.sanitizing
    sample = _bodies(dataset)[:SAMPLED].iterator(chunk_size=BATCH)
    index = DuplicateIndex(config.near_duplicates, shared_lines(_judged(judge, body).turns for _, body in sample))
    before = _bodies(dataset).filter(pk__lte=last, verdict=VALID)
    for chunk in _lots(before.iterator(chunk_size=BATCH)):
        said = [_judged(judge, body).said for _, body in chunk]
        index.add_all([pk for pk, _ in chunk], prints_of(said, index.threshold, index.shared))
    return index


def _lots(pairs: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    while lot := [pair for _, pair in zip(range(BATCH), pairs, strict=False)]:
        yield lot


def _checked(chunk: list[tuple[int, str]], judge: Judge, index: DuplicateIndex) -> list[Verdict]:
    """What breaks a rule is not compared with others: a valid copy of it is no duplicate."""
    found = [(pk, _judged(judge, body)) for pk, body in chunk]
    good = [(pk, one) for pk, one in found if not one.issues]
    prints = prints_of([one.said for _, one in good], index.threshold, index.shared)
    for (_, one), match in zip(good, index.add_all([pk for pk, _ in good], prints), strict=True):
        if match is not None:
            one.issues = [duplicate_issue(match, f"record {match.kept_key}")]
    return [
        Verdict(
            id=pk,
            verdict=status_of(one.issues),
            code=one.issues[0].code if one.issues else "",
            issues=issues_text(one.issues),
            tokens=one.tokens,
            digest=one.digest,
        )
        for pk, one in found
    ]


def report_of(dataset: Dataset, held: Held | None = None) -> HygieneReport:
    """The report over the stored verdicts, so that it says what the pages say.

    Verdicts come from the counters, tokens from one grouped query; only the records that break a rule are looked at.
    """
    codes = dict(dataset.record_counts.values_list("code").annotate(n=Sum("n")).order_by())
    total = sum(codes.values())
    codes.pop("", None)
    records_with: Counter[str] = Counter()
    broken = dataset.records.exclude(code="").values_list("issues", flat=True)
    for issues in broken.iterator():
        records_with.update({issue["code"] for issue in issues})
    tokens = dict(dataset.records.values_list("tokens").annotate(n=Count("pk")).order_by())
    return build_report(total, codes, records_with, summarise_counts(tokens), held=held)

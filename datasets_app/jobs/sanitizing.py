"""The sanitize run: every record against every rule, then against the records before it."""

from __future__ import annotations

from datasets_app.actions import CATEGORIZE, start
from datasets_app.core.dedupe import DuplicateIndex, duplicate_issue, shared_lines
from datasets_app.core.hygiene import Held, HygieneReport, build_report, summarise_tokens
from datasets_app.core.records import clean_text
from datasets_app.core.sanitizing import Issue, status_of, verdict
from datasets_app.core.tokens import count
from datasets_app.counters import take_turn
from datasets_app.facts import rules_digest
from datasets_app.jobs.privacy import held_of, look_through
from datasets_app.models import VALID, Dataset, DatasetRecord
from datasets_app.privacy import Locked
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again

BATCH = 500
SAMPLED = 2000  # records that decide which lines many conversations share
WRITTEN = ["verdict", "code", "issues", "tokens", "checked_by"]


def run_sanitize(ctx: JobContext) -> HygieneReport:
    """Checks records in the order they came in; of a pair of duplicates the earlier one is kept.

    The cursor is the last record written. A later slice rebuilds the index of duplicates from the valid records before
    it, so that the verdicts do not depend on where a slice ended; it starts over where the limits changed meanwhile.
    """
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    digest = rules_digest(dataset)
    last = ctx.cursor.get("last", 0) if ctx.cursor.get("rules") == digest else 0
    records = dataset.records.order_by("pk").select_related("raw")
    ctx.progress.begin("Checking", done=records.filter(pk__lte=last).count(), total=records.count())
    index = _index(dataset, last)
    while chunk := list(records.filter(pk__gt=last)[:BATCH]):
        for record in chunk:
            _check(dataset, record, index, digest)
        last = chunk[-1].pk
        with ctx.batch(done=len(chunk)) as batch:
            take_turn(dataset.pk)
            DatasetRecord.objects.bulk_update(chunk, WRITTEN)
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
    return report_of(dataset, _look_through(ctx, dataset))


def _look_through(ctx: JobContext, dataset: Dataset) -> Held | None:
    """Personal data and secrets; None where the vault cannot be opened (the job ``scan_pii`` says why)."""
    try:
        return held_of(look_through(ctx, dataset))
    except Locked as locked:
        ctx.log(str(locked), "warning")
        return None


def _index(dataset: Dataset, last: int) -> DuplicateIndex:
    threshold = dataset.sanitizing.near_duplicates
    sample = dataset.records.order_by("pk").select_related("raw")[:SAMPLED].iterator(chunk_size=BATCH)
    index = DuplicateIndex(threshold, shared_lines(record.trace for record in sample))
    before = dataset.records.filter(pk__lte=last, verdict=VALID).order_by("pk").select_related("raw")
    for record in before.iterator(chunk_size=BATCH):
        index.add(record.pk, record.trace)
    return index


def _check(dataset: Dataset, record: DatasetRecord, index: DuplicateIndex, digest: str) -> None:
    """Set the record's verdict. What breaks a rule is not compared: a valid copy of it is no duplicate."""
    trace = record.trace
    record.tokens = count(trace)
    issues: list[Issue] = verdict(trace, dataset.sanitizing, record.tokens)
    if not issues:
        match = index.add(record.pk, trace)
        issues = [duplicate_issue(match, f"record {match.kept_key}")] if match is not None else []
    record.verdict = status_of(issues)
    record.code = issues[0].code if issues else ""
    record.issues = [{"code": issue.code, "detail": clean_text(issue.detail)} for issue in issues]
    record.checked_by = digest


def report_of(dataset: Dataset, held: Held | None = None) -> HygieneReport:
    """The report over the stored verdicts, so that it says what the pages say."""
    verdicts: dict[str, int] = {}
    records_with: dict[str, int] = {}
    tokens = []
    total = 0
    for code, issues, counted in dataset.records.values_list("code", "issues", "tokens").iterator():
        total += 1
        tokens.append(counted)
        if code:
            verdicts[code] = verdicts.get(code, 0) + 1
        for name in {issue["code"] for issue in issues}:
            records_with[name] = records_with.get(name, 0) + 1
    return build_report(total, verdicts, records_with, summarise_tokens(tokens), held=held)

"""Background work on datasets: each handler does slices of idempotent batches (see rft_project.jobs)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from datasets_app.core.reading import Line, Parsed, Rejected, UnreadableFile, open_lines, read_traces, whole_lines
from datasets_app.core.reading_lines import reason_kind
from datasets_app.core.records import Trace, clean_text, dumps
from datasets_app.core.sanitizing import verdict
from datasets_app.core.tokens import count
from datasets_app.counters import take_turn
from datasets_app.models import INVALID, VALID, Dataset, DatasetRecord, ImportBatch, RawRecord, RejectedLine
from datasets_app.searching import keep_up
from datasets_app.services import forget_file, read_of
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed

BATCH = 500


def batched(items: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def checked_fields(trace: Trace, dataset: Dataset) -> dict[str, Any]:
    """Verdict, code, issues and tokens of a record under the dataset's config."""
    tokens = count(trace)
    issues = verdict(trace, dataset.sanitizing, tokens)
    return {
        "verdict": INVALID if issues else VALID,
        "code": issues[0].code if issues else "",
        "issues": [{"code": issue.code, "detail": clean_text(issue.detail)} for issue in issues],
        "tokens": tokens,
    }


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
        **read_of(entry.trace),
        **checked_fields(entry.trace, batch.dataset),
    )


def rejected_line(batch: ImportBatch, entry: Rejected) -> RejectedLine:
    reason = clean_text(entry.reason)
    return RejectedLine(
        batch=batch,
        line=entry.line,
        where=entry.where,
        reason=reason[:300],
        kind=reason_kind(reason),
        text=clean_text(entry.text),
    )


def run_import(ctx: JobContext) -> dict[str, Any]:
    """Read a staged file line by line from the last committed position. Rows and position commit together.

    A batch that has ended is not read again: its worker may have died after removing the file.
    """
    batch = ImportBatch.objects.select_related("dataset").get(pk=ctx.params["batch"])
    if batch.finished_at is None:
        try:
            _read_on(ctx, batch)
        except UnreadableFile as error:
            # the staged file has a name of our own making
            sentence = str(error).replace(Path(batch.path).name, batch.filename)[:500]
            ImportBatch.objects.filter(pk=batch.pk).update(error=sentence)
            raise JobFailed(sentence, "unreadable_file") from error
        with transaction.atomic():
            ImportBatch.objects.filter(pk=batch.pk).update(finished_at=timezone.now())
            keep_up(batch.dataset_id)
        batch.refresh_from_db()
    forget_file(batch)
    return {
        "dataset": batch.dataset.name,
        "imported": batch.imported,
        "already_present": batch.already_present,
        "unreadable": batch.unreadable,
        "formats": batch.formats,
    }


def _read_on(ctx: JobContext, batch: ImportBatch) -> None:
    """From the last committed position to the end of the file. Raises Again, Cancelled, Lost, UnreadableFile."""
    seen = _lines_before(batch)
    read = batch.imported + batch.already_present + batch.unreadable
    reader = read_traces(
        Path(batch.path),
        format=batch.format,
        mapping=batch.field_mapping,
        start_line=batch.position,
        limit=max(0, ctx.params["limit"] - read) if ctx.params.get("limit") else None,
    )
    for chunk in whole_lines(reader, BATCH):
        _commit_lines(ctx, batch, chunk, seen)
        ctx.check()
        if ctx.slice_over:
            raise Again


def _lines_before(batch: ImportBatch) -> Counter[bytes]:
    """How often each line stood in the file up to the committed position."""
    lines = open_lines(Path(batch.path)) if batch.position else ()
    before = itertools.takewhile(lambda line: line.number <= batch.position, (x for x in lines if isinstance(x, Line)))
    return Counter(line.key for line in before)


def import_key(entry: Parsed, seen: Counter[bytes]) -> str:
    """Same file, same keys: the digest of the line, numbered where a file repeats it.

    So a second import of a file adds nothing, and a line that stands twice in one file still makes two records, the
    second of which the sanitize run calls a duplicate.
    """
    seen[entry.key] += 1
    return entry.key.hex() if seen[entry.key] == 1 else f"{entry.key.hex()}:{seen[entry.key]}"


def _commit_lines(ctx: JobContext, batch: ImportBatch, chunk: list[Parsed | Rejected], seen: Counter[bytes]) -> None:
    """One transaction: new records with their payloads, rejected lines, counts, and the position in the file."""
    parsed = [(entry, import_key(entry, seen)) for entry in chunk if not isinstance(entry, Rejected)]
    rejected = [entry for entry in chunk if isinstance(entry, Rejected)]
    with ctx.batch(done=len(chunk)):
        take_turn(batch.dataset_id)
        keys = {key for _, key in parsed}
        present = set(
            DatasetRecord.objects.filter(dataset=batch.dataset_id, import_key__in=keys).values_list(
                "import_key", flat=True
            )
        )
        new = [(entry, key) for entry, key in parsed if key not in present]
        rows = DatasetRecord.objects.bulk_create([record_of(batch, e, key) for e, key in new])
        RawRecord.objects.bulk_create(
            [RawRecord(record=row, body=dumps(e.trace)) for row, (e, _) in zip(rows, new, strict=True)]
        )
        RejectedLine.objects.bulk_create(
            [rejected_line(batch, entry) for entry in rejected],
            ignore_conflicts=True,
        )
        for entry, _ in new:
            batch.formats[entry.format] = batch.formats.get(entry.format, 0) + 1
        ImportBatch.objects.filter(pk=batch.pk).update(
            position=chunk[-1].line,
            imported=F("imported") + len(new),
            already_present=F("already_present") + len(parsed) - len(new),
            unreadable=F("unreadable") + len(rejected),
            split_turns=F("split_turns") + sum(1 for entry, _ in new if entry.split),
            formats=batch.formats,
        )

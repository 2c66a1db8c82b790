"""Background work on datasets: each handler does slices of idempotent batches (see rft_project.jobs)."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from datasets_app import moments
from datasets_app.core.quick import QuickHere, Ready
from datasets_app.core.reading import (
    Entry,
    Line,
    Parsed,
    Rejected,
    UnreadableFile,
    open_lines,
    read_traces,
    whole_lines,
)
from datasets_app.core.reading_lines import reason_kind
from datasets_app.core.records import clean_text
from datasets_app.counters import take_turn
from datasets_app.joining import count_spread
from datasets_app.models import ImportBatch, RejectedLine
from datasets_app.searching import keep_up
from datasets_app.services import forget_file
from datasets_app.storing import add_records
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed

BATCH = 2000  # records of one transaction, fewer where they are long: others wait for its end to write on SQLite
_BATCH_BYTES = 16 << 20
_THIS_LINE = b"the line being read"  # no key: those have 16 bytes


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
        count_spread(ImportBatch.objects.filter(pk=batch.pk))
        with transaction.atomic():
            ImportBatch.objects.filter(pk=batch.pk).update(finished_at=timezone.now())
            keep_up(batch.dataset_id)
        batch.refresh_from_db()
        moments.note(batch.dataset_id, f"Imported {batch.filename}")
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
        quick=QuickHere(batch.dataset.sanitizing),
    )
    for chunk in whole_lines(reader, BATCH, _BATCH_BYTES):
        _commit_lines(ctx, batch, chunk, seen)
        ctx.check()
        if ctx.slice_over:
            raise Again


def _lines_before(batch: ImportBatch) -> Counter[bytes]:
    """How often each line stood in the file up to the committed position."""
    lines = open_lines(Path(batch.path)) if batch.position else ()
    before = itertools.takewhile(lambda line: line.number <= batch.position, (x for x in lines if isinstance(x, Line)))
    return Counter(line.key for line in before)


def import_key(entry: Parsed | Ready, seen: Counter[bytes]) -> str:
    """Same file, same keys: the digest of the line, numbered where a file repeats it.

    So a second import of a file adds nothing, and a line that stands twice in one file still makes two records, the
    second of which the sanitize run calls a duplicate. ``seen`` counts lines, by the key of the first record in each;
    the other records of a line come right behind it and share its number.
    """
    key = entry.key  # made anew at each look
    if not (isinstance(entry, Parsed) and entry.item):
        seen[key] += 1
        seen[_THIS_LINE] = seen[key]
    return key.hex() if seen[_THIS_LINE] == 1 else f"{key.hex()}:{seen[_THIS_LINE]}"


def _commit_lines(ctx: JobContext, batch: ImportBatch, chunk: list[Entry], seen: Counter[bytes]) -> None:
    """One transaction: new records with their payloads, rejected lines, counts, and the position in the file."""
    parsed = [(entry, import_key(entry, seen)) for entry in chunk if not isinstance(entry, Rejected)]
    rejected = [entry for entry in chunk if isinstance(entry, Rejected)]
    with ctx.batch(done=len(chunk)):
        take_turn(batch.dataset_id)
        new = add_records(batch, parsed)
        RejectedLine.objects.bulk_create(
            [rejected_line(batch, entry) for entry in rejected],
            ignore_conflicts=True,
        )
        for entry in new:
            batch.formats[entry.format] = batch.formats.get(entry.format, 0) + 1
        ImportBatch.objects.filter(pk=batch.pk).update(
            position=chunk[-1].line,
            imported=F("imported") + len(new),
            already_present=F("already_present") + len(parsed) - len(new),
            unreadable=F("unreadable") + len(rejected),
            split_turns=F("split_turns") + sum(entry.split for entry in new),
            formats=batch.formats,
        )

"""Lines that could not be read become records after all: mended by hand, or read again with another format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from datasets_app.core.formats import AUTO
from datasets_app.core.reading import Line, Parsed, Rejected, read_line
from datasets_app.core.records import encode_json
from rft_project.jobs.models import Job
from rft_project.jobs.services import HasPk

from .actions import REREAD, last_run, start
from .counters import take_turn
from .models import ImportBatch, RejectedLine
from .searching import keep_up
from .services import Refused
from .storing import add_records


@dataclass(frozen=True)
class Mended:
    """Lines that became records, and those whose text is in the dataset already."""

    imported: int = 0
    already_present: int = 0


def read_again(rejected: RejectedLine, text: str, format: str) -> Parsed | Rejected:
    """The line's text as its batch reads lines, in its old place in the file."""
    raw = text.replace("\r\n", "\n").strip().encode("utf-8", "surrogatepass")
    line = Line(rejected.line, raw, rejected.where)
    return read_line(line, format=format, mapping=rejected.batch.field_mapping)


def mend(rejected: RejectedLine, text: str) -> Mended:
    """Import one line with the text that a person gave it. Raises Refused with what is still wrong."""
    if rejected.fixed_at is not None:
        raise Refused("This line was imported already.", "text")
    entry = read_again(rejected, text, rejected.batch.format)
    if isinstance(entry, Rejected) and rejected.batch.format != AUTO:
        entry = read_again(rejected, text, AUTO)  # a mended line may be written in a way of its own
    if isinstance(entry, Rejected):
        raise Refused(entry.reason, "text")
    with transaction.atomic():
        mended = store(rejected.batch, [(rejected, entry)])
        keep_up(rejected.batch.dataset_id)
    return mended


def store(batch: ImportBatch, read: list[tuple[RejectedLine, Parsed]]) -> Mended:
    """Records of the lines, and the lines marked as fixed. A line that was fixed meanwhile is left alone.

    Inside a transaction. Two lines of one text make one record: the second is there already.
    """
    take_turn(batch.dataset_id)
    lines = [rejected.pk for rejected, _ in read]
    still = set(RejectedLine.objects.filter(pk__in=lines, fixed_at=None).values_list("pk", flat=True))
    entries = [(rejected, entry, entry.key.hex()) for rejected, entry in read if rejected.pk in still]
    new = add_records(batch, list({key: (entry, key) for _, entry, key in reversed(entries)}.values()))
    now = timezone.now()
    for rejected, _, key in entries:
        RejectedLine.objects.filter(pk=rejected.pk).update(fixed_at=now, fixed_key=key)
    formats = Counter(ImportBatch.objects.values_list("formats", flat=True).get(pk=batch.pk))
    formats.update(entry.format for entry in new)
    mended = Mended(len(new), len(entries) - len(new))
    ImportBatch.objects.filter(pk=batch.pk).update(
        imported=F("imported") + mended.imported,
        already_present=F("already_present") + mended.already_present,
        unreadable=F("unreadable") - len(entries),
        split_turns=F("split_turns") + sum(entry.split for entry in new),
        formats=dict(formats),
    )
    return mended


def reread(batch: ImportBatch, format: str, *, by: HasPk | None) -> Job:
    """Queue reading all lines again that are still unreadable. Raises Refused while those of another file are read."""
    running = last_run(batch.dataset, REREAD)
    if running is not None and running.job.is_live and running.job.params["batch"] != batch.pk:
        raise Refused("The lines of another file are being read again just now; try again when that has ended.")
    return start(batch.dataset, REREAD, {"batch": batch.pk, "format": format}, by=by, unit="lines")


def lines_of(rejected: QuerySet[RejectedLine], *, reasons: bool) -> Iterator[bytes]:
    """The lines for a download: as they stood in the file, or one JSON object each that says where and why."""
    for row in rejected.select_related("batch").iterator(chunk_size=100):
        if reasons:
            place = {"file": row.batch.filename, **({"member": row.where} if row.where else {}), "line": row.line}
            yield f"{encode_json({**place, 'reason': row.reason, 'text': row.text})}\n".encode()
        else:
            yield f"{row.text}\n".encode("utf-8", "replace")

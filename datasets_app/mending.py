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


def read_again(rejected: RejectedLine, text: str, format: str) -> list[Parsed]:
    """What the text holds, read as the batch reads its lines, in the line's old place. Raises Refused.

    A line of which something is still left out stays as it is: what can be read of it was imported already.
    """
    raw = text.replace("\r\n", "\n").strip().encode("utf-8", "surrogatepass")
    line = Line(rejected.line, raw, rejected.where)
    parsed = []
    for entry in read_line(line, format=format, mapping=rejected.batch.field_mapping):
        if isinstance(entry, Rejected):
            raise Refused(entry.reason, "text")
        parsed.append(entry)
    return parsed


def mend(rejected: RejectedLine, text: str) -> Mended:
    """Import one line with the text that a person gave it. Raises Refused with what is still wrong."""
    if rejected.fixed_at is not None:
        raise Refused("This line was imported already.", "text")
    try:
        parsed = read_again(rejected, text, rejected.batch.format)
    except Refused:
        if rejected.batch.format == AUTO:
            raise
        parsed = read_again(rejected, text, AUTO)  # a mended line may be written in a way of its own
    with transaction.atomic():
        mended = store(rejected.batch, [(rejected, parsed)])
        keep_up(rejected.batch.dataset_id)
    return mended


def store(batch: ImportBatch, read: list[tuple[RejectedLine, list[Parsed]]]) -> Mended:
    """Records of the lines, and the lines marked as fixed. A line that was fixed meanwhile is left alone.

    Inside a transaction. Two lines of one text make one record: the second is there already.
    """
    take_turn(batch.dataset_id)
    lines = [rejected.pk for rejected, _ in read]
    still = set(RejectedLine.objects.filter(pk__in=lines, fixed_at=None).values_list("pk", flat=True))
    fixed = [(rejected, parsed) for rejected, parsed in read if rejected.pk in still]
    entries = [entry for _, parsed in fixed for entry in parsed]
    new = add_records(batch, [(entry, key) for key, entry in {e.key.hex(): e for e in reversed(entries)}.items()])
    now = timezone.now()
    for rejected, parsed in fixed:
        key = parsed[0].key.hex() if parsed else ""
        RejectedLine.objects.filter(pk=rejected.pk).update(fixed_at=now, fixed_key=key)
    formats = Counter(ImportBatch.objects.values_list("formats", flat=True).get(pk=batch.pk))
    formats.update(entry.format for entry in new)
    mended = Mended(len(new), len(entries) - len(new))
    ImportBatch.objects.filter(pk=batch.pk).update(
        imported=F("imported") + mended.imported,
        already_present=F("already_present") + mended.already_present,
        unreadable=F("unreadable") - len(fixed),
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

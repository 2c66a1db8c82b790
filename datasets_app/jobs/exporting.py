"""Writing a dataset to a file. The length of the file and the place in the dataset are committed together."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from django.utils import timezone
from pydantic import BaseModel

from datasets_app import exports
from datasets_app.core.exporting import tables
from datasets_app.core.exporting.base import Columns, Entry, Rendered, Unfit
from datasets_app.core.exporting.dialects import OVERLAP_RULE
from datasets_app.core.exporting.files import GrowingFile, LostFile, cut, sha256_of
from datasets_app.core.exporting.report import Manifest, Source, Tally, findings, too_little, too_much, warnings
from datasets_app.core.records import encode_json
from datasets_app.models import Export
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed
from rft_project.web.context import VERSION

BATCH = 500
Chunk = list[tuple[int, Entry]]
FOUND = ["rows", "left_out", "tally", "bytes", "sha256", "finished_at", "expires_at", "manifest"]


class Place(BaseModel):
    """How far an export is. ``last`` and ``until`` are keys of the rows it is made of; lengths are in bytes."""

    until: int
    total: int
    last: int = 0
    surveyed: bool = False
    length: int = 0
    left_length: int = 0
    columns: Columns = Columns()
    tally: Tally = Tally()


def run_export(ctx: JobContext) -> dict[str, Any]:
    """Write the file from the last committed place, then give it its name. Fails where the platform would refuse it."""
    export = Export.objects.select_related("dataset", "snapshot").filter(job=ctx.job.pk).first()
    if export is None:
        raise JobFailed("This export was deleted meanwhile.", "deleted")
    try:
        if export.finished_at is None:
            _make(ctx, export)
        exports.settle(export)
    except (LostFile, Unfit):  # the file is gone, or the records were edited after their columns were counted
        with ctx.batch() as batch:
            batch.cursor = {}
        raise Again from None
    except OSError as error:
        sentence = (
            f"The file could not be written: {error.strerror}. Free some space and try again; it goes on from there."
        )
        raise JobFailed(sentence, "unwritable") from error
    return {
        "dataset": export.dataset.name,
        "format": export.format,
        "rows": export.rows,
        "left_out": export.left_out,
        "bytes": export.bytes,
        "sha256": export.sha256,
    }


def _make(ctx: JobContext, export: Export) -> None:
    if ctx.cursor:
        place = Place.model_validate(ctx.cursor)
    else:
        place = Place(until=exports.last_key(export), total=exports.source_of(export).count())
    if export.kind.surveyed and not place.surveyed:
        _survey(ctx, export, place)
    _write(ctx, export, place)
    _finish(ctx, export, place)


def _chunk(export: Export, place: Place) -> Chunk:
    return exports.entries(export, place.last, place.until, BATCH)


def _survey(ctx: JobContext, export: Export, place: Place) -> None:
    """Read every record once, for the columns all rows will have."""
    done = exports.source_of(export).filter(pk__lte=place.last).count() if place.last else 0
    ctx.progress.begin("Looking at the fields", done=done, total=place.total)
    while chunk := _chunk(export, place):
        for _, entry in chunk:
            tables.survey(place.columns, entry.trace)
        place.last = chunk[-1][0]
        _commit(ctx, place, len(chunk))
    place.surveyed, place.last = True, 0


def _commit(ctx: JobContext, place: Place, done: int) -> None:
    with ctx.batch(done=done) as batch:
        batch.cursor = place.model_dump(mode="json")
    _go_on(ctx)


def _go_on(ctx: JobContext) -> None:
    """Raises Cancelled, Lost, Again."""
    ctx.check()
    if ctx.slice_over:
        raise Again


def _write(ctx: JobContext, export: Export, place: Place) -> None:
    """Write batch by batch; the fence is checked before the bytes are written, so that only one worker writes."""
    ctx.progress.begin("Writing", done=place.tally.rows + place.tally.left_out, total=place.total)
    other = _other_part(export, place)
    chosen = exports.chosen_of(export)
    with (
        GrowingFile(exports.part_of(export), place.length, compress=chosen.gzip) as file,
        GrowingFile(exports.left_out_of(export), place.left_length) as left,
    ):
        while chunk := _chunk(export, place):
            lines, refused = _lines(export, place, chunk, other)
            place.last = chunk[-1][0]
            note = f"{place.tally.left_out:,} left out." if place.tally.left_out else ""
            with ctx.batch(done=len(chunk), note=note) as batch:
                place.length, place.left_length = file.append(lines), left.append(refused)
                batch.cursor = place.model_dump(mode="json")
            file.length, left.length = place.length, place.left_length
            if sentence := too_much(export.kind, place.tally, chosen.part, place.length):
                _refuse(ctx, export, place, sentence)
            _go_on(ctx)


def _lines(export: Export, place: Place, chunk: Chunk, other: set[bytes]) -> tuple[bytes, bytes]:
    """The chunk's lines, and a line for each record that has none."""
    format = export.kind
    lines = [] if place.last else [format.head(place.columns)]
    refused = []
    for _, entry in chunk:
        made = format.render(entry, place.columns)
        if other and _key(made) in other:
            made = Rendered(b"", (OVERLAP_RULE.id,))
        place.tally.add(entry, made)
        if made.broken:
            refused.append(encode_json({"record": entry.record, "rules": made.broken}).encode() + b"\n")
        else:
            lines.append(made.text + b"\n")
    return b"".join(lines), b"".join(refused)


def _key(made: Rendered) -> bytes:
    return blake2b(made.text, digest_size=16).digest()


def _other_part(export: Export, place: Place) -> set[bytes]:
    """Rows of the validation part, which must not be trained on: known by digest, a platform takes 1,000 at most."""
    format = export.kind
    if OVERLAP_RULE not in format.rules:
        return set()
    made = (format.render(entry, place.columns) for entry in exports.checked_part(export))
    return {_key(row) for row in made if row.text}


def _finish(ctx: JobContext, export: Export, place: Place) -> None:
    """Check the file as a whole, and write down what it is; the row is written before the file gets its name."""
    part, tally, format = exports.part_of(export), place.tally, export.kind
    if sentence := too_little(format, tally, exports.chosen_of(export).part):
        _refuse(ctx, export, place, sentence)
    cut(part, place.length)
    built = part
    if format.finish is not None:
        built = exports.made_of(export)
        format.finish(part, built, place.columns)
    export.rows, export.left_out, export.tally = tally.rows, tally.left_out, tally.model_dump(mode="json")
    export.bytes, export.sha256 = built.stat().st_size, sha256_of(built)
    export.finished_at, export.expires_at = timezone.now(), exports.expiry()
    export.manifest = _manifest(export, tally).model_dump(mode="json")
    with ctx.batch():
        export.save(update_fields=FOUND)


def _refuse(ctx: JobContext, export: Export, place: Place, sentence: str) -> None:
    """What was counted stays to be read; trying again starts over, because the records may have been mended."""
    tally = place.tally
    with ctx.batch() as batch:
        Export.objects.filter(pk=export.pk).update(
            rows=tally.rows, left_out=tally.left_out, tally=tally.model_dump(mode="json")
        )
        batch.cursor = {}
    raise JobFailed(sentence, "refused")


def _manifest(export: Export, tally: Tally) -> Manifest:
    chosen, snapshot, format = exports.chosen_of(export), export.snapshot, export.kind
    return Manifest(
        format=format.name,
        rules=format.version,
        source=Source(
            dataset=export.dataset.name,
            snapshot=snapshot.pk if snapshot else None,
            snapshot_hash=snapshot.content_hash if snapshot else "",
            part=chosen.part,
            filters=chosen.where.chosen,
        ),
        rows=tally.rows,
        left_out=tally.left_out,
        left_out_by_rule=findings(format, tally.broken),
        notes=findings(format, tally.notes),
        warnings=list(warnings(format, tally)),
        file=exports.download_name(export),
        bytes=export.bytes,
        sha256=export.sha256,
        content_hash=tally.content,
        gzip=chosen.gzip,
        software=f"RFT Studio {VERSION}",
        made_at=export.finished_at or timezone.now(),
    )

"""Lines that could not be read, read again with another format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from datasets_app import mending, moments
from datasets_app.core.reading import Parsed
from datasets_app.models import ImportBatch, RejectedLine
from datasets_app.searching import keep_up
from datasets_app.services import Refused
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again

BATCH = 200


def run_reread(ctx: JobContext) -> dict[str, Any]:
    """Every line that is still unreadable, in order; the cursor is the last one looked at and what came of them."""
    batch = ImportBatch.objects.select_related("dataset").get(pk=ctx.params["batch"])
    cursor = {"last": 0, "imported": 0, "already_present": 0, "unreadable": 0, **ctx.cursor}
    open_lines = batch.rejected.filter(fixed_at=None).select_related("batch").order_by("line")
    looked_at = sum(cursor[name] for name in ("imported", "already_present", "unreadable"))
    rest = open_lines.filter(line__gt=cursor["last"])
    ctx.progress.begin("Reading again", done=looked_at, total=looked_at + rest.count())
    while chunk := list(open_lines.filter(line__gt=cursor["last"])[:BATCH]):
        read = list(_readable(chunk, ctx.params["format"]))
        with ctx.batch(done=len(chunk)) as written:
            mended = mending.store(batch, read)
            keep_up(batch.dataset_id)
            cursor["last"] = chunk[-1].line
            cursor["imported"] += mended.imported
            cursor["already_present"] += mended.already_present
            cursor["unreadable"] += len(chunk) - len(read)
            written.cursor = dict(cursor)
        ctx.check()
        if ctx.slice_over:
            raise Again
    moments.note(batch.dataset_id, f"Lines of {batch.filename} read again")
    return {name: cursor[name] for name in ("imported", "already_present", "unreadable")}


def _readable(lines: list[RejectedLine], format: str) -> Iterator[tuple[RejectedLine, list[Parsed]]]:
    for line in lines:
        with contextlib.suppress(Refused):
            yield line, mending.read_again(line, line.text, format)

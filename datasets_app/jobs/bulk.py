"""Changes of many records, and their undo, as background work."""

from __future__ import annotations

from typing import Any

from datasets_app import bulk, changes
from datasets_app.counters import take_turn
from datasets_app.models import Change
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again


def run_bulk(ctx: JobContext) -> dict[str, Any]:
    """Go through the selection by primary key. Copies, changes and the cursor commit together.

    A stop keeps the change with what is done: it can be undone, or gone on with.
    """
    change = Change.objects.select_related("dataset__workspace").filter(pk=ctx.params["change"]).first()
    if change is None or ctx.cursor.get("complete"):  # nothing had to change, or the worker died after the last slice
        return {"changed": change.count if change is not None else 0}
    wanted = bulk.Plan.of(change)
    last, seen = ctx.cursor.get("last", 0), ctx.cursor.get("seen", 0)
    records = wanted.selection.records(change.dataset).filter(pk__gt=last)
    ctx.progress.begin("Looking", done=seen, total=0)
    picked = wanted.how.choose(records) if wanted.how.choose is not None else None
    left = records.count() if picked is None else sum(map(len, picked))
    ctx.progress.begin(wanted.how.label, done=seen, total=seen + left)
    while not ctx.cursor.get("complete"):
        with ctx.batch() as batch:
            take_turn(change.dataset_id)
            batch.done, last = bulk.step(change, wanted, last, picked)
            seen += batch.done
            batch.cursor = {"last": last, "seen": seen, "complete": not last}
            if not last:
                bulk.finish(change, by=ctx.job.requested_by)
        ctx.check()
        if ctx.slice_over and last:
            raise Again
    return {"dataset": change.dataset.name, "changed": change.count, "looked_at": seen}


def run_undo(ctx: JobContext) -> dict[str, Any]:
    """Put back the rows of a change; the change is undone when the last of them is."""
    change = Change.objects.select_related("dataset__workspace").get(pk=ctx.params["change"])
    last, restored = ctx.cursor.get("last", 0), ctx.cursor.get("restored", 0)
    seen = sum(rows.filter(record_id__lte=last).count() for rows in (change.rows, change.made)) if last else 0
    ctx.progress.begin("Undoing", done=seen, total=change.count + change.new)
    while change.undone_at is None:
        with ctx.batch() as batch:
            take_turn(change.dataset_id)
            found, last = changes.undo_slice(change, last)
            restored += found
            if last:
                batch.done = min(changes.SLICE, change.count + change.new - ctx.progress.done)
            else:
                changes.finish_undo(change, restored, by=ctx.job.requested_by)
                bulk.note(change, "undo", ctx.job.requested_by)
                bulk.follow_up(change, ctx.job.requested_by)
            batch.cursor = {"last": last, "restored": restored}
        ctx.check()
        if ctx.slice_over and change.undone_at is None:
            raise Again
    return {"dataset": change.dataset.name, "restored": restored, "left": change.left}

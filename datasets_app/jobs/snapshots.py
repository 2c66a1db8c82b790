"""Freezing a large dataset, slice by slice."""

from __future__ import annotations

from typing import Any

from datasets_app import snapshots
from datasets_app.counters import take_turn
from datasets_app.models import Snapshot
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again


def run_snapshot(ctx: JobContext) -> dict[str, Any]:
    """Each record is frozen as it is when its slice is reached; copies, hash so far and cursor commit together."""
    snapshot = Snapshot.objects.select_related("dataset").get(pk=ctx.params["snapshot"])
    last, mark, count = (ctx.cursor.get(name, default) for name, default in (("last", 0), ("mark", ""), ("count", 0)))
    left = snapshot.dataset.records.filter(pk__gt=last, pk__lte=snapshot.params["upto"]).count()
    ctx.progress.begin("Freezing", done=count, total=count + left)
    while not snapshot.content_hash:
        with ctx.batch() as batch:
            take_turn(snapshot.dataset_id)
            last, mark, batch.done = snapshots.freeze_slice(snapshot, last, mark)
            count += batch.done
            if not last:
                snapshots.finish(snapshot, mark, count)
            batch.cursor = {"last": last, "mark": mark, "count": count}
        ctx.check()
        if ctx.slice_over and not snapshot.content_hash:
            raise Again
    return {"dataset": snapshot.dataset.name, "records": snapshot.report["records"]}

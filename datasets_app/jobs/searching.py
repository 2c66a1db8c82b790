"""Makes the records of a dataset searchable, after an import and after changes of many."""

from __future__ import annotations

from typing import Any

from datasets_app import searching
from datasets_app.counters import take_turn
from datasets_app.models import Dataset, DatasetRecord, RecordText, SearchIndex
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again


def run_search(ctx: JobContext) -> dict[str, Any]:
    """What is left to read is known from the rows themselves, so there is no cursor."""
    pk = ctx.params["dataset"]
    index = SearchIndex.objects.filter(dataset=pk).first()
    new = DatasetRecord.objects.filter(dataset=pk, pk__gt=index.upto if index else 0).count()
    stale = RecordText.objects.filter(dataset=pk, stale=True).count()
    ctx.progress.begin("Making records searchable", done=ctx.job.done, total=ctx.job.done + new + stale)
    while True:
        with ctx.batch() as batch:
            take_turn(pk)
            batch.done = searching.index_slice(pk)
        if not batch.done:
            searching.settle()
            return {"dataset": Dataset.objects.get(pk=pk).name, "records": ctx.progress.done}
        ctx.check()
        if ctx.slice_over:
            raise Again

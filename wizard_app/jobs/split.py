"""Splitting a large dataset. It starts over where it was cut off: nothing is written before all is known."""

from __future__ import annotations

from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from wizard_app.models import RFTJob
from wizard_app.schemas import SplitParams, SplitSummary
from wizard_app.services import Refused
from wizard_app.splitting import split_run


def run_split(ctx: JobContext) -> SplitSummary:
    run = RFTJob.objects.select_related("snapshot", "dataset", "workspace").get(pk=ctx.params["run"])

    def at(what: str, done: int, total: int) -> None:
        ctx.progress.begin(what, done=done, total=total)
        ctx.check()

    try:
        return split_run(run, SplitParams.model_validate(ctx.params["params"]), at=at)
    except Refused as refused:
        raise JobFailed(str(refused), "split") from None

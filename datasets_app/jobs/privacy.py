"""Looks through the records of a dataset for personal data and secrets."""

from __future__ import annotations

from typing import Any

from datasets_app import privacy
from datasets_app.core.hygiene import Held
from datasets_app.counters import take_turn
from datasets_app.models import Dataset
from datasets_app.models.findings import Summary
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, JobFailed


def run_scan_pii(ctx: JobContext) -> dict[str, Any]:
    """What is left to do is known from the rows themselves, so there is no cursor."""
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    try:
        summary = look_through(ctx, dataset)
    except privacy.Locked as locked:
        raise JobFailed(str(locked), "vault_locked") from None
    held = held_of(summary)
    return {
        "dataset": dataset.name,
        "total": summary.records,
        "pii": held.of(secret=False),
        "secrets": held.of(secret=True),
    }


def look_through(ctx: JobContext, dataset: Dataset) -> Summary:
    """Look through what is new or has changed, and count. Raises Again, Locked."""
    if left := privacy.left_to_scan(dataset):
        ctx.progress.begin("Looking for personal data and secrets", total=left)
    while True:
        with ctx.batch() as batch:
            take_turn(dataset.pk)
            batch.done = privacy.scan_slice(dataset)
            if not batch.done:
                return privacy.summarise(dataset)
        ctx.check()
        if ctx.slice_over:
            raise Again


def held_of(summary: Summary) -> Held:
    """The summary as a report counts it."""
    held = Held(personal=summary.personal, secrets=summary.secrets)
    held.kinds.update({kind: count.records for kind, count in summary.kinds.items()})
    return held

"""The whole run as one JSON document."""

from __future__ import annotations

from typing import Any

from .models import RFTJob


def run_report(run: RFTJob) -> dict[str, Any]:
    """Data, split, grader, dry run, curve and results of a run, as they are stored."""
    curve: dict[str, list[list[float]]] = {}
    for series, step, value in run.metrics.order_by("step").values_list("series", "step", "value"):
        curve.setdefault(series, []).append([step, value])
    return {
        "run": run.name,
        "dataset": run.dataset.name,
        "created_at": run.created_at.isoformat(),
        "base_model": run.base_model,
        "tuned_model": run.tuned_model,
        "snapshot": run.snapshot.content_hash if run.snapshot else None,
        "grader": run.grader_config,
        "hyperparameters": run.hyperparameters,
        "steps": {
            result.step: {"params": result.params, "summary": result.summary, "finished_at": result.finished_at}
            for result in run.steps.all()
        },
        "curve": curve,
        "deployments": list(run.deployments.values("model", "state", "created_at", "ended_at")),
    }

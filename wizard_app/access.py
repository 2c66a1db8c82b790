"""The only door to runs and what hangs on them: the user's own, or 404."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from datasets_app.models import Dataset

from .models import Deployment, RFTJob


def dataset(user: Any, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.of(user), pk=pk)


def run(user: Any, pk: int) -> RFTJob:
    runs = RFTJob.objects.of(user).select_related("dataset", "snapshot", "grader", "connection", "workspace")
    return get_object_or_404(runs, pk=pk)


def deployment(user: Any, pk: int, deployment_pk: int) -> Deployment:
    rows = Deployment.objects.select_related(
        "run__dataset", "run__snapshot", "run__grader", "run__connection", "run__workspace", "connection", "job"
    )
    found = rows.filter(run__in=RFTJob.objects.of(user))
    return get_object_or_404(found, run_id=pk, pk=deployment_pk)


def shown_deployment(run: RFTJob, pk: str) -> Deployment | None:
    """The run's standing deployment an address asks for; None where it asks for none."""
    return get_object_or_404(run.deployments.filter(ended_at=None), pk=int(pk)) if pk.isdecimal() else None

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
    found = Deployment.objects.select_related("run", "connection").filter(run__in=RFTJob.objects.of(user))
    return get_object_or_404(found, run_id=pk, pk=deployment_pk)

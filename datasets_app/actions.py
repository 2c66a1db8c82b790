"""Starting the repeatable actions of a dataset, and what is known of their last runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from rft_project.jobs.models import LIVE_STATES, Job, State
from rft_project.jobs.services import HasPk, enqueue

from .models import ActionRun, Dataset

SANITIZE, TOPICS, CATEGORIZE, REREAD = "sanitize", "topics", "categorize", "reread"
SCAN, RESORT, SPLIT, GENERATE = "scan_pii", "resort", "split_topic", "generate"
ACTIONS = (SANITIZE, TOPICS, CATEGORIZE, REREAD, SCAN, RESORT, SPLIT, GENERATE)


def start(dataset: Dataset, action: str, params: dict[str, Any], *, by: HasPk | None, unit: str = "records") -> Job:
    """Queue ``action`` on the dataset; pressing twice finds the job that is there."""
    lock = f"dataset:{dataset.pk}:{action}"
    with transaction.atomic():
        job = enqueue(action, {"dataset": dataset.pk, **params}, lock_key=lock, by=by, unit=unit)
        ActionRun.objects.get_or_create(job=job, defaults={"dataset": dataset, "action": action})
    return job


def last_run(dataset: Dataset, action: str) -> ActionRun | None:
    return dataset.action_runs.select_related("job").filter(action=action).first()


def last_runs(dataset: Dataset) -> dict[str, ActionRun]:
    """The newest run of every action that ever ran, in one query."""
    newest = dataset.action_runs.order_by().values("action").annotate(newest=Max("pk")).values("newest")
    return {run.action: run for run in ActionRun.objects.filter(pk__in=newest).select_related("job")}


def running(dataset: Dataset) -> set[str]:
    """The actions that are waiting or at work."""
    runs = dataset.action_runs.order_by().filter(job__state__in=LIVE_STATES)
    return set(runs.values_list("action", flat=True))


def last_result(dataset: Dataset, action: str, runs: Mapping[str, ActionRun] | None = None) -> dict[str, Any]:
    """What the last run that ended well returned, or {}. ``runs``: the newest ones, where they are known already."""
    run = runs.get(action) if runs is not None else None
    if run is not None and run.job.state == State.SUCCEEDED:
        return run.job.result
    ended = dataset.action_runs.filter(action=action, job__state=State.SUCCEEDED)
    return ended.values_list("job__result", flat=True).first() or {}

"""Starting an attack on a run's grader, and whether the last one still says something."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from datasets_app import consent
from graders_app.judging import asks_a_judge
from rft_project.jobs.models import Job
from rft_project.jobs.services import enqueue

from .core.digests import digest
from .models import Attack, RFTJob
from .receivers import about_judge, judge_connection
from .services import Refused


def mark_of(run: RFTJob) -> str:
    """Stands for what was attacked with what."""
    return digest([run.grader_config, run.frozen.content_hash])


def start_attack(run: RFTJob, *, by: Any, agreed: str = "") -> Job:
    """Queue the attack; asking twice finds the one at work. Raises Refused, and Unasked as ``ask_first`` does."""
    if run.snapshot is None or run.grader_config is None:
        raise Refused("Split the dataset and choose a grader first.")
    if asks_a_judge(run.grader_config) and judge_connection(run) is None:
        raise Refused("This grader asks a judge; name a judge model with one of the connections first.")
    consent.ask_first(about_judge(run), agreed=agreed, by=by)
    with transaction.atomic():
        job = enqueue("attack", {"run": run.pk}, lock_key=f"run:{run.pk}:attack", by=by, unit="answers")
        Attack.objects.update_or_create(run=run, defaults={"job": job})
    return job

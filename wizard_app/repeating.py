"""Asking a judge the same again, to see whether it agrees with itself: what it says by chance, no model can learn."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from datasets_app import consent
from graders_app.judging import asks_a_judge
from rft_project.jobs.models import Job
from rft_project.jobs.services import enqueue

from .attacking import mark_of
from .calibration import scored_answers
from .models import Repeats, RFTJob
from .receivers import about_judge, judge_connection
from .services import Refused


def start_repeats(run: RFTJob, *, by: Any, agreed: str = "") -> Job:
    """Queue the questions; asking twice finds those at work. Raises Refused, and Unasked as ``ask_first`` does."""
    if run.snapshot is None or run.grader_config is None or not scored_answers(run):
        raise Refused("There are no answers to judge again yet; make the dry run first.")
    if not asks_a_judge(run.grader_config):
        raise Refused("This grader asks no judge: the same answer always gets the same score.")
    if judge_connection(run) is None:
        raise Refused("This grader asks a judge; name a judge model with one of the connections first.")
    consent.ask_first(about_judge(run), agreed=agreed, by=by)
    with transaction.atomic():
        job = enqueue("repeats", {"run": run.pk}, lock_key=f"run:{run.pk}:repeats", by=by, unit="answers")
        Repeats.objects.update_or_create(run=run, defaults={"job": job})
    return job


def found_repeats(run: RFTJob) -> Repeats | None:
    """The last result, where it is about the grader and the split of today."""
    found = Repeats.objects.select_related("job").filter(run=run).first()
    if found is None or (found.spread is not None and found.mark != mark_of(run)):
        return None
    return found

"""Who is shown a run's records: the platform that answers, and the judge where the grader asks one."""

from __future__ import annotations

from typing import Any

from datasets_app import consent
from datasets_app.consent import Question
from graders_app.judging import asks_a_judge
from rft_project.connections.models import Connection
from rft_project.connections.services import with_role

from .models import RFTJob


def judge_connection(run: RFTJob) -> Connection | None:
    """Where answers are shown to a judge; None where the grader asks none, or nobody named one."""
    if run.grader_config is None or not asks_a_judge(run.grader_config):
        return None
    return with_role(run.workspace, "judge")


def about_judge(run: RFTJob) -> Question | None:
    """What somebody has to answer before the judge is shown records, None where there is nothing to ask."""
    judge = judge_connection(run)
    return consent.about_snapshot(run.frozen, judge) if judge is not None else None


def receivers(run: RFTJob, connection: Connection) -> list[Connection]:
    """``connection`` first; each once."""
    judge = judge_connection(run)
    return [connection] if judge is None or judge == connection else [connection, judge]


def question_about(run: RFTJob, connection: Connection) -> Question | None:
    """The first question that somebody has to answer before ``run`` asks the model of ``connection``."""
    for receiver in receivers(run, connection):
        question = consent.about_snapshot(run.frozen, receiver)
        if question is not None:
            return question
    return None


def ask_first(run: RFTJob, connection: Connection, *, agreed: str, by: Any) -> None:
    """``consent.ask_first`` for each receiver in turn. Raises Unasked."""
    for receiver in receivers(run, connection):
        consent.ask_first(consent.about_snapshot(run.frozen, receiver), agreed=agreed, by=by)

"""On whose account a run's calls go."""

from __future__ import annotations

from rft_project.connections.models import Connection
from rft_project.money.expenses import Account
from rft_project.money.models import Purpose

from .models import RFTJob
from .receivers import judge_connection


def about(run: RFTJob) -> str:
    return f"run:{run.pk}"


def account_of(run: RFTJob, connection: Connection, model: str, purpose: Purpose) -> Account:
    """A tuned model costs what its base model does where nobody says otherwise."""
    base = run.base_model if connection.pk == run.connection_id else ""
    return Account(run.workspace, about(run), run.name, connection, model, purpose, base)


def judging_account(run: RFTJob) -> Account | None:
    """For a grader that asks a judge; None where it asks none."""
    judge = judge_connection(run)
    return account_of(run, judge, judge.judge_model, Purpose.JUDGE) if judge is not None else None

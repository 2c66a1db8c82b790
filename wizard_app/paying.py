"""On whose account a run's calls go, what its steps may cost, and what its training has cost until now."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.utils import timezone

from rft_project.connections.models import Connection
from rft_project.ledger import services as ledger
from rft_project.money import expenses
from rft_project.money.expenses import Account
from rft_project.money.models import Purpose
from rft_project.money.prices import priced
from rft_project.money.ranges import Range, of_calls, of_running, of_training

from .items import TRAIN, row_facts
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


def prompt_tokens(run: RFTJob) -> float:
    """Tokens of a prompt of the split, on average: about four characters each."""
    rows = row_facts(run.frozen)
    return rows.characters / max(1, rows.train + rows.valid) / 4


def judged(run: RFTJob, answers: int, longest: int) -> Range:
    """The judge's part of scoring ``answers``; nothing where the grader asks none."""
    judge = judge_connection(run)
    if judge is None:
        return Range((0.0, 0.0))
    about_prompt = prompt_tokens(run)
    given = (about_prompt + 150, about_prompt + 400 + longest)  # the criterion, the answer, the reference
    return of_calls(priced(judge, judge.judge_model), answers, given, (50, 400), f"questions to {judge.judge_model}")


def cost_of_asking(run: RFTJob, connection: Connection, model: str, prompts: int, answers: int, longest: int) -> Range:
    """A dry run or one side of a comparison, with its judge."""
    calls = prompts * answers
    given = prompt_tokens(run)
    asked = of_calls(priced(connection, model, run.base_model), calls, (given, given), (1, longest), "answers")
    return asked + judged(run, calls, longest)


def cost_of_training(run: RFTJob, hyperparameters: dict[str, Any]) -> Range:
    rows = run.frozen.items.filter(part=TRAIN).count()
    return of_training(priced(run.platform_connection, run.base_model), rows, hyperparameters)


def cost_while_training(run: RFTJob, seconds: list[float], total_steps: int) -> Range | None:
    """``seconds``: of each step until now."""
    return of_running(priced(run.platform_connection, run.base_model), seconds, total_steps)


def count_training(run: RFTJob) -> None:
    """Write down what the training has cost until now. Raises CapReached where that is more than is allowed."""
    sums = dict(
        run.metrics.filter(series__in=["seconds", "judge_prompt_tokens", "judge_completion_tokens"])
        .order_by()
        .values_list("series")
        .annotate(total=Sum("value"))
    )
    seconds = float(sums["seconds"]) if "seconds" in sums else _since_start(run)
    rate = priced(run.platform_connection, run.base_model).training_hour
    judge = judge_connection(run)
    given, got = sums.get("judge_prompt_tokens", 0.0), sums.get("judge_completion_tokens", 0.0)
    judging = priced(judge, judge.judge_model).tokens(given, got) if judge is not None else 0.0
    usd = None if rate is None or judging is None else seconds / 3600 * rate + judging
    expenses.count_training(training_account(run), f"train:{run.training_key}", seconds, usd)


def _since_start(run: RFTJob) -> float:
    """Seconds. Some platforms, Bedrock among them, do not tell how long their steps take; so that a cap holds there
    too, the whole time counts, waiting included."""
    started = ledger.made_at(run.training_key, ledger.START)
    return 0.0 if started is None else (timezone.now() - started).total_seconds()


def training_account(run: RFTJob) -> Account:
    return account_of(run, run.platform_connection, run.base_model, Purpose.TRAINING)


def may_train(run: RFTJob, hyperparameters: dict[str, Any]) -> None:
    """Raises CapReached where not even the least that it may cost is left."""
    cost = cost_of_training(run, hyperparameters)
    expenses.allow(training_account(run), cost.usd[0] if cost.usd is not None else None)

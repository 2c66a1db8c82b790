"""Trying a run's grader on one answer to one of its records: logged, typed, or fresh from a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.http import Http404

from datasets_app import consent
from datasets_app.core.rows import item_of
from datasets_app.models import SnapshotItem
from graders_app.core.spec import parse_grader
from graders_app.judging import judge_of
from graders_app.trial import Trial, run_trial
from rft_project.connections.models import Connection
from rft_project.connections.services import local_connection, platform_for
from rft_project.money import expenses
from rft_project.money.models import Purpose
from rft_project.platforms.types import JsonDict, SampleRequest, text_of

from .choosing import forbidden, trainable
from .forms import LOGGED, SAMPLED
from .items import allowed_answers, answer_tokens
from .models import RFTJob
from .paying import account_of, judging_account
from .receivers import about_judge, ask_first
from .services import Refused


@dataclass(frozen=True)
class Tried:
    """An answer to one record and what the grader gave it. ``whose``: "The logged answer", or the model that spoke."""

    item_pk: int
    answer: str
    whose: str
    trial: Trial
    tool_calls: list[JsonDict]


def try_answer(run: RFTJob, item_pk: int, how: str, typed: str, *, agreed: str, by: Any) -> Tried:
    """Score an answer; nothing is stored but what a judge said.

    Raises Unasked where a model or a judge would be shown what nobody decided about, PlatformError where the model does
    not answer, Refused where there is no model, Http404 for a record of another run.
    """
    item = run.snapshot.items.filter(pk=item_pk).first() if run.snapshot is not None else None
    if item is None or run.grader_config is None:
        raise Http404
    if how == SAMPLED:
        whose, answer, calls = _sample(run, item, agreed=agreed, by=by)
    else:
        consent.ask_first(about_judge(run), agreed=agreed, by=by)
        logged = _logged(item)
        whose, answer, calls = ("The logged answer", *logged) if how == LOGGED else ("Your answer", typed, [])
    spec = parse_grader(run.grader_config)
    trial = run_trial(
        spec, answer, item_of(item.trace), tool_calls=calls, judge=judge_of(run.workspace, account=judging_account(run))
    )
    return Tried(item_pk, answer, whose, trial, calls)


def model_of(run: RFTJob) -> tuple[Connection, str]:
    """The run's base model; before its dry run the first that can be trained. Raises PlatformError, Refused."""
    if run.connection is not None and run.base_model:
        return _allowed(run.connection), run.base_model
    connection = _allowed(local_connection(run.workspace))
    for info in trainable(connection):
        return connection, info.id
    raise Refused("No model can be asked yet: plan the dry run with one, then come back.")


def _allowed(connection: Connection) -> Connection:
    if said := forbidden(connection, "sample"):
        raise Refused(said)
    return connection


def _logged(item: SnapshotItem) -> tuple[str, list[JsonDict]]:
    last = next(iter(reversed(item.trace.output_messages)), None)
    return (text_of(last.get("content")), list(last.get("tool_calls") or [])) if last is not None else ("", [])


def _sample(run: RFTJob, item: SnapshotItem, *, agreed: str, by: Any) -> tuple[str, str, list[JsonDict]]:
    connection, model = model_of(run)
    ask_first(run, connection, agreed=agreed, by=by)
    platform, trace = platform_for(connection), item.trace
    info = next((info for info in platform.capabilities().models if info.id == model), None)
    request = SampleRequest(
        model=model,
        messages=trace.messages,
        tools=trace.tools,
        max_tokens=answer_tokens(run.frozen, info),
        allowed_answers=allowed_answers(run.frozen) if info and info.needs_allowed_answers else [],
    )
    account, key = account_of(run, connection, model, Purpose.DRY_RUN), f"try:{uuid4().hex}"
    try:
        with expenses.held(account, key, *expenses.most_tokens(request)):
            sample = platform.sample(request)
            expenses.settle(account, key, sample.usage.prompt_tokens, sample.usage.completion_tokens)
    except expenses.CapReached as reached:
        raise Refused(str(reached)) from None
    answer = sample.answers[0]
    return f"The answer of {model}", answer.text, answer.tool_calls

"""The question before records with unreviewed findings go to a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from datasets_app import consent
from datasets_app.consent import Question
from rft_project.connections.models import Connection
from rft_project.platforms.errors import PlatformError
from wizard_app import flow
from wizard_app.attempts import as_trained
from wizard_app.forms import SAMPLED
from wizard_app.models import RFTJob
from wizard_app.receivers import judge_connection, question_about
from wizard_app.services import Refused
from wizard_app.trying import model_of

AGAIN = "again"  # the button that was pressed is the one that goes on with a failed job
ATTACK = "attack"  # no step of its own: it stands on the grader's page
TRIAL = "trial"  # likewise
REPEATS = "repeats"  # on the page of ratings
COMMANDS = {
    ATTACK: "do_attack",
    TRIAL: "do_trial",
    REPEATS: "do_repeats",
    flow.DRY_RUN: "do_dry_run",
    flow.TRAIN: "do_train",
    flow.RESULTS: "do_compare",
}
_LONGEST = 1_000  # characters of one field
_OURS = ("csrfmiddlewaretoken", "agreed")


@dataclass(frozen=True)
class SendingPanel:
    """``action`` and ``fields`` are the form that was sent, ``back`` the page it stands on."""

    run: RFTJob
    question: Question
    action: str
    fields: list[tuple[str, str]]
    back: str


def question_url(run: RFTJob, step: str, data: QueryDict, *, again: bool = False) -> str:
    """Where the question about a form that was sent is asked; a text too long for an address is not taken along."""
    fields = {name: value for name, value in data.items() if name not in _OURS and len(value) <= _LONGEST}
    query = urlencode({**fields, AGAIN: "on"} if again else fields)
    return f"{reverse('wizard:sending', args=[run.pk, step])}?{query}"


def sending_panel(run: RFTJob, step: str, asked: Mapping[str, str]) -> SendingPanel | None:
    """None where there is nothing to ask."""
    connection = _connection(run, step, asked.get("model", ""), asked.get("how", ""))
    if step not in COMMANDS or run.snapshot is None or connection is None:
        return None
    question = (
        consent.about_snapshot(run.snapshot, connection) if step == flow.TRAIN else question_about(run, connection)
    )
    if question is None:
        return None
    fields = [(name, value) for name, value in asked.items() if name != AGAIN]
    action = reverse(f"wizard:{COMMANDS[step]}", args=[run.pk])
    if AGAIN in asked:
        action = reverse("wizard:do_again", args=[run.pk, step])
    page = {ATTACK: flow.GRADER, TRIAL: flow.GRADER, REPEATS: "rate"}.get(step, step)
    return SendingPanel(run, question, action, fields, reverse(f"wizard:{page}", args=[run.pk]))


def _connection(run: RFTJob, step: str, model: str, how: str) -> Connection | None:
    """The one that was chosen with the model of a dry run, else the run's; the training's where it was trained."""
    if step in (ATTACK, REPEATS) or (step == TRIAL and how != SAMPLED):
        return judge_connection(run)
    if step == TRIAL:
        try:
            return model_of(run)[0]
        except (Refused, PlatformError):
            return None
    if step == flow.DRY_RUN and model:
        chosen = [one for one in run.workspace.connections.all() if str(one.pk) == model.partition("|")[0]]
        return chosen[0] if chosen else None
    return as_trained(run).connection if step == flow.RESULTS else run.connection

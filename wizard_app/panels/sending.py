"""The question before records with unreviewed findings go to a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from urllib.parse import urlencode

from django.http import HttpRequest
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
KEPT = "kept"  # the name under which a session holds what does not belong into an address
_LONGEST = 300  # characters of a field that travels in an address
_TEXTS = ("answer",)  # what a person typed stands in no address and in no log
_MOST_KEPT = 5  # forms of one session that wait for an answer
_OURS = ("csrfmiddlewaretoken", "agreed")


@dataclass(frozen=True)
class SendingPanel:
    """``action`` and ``fields`` are the form that was sent, ``back`` the page it stands on."""

    run: RFTJob
    question: Question
    action: str
    fields: list[tuple[str, str]]
    back: str


def question_url(request: HttpRequest, run: RFTJob, step: str, *, again: bool = False) -> str:
    """Where the question about the form that was sent is asked. Choices travel in the address, texts in the session."""
    fields = {name: str(value) for name, value in request.POST.items() if name not in _OURS}
    texts = {name: value for name, value in fields.items() if name in _TEXTS or len(value) > _LONGEST}
    query = {name: value for name, value in fields.items() if name not in texts}
    if again:
        query[AGAIN] = "on"
    if any(texts.values()):
        query[KEPT] = token_urlsafe(9)
        kept = [*request.session.get(KEPT, {}).items(), (query[KEPT], texts)]
        request.session[KEPT] = dict(kept[-_MOST_KEPT:])
    return f"{reverse('wizard:sending', args=[run.pk, step])}?{urlencode(query)}"


def asked_about(request: HttpRequest) -> dict[str, str] | None:
    """The form that the question is about, None where its texts are kept no more."""
    fields = {name: str(value) for name, value in request.GET.items() if name != KEPT}
    if KEPT not in request.GET:
        return fields
    texts = request.session.get(KEPT, {}).get(request.GET[KEPT])
    return None if texts is None else {**fields, **texts}


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
    return SendingPanel(run, question, action, fields, page_of(run, step))


def page_of(run: RFTJob, step: str) -> str:
    """The page that the form of ``step`` stands on."""
    page = {ATTACK: flow.GRADER, TRIAL: flow.GRADER, REPEATS: "rate"}.get(step, step)
    return reverse(f"wizard:{page}", args=[run.pk])


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

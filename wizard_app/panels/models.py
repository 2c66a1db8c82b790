"""The models a run can be trained on, as cards: who may train them and how long still, whether they fit, the price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.urls import reverse

from rft_project.connections.access import owns
from rft_project.connections.forms import FORMS
from rft_project.connections.models import Connection
from rft_project.connections.services import is_emulated, is_own_engine, local_connection
from rft_project.money.prices import FIELDS, priced
from rft_project.platforms import PLATFORMS
from rft_project.platforms.catalogue import PlatformEntry, days_left, entry, last_day
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import Access, ModelInfo
from rft_project.web.parts import Check
from rft_project.web.text import plural, usd
from wizard_app.choosing import forbidden, offered, unfit
from wizard_app.core.answering import efforts_of, room_for_thoughts
from wizard_app.core.fitting import closed, spoken
from wizard_app.items import answer_tokens, reads_json, row_facts
from wizard_app.models import RFTJob
from wizard_app.panels.costs import spoken_cost
from wizard_app.paying import cost_of_asking
from wizard_app.schemas import DryRunParams

SOON = 60  # days before a model's last that are worth a warning
WORDS = {
    Access.OPEN: ("Open", "good"),
    Access.EXISTING: ("Existing customers", "warn"),
    Access.INVITATION: ("By invitation", "warn"),
    Access.RETIRED: ("Retired", "bad"),
}


@dataclass(frozen=True)
class ModelCard:
    """One model of one connection. ``value``: what the form sends; '' where it cannot be chosen."""

    key: str
    value: str
    title: str
    where: str
    word: str
    tone: str
    summary: str
    facts: list[Check]
    chosen: bool = False
    emulated: bool = False

    @property
    def misfit(self) -> str:
        """The worst that keeps it from training on this run, '' where nothing does."""
        return next((fact.title for fact in self.facts if fact.state == "bad"), "")


@dataclass(frozen=True)
class PlatformCard:
    """A platform without a connection. ``url``: where one is made; '' for people who may not."""

    title: str
    word: str
    tone: str
    summary: str
    facts: list[Check]
    url: str


@dataclass(frozen=True)
class Chooser:
    """``unfit``: models that do not take this run's split or grader. ``problems``: connections that could not be asked,
    each with the platform's words. ``thinkers``: models that can be told how long to think, with the efforts they know;
    ``formed``: those whose answers can be of a set form, where this run has a use for that."""

    cards: list[ModelCard]
    unfit: list[ModelCard]
    closed: list[ModelCard]
    platforms: list[PlatformCard]
    problems: list[tuple[str, str]]
    thinkers: list[str]
    formed: list[str]

    @property
    def blocked(self) -> str:
        """Why no model can be chosen, '' when one can."""
        if self.cards or self.unfit:
            return ""
        return next(
            (f"{name}: {said}" for name, said in self.problems), "No connection has a model that can be trained."
        )

    @property
    def mostly(self) -> str:
        """The reason that most of ``unfit`` have, without a model's name; '' where there are none."""
        reasons = Counter(card.misfit.replace(card.title, "it") for card in self.unfit)
        return reasons.most_common(1)[0][0] if reasons else ""


def chooser(run: RFTJob, user: Any, today: date | None = None) -> Chooser:
    """Asks every connection of the workspace what it offers."""
    day = today or date.today()
    connections = list(run.workspace.connections.all())
    if not any(is_own_engine(connection) for connection in connections):
        connections.append(local_connection(run.workspace))
    connections.sort(key=lambda connection: not is_own_engine(connection))  # what costs nothing stands first
    cards: list[ModelCard] = []
    open_ones: list[ModelInfo] = []
    problems = [(one.name, said) for one in connections if (said := forbidden(one, "sample"))]
    asked = [connection for connection in connections if connection.may_sample]
    for connection, found in zip(asked, offered(asked), strict=True):
        if isinstance(found, PlatformError):
            problems.append((connection.name, str(found)))
            continue
        models = [info for info in found.models if info.method == "reinforcement"]
        cards += [_card(run, connection, info, day) for info in models]
        open_ones += [info for info in models if closed(info, day) is None]
    able = _one_chosen([card for card in cards if card.value], f"{run.connection_id}|{run.base_model}")
    return Chooser(
        cards=[card for card in able if card.chosen or not card.misfit],
        unfit=[card for card in able if card.misfit and not card.chosen],
        closed=[card for card in cards if not card.value],
        platforms=_unconnected(connections, owns(user, run.workspace), day),
        problems=problems,
        thinkers=_named(f"{info.label} ({', '.join(efforts_of(info))})" for info in open_ones if efforts_of(info)),
        formed=_named(info.label for info in open_ones if info.answer_form) if reads_json(run) else [],
    )


def _named(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _one_chosen(cards: list[ModelCard], value: str) -> list[ModelCard]:
    """The model of the last dry run, else the first that fits."""
    usual = [card.value for card in cards if not card.misfit]
    wanted = value if any(card.value == value for card in cards) else next(iter(usual), "")
    return [replace(card, chosen=card.value == wanted) for card in cards]


def _card(run: RFTJob, connection: Connection, info: ModelInfo, today: date) -> ModelCard:
    over = closed(info, today)
    word, tone = WORDS[Access.RETIRED if over is not None else info.access]
    if over is None and info.preview:
        word, tone = "Preview", "note"
    label = PLATFORMS[connection.kind][0]
    where = label if label == connection.name else f"{connection.name}, {label}"
    said = forbidden(connection, "train")
    barred = [Check("warn", "It may answer here, but not train.", said)] if said else []
    facts = [Check("bad", over.said)] if over is not None else [*_fit(run, info), *barred]
    facts += _terms(run, connection, info, today) if over is None else []
    return ModelCard(
        key=f"{connection.pk}-{info.id}",
        value="" if over is not None else f"{connection.pk}|{info.id}",
        title=info.label,
        where=where,
        word=word,
        tone=tone,
        summary=info.summary,
        facts=[Check("bad", over.said)]
        if over is not None
        else [*_fit(run, info), *barred, *_terms(run, connection, info, today)],
        emulated=is_emulated(connection),
    )


def _fit(run: RFTJob, info: ModelInfo) -> list[Check]:
    found = [Check("bad" if misfit.blocks else "note", misfit.said, misfit.remedy) for misfit in unfit(run, info)]
    if any(check.state == "bad" for check in found):
        return found
    rows = row_facts(run.frozen)
    fits = f"Takes the grader, {plural(rows.train, 'row')} to train on and {rows.valid:,} to check with."
    if not info.takes_validation:
        fits = f"Takes the grader and {plural(rows.train, 'row')} to train on; those to check with stay here."
    return [Check("good", fits), *found]


def _terms(run: RFTJob, connection: Connection, info: ModelInfo, today: date) -> list[Check]:
    """What it needs, until when, and what it costs."""
    found = [Check("note", sentence) for sentence in info.needs]
    end = _end(info, today)
    return [*found, *([end] if end is not None else []), *_price(run, connection, info)]


def _end(info: ModelInfo, today: date) -> Check | None:
    left, last = days_left(info, today), last_day(info)
    if left is None or last is None:
        return None
    when = "today is the last day" if left == 1 else f"closes in {left:,} days, {spoken(last)} is the last"
    serves = f"Tuned models answer until {spoken(info.serves_until)}." if info.serves_until else ""
    return Check("warn" if left <= SOON else "note", f"Training {when}.", serves)


def _price(run: RFTJob, connection: Connection, info: ModelInfo) -> list[Check]:
    """What it costs as far as anybody said, and what a dry run of the usual size comes to."""
    price = priced(connection, info.id)
    if price.training_hour == 0 and price.output == 0:
        return [Check("good", "Free: it runs on your own machine.")]
    known = [
        f"{usd(amount)} per {unit}" for name, unit in FIELDS.items() if (amount := getattr(price, name)) is not None
    ]
    if info.usd_per_million_tokens is not None:
        known.append(f"{usd(info.usd_per_million_tokens)} per million tokens trained")
    usual, longest = DryRunParams.model_fields, answer_tokens(run.frozen, info)
    prompts, answers = min(usual["size"].default, row_facts(run.frozen).train), usual["answers"].default
    cost = cost_of_asking(run, connection, info.id, prompts, answers, longest)
    room = room_for_thoughts(info, "")
    thoughts = [f"It thinks first: up to {room:,} of the tokens are thoughts."] if room else []
    assumed = " ".join([*cost.assumptions, *thoughts])
    dry_run = Check("note", f"A dry run of {plural(prompts, 'prompt')}: {spoken_cost(cost)}.", assumed)
    if not known:
        return [Check("note", "Its price is not known here; enter it on the page of prices."), dry_run]
    return [Check("note", f"{', '.join(known)}.", price.source), dry_run]


def _unconnected(connections: list[Connection], may_add: bool, today: date) -> list[PlatformCard]:
    have = {connection.kind for connection in connections}
    described = [(kind, entry(kind, today)) for kind in PLATFORMS if kind not in have]
    return [_platform(kind, found, may_add, today) for kind, found in described if found.models]


def _platform(kind: str, found: PlatformEntry, may_add: bool, today: date) -> PlatformCard:
    order = list(WORDS)
    word, tone = WORDS[min((model.access for model in found.models), key=order.index)]
    lines = [Check(_tone_of(model, today), _line(model, today)) for model in found.models]
    needs = [Check("note", sentence) for sentence in found.needs]
    url = reverse("connections:new_connection", args=[kind]) if may_add and kind in FORMS else ""
    return PlatformCard(PLATFORMS[kind][0], word, tone, found.summary, [*lines, *needs], url)


def _tone_of(model: ModelInfo, today: date) -> str:
    return "bad" if closed(model, today) is not None else "note"


def _line(model: ModelInfo, today: date) -> str:
    last = last_day(model)
    if closed(model, today) is not None:
        return f"{model.label}: retired" + (f", {spoken(last)} was the last day." if last else ".")
    words = "open, in preview" if model.preview else WORDS[model.access][0].lower()
    return f"{model.label}: {words}" + (f", until {spoken(last)}." if last else ".")

"""What the pages about money show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from rft_project.connections.access import owns
from rft_project.connections.models import Connection, Workspace
from rft_project.connections.services import is_emulated
from rft_project.platforms import PLATFORMS
from rft_project.platforms.catalogue import entry
from rft_project.spreadsheets import guarded

from .expenses import Spent, caps_of, spent
from .forms import CapForm, PriceForm
from .models import Cap, Expense, Price, Purpose
from .prices import FIELDS, UNKNOWN, price_of

LATEST = 12
COLUMNS = ["at", "subject", "purpose", "where", "model", "tokens_in", "tokens_out", "seconds", "usd", "settled"]


@dataclass(frozen=True)
class Meter:
    """What was spent by one subject or one workspace, and the most it may be."""

    spent: Spent
    cap: Cap | None
    purposes: list[dict[str, Any]]

    @property
    def form(self) -> CapForm:
        cap = self.cap
        return CapForm(initial={"usd": cap.usd, "tokens": cap.tokens} if cap is not None else {})


def meter(workspace: Workspace, about: str = "") -> Meter:
    mine, whole = caps_of(workspace, about)
    rows = Expense.objects.filter(workspace=workspace, about=about, settled=True).order_by()
    purposes = [{**line, "name": Purpose(line["purpose"]).label} for line in _by(rows, "purpose")] if about else []
    return Meter(spent(workspace, about), mine if about else whole, purposes)


@dataclass(frozen=True)
class SpendingPanel:
    """One workspace's month. ``by``: (name, calls, tokens, USD) by subject and by purpose, dearest first.

    ``emulated``: the names of the connections among them where nothing is real.
    """

    workspace: Workspace
    owned: bool
    meter: Meter
    subjects: list[dict[str, Any]]
    purposes: list[dict[str, Any]]
    latest: list[Expense]
    emulated: list[str]


def spending_panels(user: Any) -> list[SpendingPanel]:
    found = []
    for workspace in Workspace.objects.of(user).order_by("pk"):
        rows = Expense.objects.filter(workspace=workspace, at__gte=_month()).order_by()
        purposes = [{**line, "name": Purpose(line["purpose"]).label} for line in _by(rows, "purpose")]
        subjects = [{**line, "name": line["subject"]} for line in _by(rows, "about", "subject")]
        latest = list(rows.order_by("-at")[:LATEST])
        used = Connection.objects.filter(pk__in=rows.values("connection").distinct()).order_by("name")
        emulated = [connection.name for connection in used if is_emulated(connection)]
        owned = owns(user, workspace)
        found.append(SpendingPanel(workspace, owned, meter(workspace), subjects, purposes, latest, emulated))
    return found


def _month() -> Any:
    return timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _by(rows: Any, *fields: str) -> list[dict[str, Any]]:
    sums = {"calls": Count("pk"), "tokens": Sum("tokens_in") + Sum("tokens_out"), "usd": Sum("usd")}
    return sorted(rows.values(*fields).annotate(**sums), key=lambda line: (-(line["usd"] or 0), -line["tokens"]))


def expense_rows(workspace: Workspace) -> Iterator[list[str]]:
    """All expenses as lines of a table, the head first; no cell can be taken for a formula."""
    yield COLUMNS
    for expense in Expense.objects.filter(workspace=workspace).order_by("at").iterator():
        values = [getattr(expense, name) for name in COLUMNS]
        yield ["" if value is None else guarded(str(value)) for value in values]


@dataclass(frozen=True)
class PriceLine:
    platform: str
    model: str
    values: list[tuple[str, float | None]]
    source: str

    @property
    def known(self) -> bool:
        return self.source != UNKNOWN


@dataclass(frozen=True)
class PricePanel:
    workspace: Workspace
    owned: bool
    lines: list[PriceLine]
    form: PriceForm


def price_panel(user: Any, workspace: Workspace, form: PriceForm | None = None) -> PricePanel:
    """Every model the catalogue has, every one somebody entered, and those that have a role or were paid for."""
    names = {(kind, info.id) for kind in PLATFORMS if kind != "local" for info in entry(kind).models}
    names |= set(Price.objects.filter(workspace__in=[workspace]).values_list("kind", "model"))
    names |= set(Price.objects.filter(workspace=None).values_list("kind", "model"))
    used = Expense.objects.filter(workspace=workspace, connection__isnull=False)
    names |= set(used.values_list("connection__kind", "model").distinct())
    for connection in workspace.connections.exclude(kind="local"):
        roles = (connection.helper_model, connection.embedding_model, connection.judge_model)
        names |= {(connection.kind, model) for model in roles if model}
    lines = [_line(workspace, kind, model) for kind, model in sorted(names)]
    return PricePanel(workspace, owns(user, workspace), lines, form or PriceForm())


def _line(workspace: Workspace, kind: str, model: str) -> PriceLine:
    price = price_of(workspace, kind, model)
    values = [(unit, getattr(price, name)) for name, unit in FIELDS.items()]
    return PriceLine(PLATFORMS[kind][0] if kind in PLATFORMS else kind, model, values, price.source)

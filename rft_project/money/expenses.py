"""Holding money back before a call, and writing down what it cost. Caps hold whoever works at the same time.

Reading what is spent and holding back what comes next happen in one transaction that first takes its turn on the rows
of the caps, so that two workers never take the same remainder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from rft_project.connections.models import AuditEntry, Connection, Workspace
from rft_project.platforms.estimates import prompt_tokens
from rft_project.platforms.types import SampleRequest

from .models import Cap, Expense, Purpose
from .prices import ModelPrice, priced

#: An estimate that was held back by a worker that died counts for so long.
HELD = timedelta(hours=1)


class CapReached(Exception):
    """Nothing more may be spent; the text is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Spent:
    """``usd`` is what is known; ``unpriced`` the tokens, ``unpriced_seconds`` the training whose price is not."""

    usd: float = 0.0
    tokens: int = 0
    unpriced: int = 0
    unpriced_seconds: float = 0.0


@dataclass(frozen=True)
class Account:
    """On whose account calls go. ``about`` is ``run:12`` or ``dataset:3``; it may be that nothing is counted.

    The price is looked up once: an account lives as long as a slice of work.
    """

    workspace: Workspace
    about: str
    subject: str
    connection: Connection
    model: str
    purpose: Purpose
    base: str = ""

    @property
    def counted(self) -> bool:
        """Our own engine costs nothing."""
        return self.connection.kind != "local"

    @cached_property
    def price(self) -> ModelPrice:
        return priced(self.connection, self.model, self.base)

    def of(self, purpose: Purpose, connection: Connection, model: str) -> Account:
        return replace(self, purpose=purpose, connection=connection, model=model, base="")


def most_tokens(request: SampleRequest) -> tuple[int, int]:
    """Tokens in and out for which to hold money back: a platform may count the prompt anew for each answer."""
    return request.n * prompt_tokens(request), request.n * request.max_tokens


def hold(account: Account, key: str, tokens_in: float, tokens_out: float) -> None:
    """Hold back the estimate of one call. Raises CapReached, and nothing is held back then.

    The same ``key`` again holds nothing back twice; one that is settled already stays so.
    """
    if not account.counted:
        return
    usd = account.price.tokens(tokens_in, tokens_out)
    values = _values(account, usd) | {"tokens_in": round(tokens_in), "tokens_out": round(tokens_out)}
    with transaction.atomic():
        caps = _turn(account)
        if not Expense.objects.filter(workspace=account.workspace, key=key, settled=True).exists():
            for cap in caps:
                _room(cap, account, key, usd, round(tokens_in + tokens_out))
            Expense.objects.update_or_create(
                workspace=account.workspace, key=key, defaults={**values, "settled": False}
            )


def allow(account: Account, usd: float | None) -> None:
    """Raises CapReached where ``usd`` (None: not known) more would be too much; holds nothing back."""
    if account.counted:
        with transaction.atomic():
            for cap in _turn(account):
                _room(cap, account, "", usd, 0)


def settle(account: Account, key: str, tokens_in: int, tokens_out: int) -> None:
    """What the call really took. Belongs into the transaction that keeps its answer."""
    if not account.counted:
        return
    usd = account.price.tokens(tokens_in, tokens_out)
    values = _values(account, usd) | {"tokens_in": tokens_in, "tokens_out": tokens_out, "settled": True}
    Expense.objects.update_or_create(workspace=account.workspace, key=key, defaults=values)


def free(account: Account, key: str) -> None:
    """The call was not made or cost nothing: what was held back is free again."""
    Expense.objects.filter(workspace=account.workspace, key=key, settled=False).delete()


@contextmanager
def held(account: Account, key: str, tokens_in: float, tokens_out: float) -> Iterator[None]:
    """Hold back around calls that settle themselves; what is still held at the end is free again."""
    hold(account, key, tokens_in, tokens_out)
    try:
        yield
    finally:
        free(account, key)


def count_training(account: Account, key: str, seconds: float, usd: float | None) -> None:
    """What a training has cost until now: one row that grows. Raises CapReached where that is more than is allowed."""
    if not account.counted:
        return
    values = _values(account, usd) | {"seconds": seconds, "settled": True}
    with transaction.atomic():
        Expense.objects.update_or_create(workspace=account.workspace, key=key, defaults=values)
        caps = _turn(account)
    for cap in caps:
        _room(cap, account, "", 0.0, 0)


def spent(workspace: Workspace, about: str = "") -> Spent:
    """By ``about`` in all, or by the workspace in this month; estimates that are held back are not in it."""
    return _sum(_counting(workspace, about).filter(settled=True))


def caps_of(workspace: Workspace, about: str) -> tuple[Cap | None, Cap | None]:
    """The cap of ``about`` and that of the workspace."""
    found = {cap.about: cap for cap in Cap.objects.filter(workspace=workspace, about__in=["", about])}
    return (found.get(about) if about else None), found.get("")


def set_cap(workspace: Workspace, about: str, *, usd: Decimal | None, tokens: int | None, by: Any) -> None:
    """None in both takes the cap away."""
    subject = about or workspace
    limits = [f"${usd:,}" if usd is not None else "", f"{tokens:,} tokens" if tokens is not None else ""]
    detail = " and ".join(limit for limit in limits if limit) or "none"
    with transaction.atomic():
        AuditEntry.write("set cap", subject, workspace=workspace, actor=by, detail=detail)
        if usd is None and tokens is None:
            Cap.objects.filter(workspace=workspace, about=about).delete()
            return
        Cap.objects.update_or_create(workspace=workspace, about=about, defaults={"usd": usd, "tokens": tokens})


def _values(account: Account, usd: float | None) -> dict[str, Any]:
    return {
        "about": account.about,
        "subject": account.subject[:200],
        "connection": account.connection,
        "where": account.connection.name,
        "model": account.model[:200],
        "purpose": account.purpose,
        "usd": None if usd is None else Decimal(str(round(usd, 6))),
        "at": timezone.now(),
    }


def _turn(account: Account) -> list[Cap]:
    """The caps that hold for ``account``; their rows stay ours until the transaction ends."""
    mine = Cap.objects.filter(Q(about="") | Q(about=account.about), workspace=account.workspace).order_by("pk")
    mine.update(turns=F("turns") + 1)
    return list(mine)


def _counting(workspace: Workspace, about: str) -> QuerySet[Expense]:
    rows = Expense.objects.filter(workspace=workspace).order_by()
    if about:
        return rows.filter(about=about)
    first = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return rows.filter(at__gte=first)


def _sum(rows: QuerySet[Expense]) -> Spent:
    tokens, unpriced = F("tokens_in") + F("tokens_out"), Q(usd=None)
    found = rows.aggregate(
        known=Sum("usd"),
        tokens=Sum(tokens),
        unpriced=Sum(tokens, filter=unpriced),
        unpriced_seconds=Sum("seconds", filter=unpriced),
    )
    return Spent(
        usd=float(found["known"] or 0),
        tokens=found["tokens"] or 0,
        unpriced=found["unpriced"] or 0,
        unpriced_seconds=found["unpriced_seconds"] or 0.0,
    )


def _room(cap: Cap, account: Account, key: str, usd: float | None, tokens: int) -> None:
    """Raises CapReached where ``usd`` and ``tokens`` more would pass the cap."""
    whose = "this month's cap of the workspace" if not cap.about else "the cap of this run"
    if cap.about.startswith("dataset:"):
        whose = "the cap of this dataset"
    if cap.usd is not None and usd is None:
        raise CapReached(
            f"The price of {account.model} is not known, so {whose} in dollars can't hold: enter the price on the page "
            "of prices, or use a cap in tokens."
        )
    rows = _counting(account.workspace, cap.about).exclude(key=key) if key else _counting(account.workspace, cap.about)
    so_far = _sum(rows.filter(Q(settled=True) | Q(at__gt=timezone.now() - HELD)))
    if cap.usd is not None and usd is not None and so_far.usd + usd > float(cap.usd):
        raise CapReached(
            f"{whose[0].upper()}{whose[1:]}, ${cap.usd:,}, is reached: ${so_far.usd:,.2f} are spent or held back. "
            "Raise it, then go on; what is there is kept."
        )
    if cap.tokens is not None and so_far.tokens + tokens > cap.tokens:
        raise CapReached(
            f"{whose[0].upper()}{whose[1:]}, {cap.tokens:,} tokens, is reached: {so_far.tokens:,} are used or held "
            "back. Raise it, then go on; what is there is kept."
        )

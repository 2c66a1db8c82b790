"""Caps hold, nothing is counted twice, and a dead worker's estimate does not stay for ever."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection as database
from django.utils import timezone

from rft_project.connections.models import AuditEntry, Connection
from rft_project.connections.services import local_connection
from rft_project.money import expenses, prices
from rft_project.money.expenses import Account, CapReached
from rft_project.money.models import Expense, Purpose

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(workspace, owner):
    made = Connection(workspace=workspace, kind="openai", name="OpenAI")
    made.set_credentials({"api_key": "sk-emulated-for-tests"})
    made.save()
    prices.enter(workspace, "openai", "gpt", {"input": 1.0, "output": 10.0}, by=owner)
    return Account(workspace, "run:1", "Run one", made, "gpt", Purpose.DRY_RUN)


def cap(account, about="run:1", **limits):
    values = {"usd": None, "tokens": None, **limits}
    expenses.set_cap(account.workspace, about, **values, by=None)


def test_an_estimate_is_held_back_and_replaced_by_what_it_took(account):
    expenses.hold(account, "a", 1_000_000, 100_000)
    assert expenses.spent(account.workspace, "run:1").usd == 0.0
    expenses.settle(account, "a", 500_000, 10_000)
    assert expenses.spent(account.workspace, "run:1") == expenses.Spent(usd=0.6, tokens=510_000)
    expenses.hold(account, "a", 9_000_000, 0)  # asked again after a crash that came behind the commit
    expenses.settle(account, "a", 500_000, 10_000)
    assert expenses.spent(account.workspace, "run:1").usd == 0.6
    assert Expense.objects.count() == 1


def test_nothing_is_held_back_beyond_a_cap(account):
    cap(account, usd=Decimal("2.50"))
    expenses.hold(account, "a", 1_000_000, 0)
    expenses.hold(account, "b", 1_000_000, 0)
    with pytest.raises(CapReached) as reached:
        expenses.hold(account, "c", 1_000_000, 0)
    assert str(reached.value) == (
        "The cap of this run, $2.50, is reached: $2.00 are spent or held back. "
        "Raise it, then go on; what is there is kept."
    )
    expenses.free(account, "a")
    expenses.hold(account, "c", 1_000_000, 0)
    expenses.hold(account, "c", 1_000_000, 0)  # the same call again takes no more room
    assert set(Expense.objects.values_list("key", flat=True)) == {"b", "c"}


def test_a_workspace_has_a_cap_of_its_own_for_a_month(account):
    cap(account, about="", usd=Decimal(1))
    other = Account(account.workspace, "run:2", "Run two", account.connection, "gpt", Purpose.JUDGE)
    expenses.hold(other, "x", 900_000, 0)
    with pytest.raises(CapReached, match="This month's cap of the workspace"):
        expenses.hold(account, "a", 200_000, 0)
    Expense.objects.update(at=timezone.now() - timedelta(days=32), settled=True)
    expenses.hold(account, "a", 200_000, 0)


def test_a_price_nobody_knows_needs_a_cap_in_tokens(account):
    unknown = Account(account.workspace, "run:1", "Run one", account.connection, "mystery", Purpose.DRY_RUN)
    cap(account, usd=Decimal(5))
    with pytest.raises(CapReached, match="The price of mystery is not known"):
        expenses.hold(unknown, "a", 10, 10)
    cap(account, tokens=1_000)
    expenses.hold(unknown, "a", 600, 0)
    with pytest.raises(CapReached, match="1,000 tokens, is reached: 600 are used or held back"):
        expenses.hold(unknown, "b", 600, 0)
    expenses.settle(unknown, "a", 600, 0)
    spent = expenses.spent(account.workspace, "run:1")
    assert (spent.usd, spent.unpriced) == (0.0, 600)


def test_what_a_dead_worker_held_back_is_free_after_an_hour(account):
    cap(account, usd=Decimal(1))
    expenses.hold(account, "a", 900_000, 0)
    Expense.objects.update(at=timezone.now() - timedelta(minutes=61))
    expenses.hold(account, "b", 900_000, 0)


def test_a_training_grows_and_says_when_it_is_too_much(account):
    cap(account, usd=Decimal(10))
    training = Account(account.workspace, "run:1", "Run one", account.connection, "gpt", Purpose.TRAINING)
    expenses.count_training(training, "train:k", 100.0, 4.0)
    expenses.count_training(training, "train:k", 240.0, 9.0)
    assert expenses.spent(account.workspace, "run:1").usd == 9.0
    with pytest.raises(CapReached):
        expenses.count_training(training, "train:k", 300.0, 11.0)
    assert expenses.spent(account.workspace, "run:1").usd == 11.0
    with pytest.raises(CapReached):
        expenses.allow(training, 0.5)


def test_our_own_engine_is_never_counted(workspace):
    free = Account(workspace, "run:1", "Run", local_connection(workspace), "classifier", Purpose.DRY_RUN)
    expenses.set_cap(workspace, "", usd=Decimal("0.01"), tokens=1, by=None)
    expenses.hold(free, "a", 10**9, 10**9)
    expenses.settle(free, "a", 10**9, 10**9)
    assert Expense.objects.count() == 0


def test_a_price_is_looked_up_from_the_nearest_that_knows_it(account, owner):
    workspace = account.workspace
    assert prices.price_of(workspace, "openai", "gpt").output == 10.0
    prices.enter(None, "openai", "gpt", {"output": 7.0, "training_hour": 3.0}, by=owner)
    found = prices.price_of(workspace, "openai", "gpt")
    assert (found.input, found.output, found.training_hour, found.hosting_hour) == (1.0, 10.0, 3.0, None)
    assert prices.price_of(workspace, "openai", "ft:gpt:x", base="gpt").output == 10.0
    assert prices.price_of(workspace, "openai", "other").source == prices.UNKNOWN
    assert prices.price_of(workspace, "azure", "o4-mini-2025-04-16").training_hour == 100.0
    assert prices.price_of(workspace, "local", "anything") == prices.FREE
    prices.enter(workspace, "openai", "gpt", {}, by=owner)
    assert prices.price_of(workspace, "openai", "gpt").output == 7.0
    assert AuditEntry.objects.filter(action="enter price").count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_take_the_same_remainder(account):
    """Forty calls of 0.10 from four threads under a cap of 1.00."""
    cap(account, usd=Decimal(1))
    held: list[str] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                key = f"{name}.{number}"
                try:
                    expenses.hold(account, key, 100_000, 0)
                except CapReached:
                    continue
                held.append(key)
        finally:
            database.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 10
    assert Expense.objects.count() == 10

"""Every address about money as owner, member and stranger; what the pages say and the list holds."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from rft_project.connections.models import Connection
from rft_project.money import expenses, prices, urls
from rft_project.money.expenses import Account
from rft_project.money.models import Cap, Price, Purpose

pytestmark = pytest.mark.django_db
#: name -> status of (GET, POST) for owner, member and stranger.
TABLE = {
    "spending": {"owner": (200, 405), "colleague": (200, 405), "stranger": (200, 405)},
    "expense_list": {"owner": (200, 405), "colleague": (200, 405), "stranger": (404, 405)},
    "price_list": {"owner": (200, 422), "colleague": (200, 404), "stranger": (404, 404)},
    "set_cap": {"owner": (405, 302), "colleague": (405, 404), "stranger": (405, 404)},
}


@pytest.fixture
def account(workspace: Any) -> Account:
    made = Connection(workspace=workspace, kind="openai", name="OpenAI")
    made.set_credentials({"api_key": "sk-emulated-for-tests"})
    made.save()
    return Account(workspace, "run:1", "=Run one", made, "gpt", Purpose.DRY_RUN)


def address(name: str, workspace: Any) -> str:
    return reverse(f"money:{name}", args=[] if name == "spending" else [workspace.pk])


def test_the_table_has_every_address():
    assert {pattern.name for pattern in urls.urlpatterns} == set(TABLE)


@pytest.mark.parametrize("who", ["owner", "colleague", "stranger"])
def test_everybody_gets_what_the_table_says(request, workspace, client_of, who):
    client = client_of(request.getfixturevalue(who))
    found = {
        name: (client.get(address(name, workspace)).status_code, client.post(address(name, workspace)).status_code)
        for name in TABLE
    }
    assert found == {name: answers[who] for name, answers in TABLE.items()}


def test_a_month_is_told_by_subject_and_purpose_with_what_is_not_known(account, owner, stranger, client_of):
    prices.enter(account.workspace, "openai", "gpt", {"input": 2.0, "output": 8.0}, by=owner)
    expenses.settle(account, "a", 1_000_000, 125_000)
    judge = account.of(Purpose.JUDGE, account.connection, "wise")
    expenses.settle(judge, "b", 40_000, 1_000)
    expenses.set_cap(account.workspace, "", usd=Decimal(20), tokens=None, by=owner)
    page = client_of(owner).get(address("spending", account.workspace)).content.decode().replace("\xa0", " ")
    assert "3.00 USD of 20.00 USD" in page
    assert "41 thousand tokens" in page
    assert page.index("Dry run") < page.rindex("not known")
    assert "=Run one" not in client_of(stranger).get("/spending/").content.decode()


def test_the_list_holds_every_expense_and_no_formula(account, owner, client_of):
    expenses.settle(account, "a", 7, 3)
    answer = client_of(owner).get(address("expense_list", account.workspace))
    lines = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(line["subject"], line["tokens_in"], line["tokens_out"], line["usd"]) for line in lines] == [
        ("'=Run one", "7", "3", "")
    ]


def test_an_owner_enters_a_price_and_takes_it_away(workspace, owner, client_of):
    client, place = client_of(owner), address("price_list", workspace)
    given = {"kind": "bedrock", "model": " amazon.nova-2-lite-v1:0:256k ", "training_hour": "12.5", "input": "0"}
    assert client.post(place, given).status_code == 302
    page = client.get(place).content.decode().replace("\xa0", " ")
    assert "12.50 USD per hour of training" in page
    assert "entered on " in page
    assert client.post(place, {**given, "training_hour": "-1"}).status_code == 422
    client.post(place, {"kind": "bedrock", "model": given["model"]})
    assert not Price.objects.exists()


def test_a_cap_is_set_and_a_wrong_one_refused(workspace, owner, client_of):
    client, place = client_of(owner), address("set_cap", workspace)
    client.post(place, {"usd": "15.50", "tokens": "1000"})
    assert (Cap.objects.get().usd, Cap.objects.get().tokens) == (Decimal("15.50"), 1000)
    client.post(place, {"usd": "0"})
    assert Cap.objects.get().usd == Decimal("15.50")

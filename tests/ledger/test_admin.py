"""Operators look at calls that spend and decide about open ones; nothing is edited by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.test import Client
from django.urls import reverse

from rft_project.connections.models import AuditEntry
from rft_project.ledger.models import ExternalCall, State

pytestmark = pytest.mark.django_db
LIST = "admin:ledger_externalcall_changelist"


@pytest.fixture
def operator(owner: AbstractUser, client_of: Callable[[AbstractUser], Client]) -> Client:
    owner.is_staff = owner.is_superuser = True
    owner.save(update_fields=["is_staff", "is_superuser"])
    return client_of(owner)


def a_call(key: str, state: State = State.UNKNOWN) -> ExternalCall:
    return ExternalCall.objects.create(
        key=key, operation="start", content="c", subject="training of First run", state=state, attempts=2
    )


def act(operator: Client, action: str, *calls: ExternalCall, **more: Any) -> str:
    form = {"action": action, "_selected_action": [call.pk for call in calls], **more}
    answer = operator.post(reverse(LIST), form, follow=True)
    for call in calls:
        call.refresh_from_db()
    return answer.text


def test_operators_see_calls_and_cannot_edit_them(operator: Client) -> None:
    call = a_call("k")
    assert "training of First run" in operator.get(reverse(LIST)).text
    address = reverse("admin:ledger_externalcall_change", args=[call.pk])
    page = operator.get(address)
    assert (page.status_code, "_save" in page.text) == (200, False)
    assert operator.post(address, {"state": "confirmed"}).status_code == 403
    assert operator.get(reverse("admin:ledger_externalcall_add")).status_code == 403


def test_it_is_not_there(operator: Client, owner: AbstractUser) -> None:
    opened, known = a_call("one"), a_call("two", State.CONFIRMED)
    page = act(operator, "not_there", opened, known)
    assert (opened.state, opened.attempts, known.state) == (State.PLANNED, 0, State.CONFIRMED)
    assert "Nothing is open about the start for training of First run: its answer is known." in page
    assert [(e.action, e.actor) for e in AuditEntry.objects.all()] == [("call is not there", owner)]


def test_it_is_there(operator: Client) -> None:
    one, two = a_call("one"), a_call("two", State.SENT)
    assert "Choose one call: an id belongs to one." in act(operator, "is_there", one, two, remote_id="ftjob-1")
    assert "Enter the platform&#x27;s id of what was made." in act(operator, "is_there", one)
    act(operator, "is_there", one, remote_id="ftjob-1")
    assert (one.state, one.remote_id, two.state) == (State.CONFIRMED, "ftjob-1", State.SENT)
    assert [(e.action, e.detail) for e in AuditEntry.objects.all()] == [("call is there", "ftjob-1")]


def test_others_are_kept_out(colleague: AbstractUser, client_of: Callable[[AbstractUser], Client]) -> None:
    call = a_call("k")
    answer = client_of(colleague).post(reverse(LIST), {"action": "not_there", "_selected_action": [call.pk]})
    call.refresh_from_db()
    assert (answer.status_code, call.state) == (302, State.UNKNOWN)

"""The pages: what is shown, what is kept back, what a person is told."""

from __future__ import annotations

import re
from datetime import date
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from rft_project.connections import services
from rft_project.connections.models import OWNER, Connection, Membership, Workspace
from rft_project.connections.panels import offer
from rft_project.platforms.catalogue import entry
from tests.emulators.openai import Fault

pytestmark = pytest.mark.django_db

LIST = reverse("connections:connections")
NEW = reverse("connections:new_connection", args=["openai"])


def text(answer) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


@pytest.fixture
def page(owner, client_of):
    return client_of(owner)


def test_a_new_workspace_has_the_engine_of_the_server_and_the_top_bar_leads_here(page):
    shown = page.get(LIST)
    assert shown.status_code == 200
    assert f'href="{LIST}"' in page.get("/help/").content.decode()
    assert "This machine Not checked yet" in text(shown)
    assert "needs no account and no key" in text(shown)
    assert "Delete" not in text(shown)


def test_adding_checks_first_and_shows_only_the_end_of_the_key(page, emulator):
    answer = page.post(NEW, {"name": "Emulated", "api_key": emulator.key, "base_url": emulator.url}, follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    assert "Emulated answered and is saved." in answer.content.decode()
    assert f"key ending …{emulator.key[-4:]}" in text(answer)
    assert emulator.key not in answer.content.decode()
    assert ("GET", "/models") in emulator.requests


def test_a_key_the_platform_refuses_leaves_the_form_with_its_sentence_and_without_the_key(page, emulator):
    wrong = "sk-wrong-but-secret-0123456789"
    answer = page.post(NEW, {"name": "Emulated", "api_key": wrong, "base_url": emulator.url})
    assert answer.status_code == 422
    assert "OpenAI does not accept the key: Incorrect API key provided: …" in text(answer)
    assert wrong not in answer.content.decode()
    assert 'value="Emulated"' in answer.content.decode()
    assert Connection.objects.filter(kind="openai").count() == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"api_key": ""}, "This field is required."),
        ({"api_key": "two words"}, "A key is one word of plain letters, digits and signs; copy it again."),
        ({"api_key": "schlüssel-mit-umlaut"}, "A key is one word of plain letters, digits and signs; copy it again."),
        ({"base_url": "http://models.example.org/v1"}, "Only addresses that begin with https:// are called"),
        ({"base_url": "https://169.254.169.254/latest"}, "which is never called."),
        ({"base_url": "https://10.0.0.5/v1"}, "lists 10.0.0.5:443 in ALLOWED_PRIVATE_ENDPOINTS."),
        ({"base_url": "https://user:word@models.example.org/v1"}, "Write the address as https://host/path"),
        ({"name": "This machine"}, "is this server's own engine"),
    ],
)
def test_what_cannot_be_used_is_said_at_the_form(page, emulator, values, sentence):
    given = {"name": "Emulated", "api_key": emulator.key, "base_url": emulator.url, **values}
    answer = page.post(NEW, given)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert emulator.requests == []
    assert Connection.objects.filter(kind="openai").count() == 0


def test_checking_again_tells_what_the_platform_said(page, add, emulator):
    made = add("Emulated")
    emulator.faults.append(Fault("GET", "/models", 403, message="<b>Your country is not served.</b>"))
    answer = page.post(reverse("connections:check", args=[made.pk]), follow=True)
    assert "Emulated Last check failed" in text(answer)
    assert "&lt;b&gt;Your country is not served.&lt;/b&gt;" in answer.content.decode()
    assert "<b>Your country" not in answer.content.decode()
    answer = page.post(reverse("connections:check", args=[made.pk]), follow=True)
    assert "Emulated Works" in text(answer)


def test_a_new_key_replaces_the_old_one(page, add, emulator):
    made = add("Emulated")
    url = reverse("connections:credentials", args=[made.pk])
    assert f"the key ending …{emulator.key[-4:]}" in text(page.get(url))
    emulator.key = "sk-emulated-another-key-wxyz"
    answer = page.post(url, {"api_key": emulator.key, "base_url": emulator.url}, follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    assert "key ending …wxyz" in text(answer)
    assert page.post(url, {"api_key": "sk-wrong-0123456789", "base_url": emulator.url}).status_code == 422
    assert Connection.objects.get(pk=made.pk).credentials()["api_key"] == emulator.key


def test_deleting_takes_it_off_the_list(page, add):
    made = add("Emulated")
    answer = page.post(reverse("connections:delete", args=[made.pk]), follow=True)
    assert "Emulated is deleted." in answer.content.decode()
    assert not Connection.objects.filter(pk=made.pk).exists()


def test_the_own_engine_is_neither_deleted_nor_given_another_key(page, workspace):
    own = services.local_connection(workspace)
    answer = page.post(reverse("connections:delete", args=[own.pk]), follow=True)
    assert "The engine of this server is always there" in answer.content.decode()
    assert page.get(reverse("connections:credentials", args=[own.pk])).status_code == 404
    assert Connection.objects.filter(pk=own.pk).exists()


def test_somebody_new_gets_a_workspace_of_their_own_on_the_first_visit(db, client_of):
    person = User.objects.create_user("newcomer")
    assert client_of(person).get(LIST).status_code == 200
    assert client_of(person).get(NEW).status_code == 200
    assert [(m.role, m.workspace.name) for m in person.memberships.all()] == [(OWNER, "newcomer's workspace")]


def test_a_person_with_several_workspaces_chooses_one_of_their_own(page, owner, stranger, emulator):
    second = Workspace.objects.create(name="Second desk")
    Membership.objects.create(workspace=second, user=owner, role=OWNER)
    given = {"name": "Emulated", "api_key": emulator.key, "base_url": emulator.url}
    elsewhere = Membership.objects.get(user=stranger).workspace_id
    assert page.post(NEW, {**given, "workspace": elsewhere}).status_code == 422
    assert page.post(NEW, {**given, "workspace": second.pk}).status_code == 302
    assert Connection.objects.get(kind="openai").workspace == second
    assert "workspace Second desk" in text(page.get(LIST))


def test_a_kind_nobody_knows_is_404(page):
    assert page.get(reverse("connections:new_connection", args=["nonsense"])).status_code == 404


def test_the_page_says_what_the_catalogue_says_of_today(page):
    shown = text(page.get(LIST))
    assert entry("openai").notice in shown
    assert offer("openai").text in shown


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        (date(2026, 6, 1), "Training o4-mini is open only to organizations that already do it."),
        (date(2027, 2, 1), "It trains no model any more, so a run cannot end there."),
    ],
)
def test_an_offer_knows_the_date(day, sentence):
    assert sentence in offer("openai", day).text


def test_an_offer_tells_previews_from_what_is_open():
    assert offer("azure", date(2026, 11, 25)).text == (
        "Its models answer prompts with your key. Training o4-mini is open only to organizations that already do it. "
        "In preview it trains gpt-oss-120b, Qwen3.8 27B, Qwen3.6 35B A3B, Muse Glimmer 30B, MAI-Code 1.1 Flash."
    )


def test_the_list_asks_as_little_of_the_database_for_three_connections_as_for_one(page, add, django_assert_num_queries):
    add("One")
    page.get(LIST)
    with django_assert_num_queries(8):
        page.get(LIST)
    add("Two")
    add("Three")
    with django_assert_num_queries(8):
        page.get(LIST)


def test_a_connection_can_be_shown_when_its_key_is_lost(page, add, settings):
    from rft_project.connections.sealing import new_key

    add("Emulated")
    settings.FIELD_ENCRYPTION_KEYS = [new_key()]
    assert page.get(LIST).status_code == 200


def test_a_failing_connection_becomes_the_next_step(page, add):
    made = add("Emulated")
    assert "Nothing has to be added here" in text(page.get(LIST))
    Connection.objects.filter(pk=made.pk).update(last_error="It is gone.", checked_at=timezone.now())
    assert "Look at the connection that failed its last check." in text(page.get(LIST))
    services.check(made)
    assert "Nothing has to be added here" in text(page.get(LIST))

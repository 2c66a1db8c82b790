"""Pages of no app: their headers, who may see them, and what machines are told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from rft_project.jobs.models import Heartbeat, Job, State
from rft_project.web.context import VERSION
from rft_project.web.glossary import GLOSSARY

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}


def policy_of(answer) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/help/", 200), ("/account/", 200), ("/style/", 404), ("/nothing/", 404), ("/healthz", 200), ("/readyz", 503)],
)
def test_every_answer_carries_the_policy(signed_in: Client, path, status):
    answer = signed_in.get(path)
    assert (answer.status_code, policy_of(answer)) == (status, POLICY)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.urls("tests.web.urls_broken")
@pytest.mark.parametrize(
    ("how", "status", "title"),
    [
        ("error", 500, "Something went wrong here"),
        ("denied", 403, "You may not do this"),
        ("odd", 400, "This request cannot be read"),
    ],
)
def test_error_pages_have_the_look_and_tell_nothing(person: User, how, status, title):
    client = Client(raise_request_exception=False)
    client.force_login(person)
    answer = client.get(f"/fail/{how}/")
    page = answer.content.decode()
    assert (answer.status_code, policy_of(answer)) == (status, POLICY)
    assert f"<h1>{title}</h1>" in page
    assert "css/app.css" in page
    assert "secret-detail" not in page


def test_the_404_page_is_for_strangers_too(client: Client, db):
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert "Sign out" not in answer.content.decode()


def test_a_post_without_a_token_gets_a_page_of_ours(person: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    for headers in ({}, {"HX-Request": "true"}, {"Origin": "https://evil.example"}):
        answer = client.post("/account/", {"first_name": "x"}, headers=headers)
        assert (answer.status_code, policy_of(answer)) == (403, POLICY)
        assert "This page is too old" in answer.content.decode()


def test_a_post_with_the_token_in_the_header_htmx_sends_is_accepted(person: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    page = client.get("/account/").content.decode()
    token = re.search(r"hx-headers='\{\"X-CSRFToken\": \"(\w+)\"\}'", page)
    assert token
    answer = client.post("/account/", {"first_name": "x"}, headers={"X-CSRFToken": token[1], "HX-Request": "true"})
    assert answer.status_code == 302


def test_the_base_page_configures_htmx_closed(signed_in: Client):
    page = signed_in.get("/help/").content.decode()
    for setting in (
        '"allowEval":false',
        '"selfRequestsOnly":true',
        '"allowScriptTags":false',
        '"historyCacheSize":0',
        '"includeIndicatorStyles":false',
        '{"code":"422","swap":true}',
    ):
        assert setting in page
    assert re.findall(r"<script[^>]*>", page) == [
        '<script src="/static/django_htmx/htmx-2.min.js" defer>',
        '<script src="/static/js/app.js" defer>',
    ]


def test_the_top_bar_counts_the_jobs_of_this_person_only(person: User, staff: User, signed_in: Client):
    assert "No job running" in signed_in.get("/help/").content.decode()
    for index, (by, state) in enumerate(
        [(person, State.RUNNING), (person, State.WAITING), (person, State.FAILED), (staff, State.RUNNING)]
    ):
        Job.objects.create(kind="import", lock_key=str(index), requested_by=by, state=state)
    assert "2\u00a0jobs running" in signed_in.get("/help/").content.decode()


@pytest.mark.parametrize(
    ("cookie", "expected"), [("dark", ' data-theme="dark"'), ("light", ' data-theme="light"'), ('"><x', ""), ("", "")]
)
def test_the_theme_comes_with_the_first_byte(signed_in: Client, cookie, expected):
    signed_in.cookies["theme"] = cookie
    assert f'<html lang="en"{expected}>' in signed_in.get("/help/").content.decode()


def test_initials_and_name_stand_in_the_menu(signed_in: Client):
    page = signed_in.get("/help/").content.decode()
    assert '<summary class="avatar" aria-label="Your account">AL</summary>' in page
    assert "<b>Ada Lovelace</b>" in page
    assert "Components" not in page


def test_components_are_for_staff_and_show_every_part(staff: User, signed_in: Client):
    assert signed_in.get("/style/").status_code == 404
    client = Client()
    client.force_login(staff)
    page = client.get("/style/").content.decode()
    ids = re.findall(r' id="([^"]+)"', page)
    assert sorted(ids) == sorted(set(ids))
    for part in (
        "next",
        "stats",
        "verdict good",
        "verdict warn",
        "verdict bad",
        "checks",
        "box bad",
        "empty",
        "work",
        "field",
        "talk",
        "strip",
        "drop",
        "copy",
        "sparks",
    ):
        assert f'class="{part}"' in page
    assert page.count("<svg") == page.count("</svg>")
    assert "VAR" not in page


def test_help_explains_each_word_once_and_can_be_linked_to(signed_in: Client):
    page = signed_in.get("/help/").content.decode()
    anchors = [term.anchor for group in GLOSSARY for term in group.terms]
    assert len(anchors) == len(set(anchors)) >= 25
    assert all(f'<dt id="{anchor}">' in page for anchor in anchors)
    assert VERSION in page


def test_healthz_needs_nothing(client: Client, db):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_readyz_names_what_is_missing(client: Client, db):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not ready", "database": True, "migrations": True, "worker": False},
    )


def test_readyz_is_ready_with_a_worker_that_answered_lately(client: Client, db):
    beat = Heartbeat.objects.create(name="one", beat_at=timezone.now())
    assert (client.get("/readyz").status_code, client.get("/readyz").json()["status"]) == (200, "ready")
    Heartbeat.objects.filter(pk=beat.pk).update(beat_at=timezone.now() - timedelta(minutes=2))
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/help/", "/style/"])
def test_pages_that_only_show_refuse_a_post(signed_in: Client, path):
    assert signed_in.post(path).status_code == 405


def test_messages_become_a_toast_once(signed_in: Client):
    signed_in.post("/account/", {"first_name": "<i>"})
    assert 'data-toast="Your name was saved."' in signed_in.get("/account/").content.decode()
    assert "data-toast" not in signed_in.get("/account/").content.decode()

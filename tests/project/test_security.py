"""Rules that hold for every address of the site, whoever wrote the page behind it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import resolve, reverse

from tests.factories import import_file, make_dataset, record, write_lines
from tests.project.site import Address, addresses

pytestmark = pytest.mark.django_db

SITE = addresses()
OURS = [address for address in SITE if not address.of_admin]

#: Reviewed: what a person who is not signed in may ask for, and the answer.
OPEN_TO_ALL = {
    "sign_in": 200,
    "sign_in_by_link": 403,  # of a link that does not work
    "healthz": 200,
    "readyz": 503,  # no worker here
    "admin:login": 200,
}
#: Reviewed: pages and downloads. A GET of them changes nothing that matters to anybody else.
PAGES = {
    "home", "account", "help", "style", "healthz", "readyz", "sign_in", "sign_in_by_link",
    "datasets:datasets", "datasets:new_dataset", "datasets:dataset", "datasets:import_page", "datasets:review_import",
    "datasets:rejected", "datasets:report", "datasets:download_report", "datasets:topics", "datasets:record",
    "datasets:coverage_page",
    "datasets:records", "datasets:bulk_change", "datasets:edit_record", "datasets:changes", "datasets:snapshots",
    "datasets:snapshot_diff", "datasets:bulk_work",
    "datasets:summary", "datasets:coverage", "datasets:readiness", "datasets:actions", "datasets:topic_work",
    "datasets:import_work", "datasets:preview", "datasets:mend", "datasets:reread_work", "datasets:sanitize_work",
    "datasets:privacy", "datasets:privacy_work", "datasets:review", "datasets:question", "datasets:sorting",
    "datasets:generate", "datasets:gaps", "datasets:generation", "datasets:plan_totals", "datasets:generate_work",
    "datasets:topic", "datasets:topic_sources", "datasets:export_topics",
    "datasets:exports", "datasets:export", "datasets:download_export", "datasets:export_work",
    "graders:graders", "graders:new_grader", "graders:build_grader", "graders:build_dimensions", "graders:grader",
    "graders:edit_grader", "graders:export_grader", "graders:take_grader",
    "wizard:runs", "wizard:new_run", "wizard:run", "wizard:split", "wizard:grader", "wizard:dry_run", "wizard:train",
    "wizard:results", "wizard:deployments", "wizard:deployment", "wizard:standing",
    "wizard:playground", "wizard:report", "wizard:dry_run_work", "wizard:training",
    "money:spending", "money:expense_list", "money:price_list",
    "wizard:attack", "wizard:rate", "wizard:repeats", "wizard:splitting", "wizard:comparison", "wizard:sending",
    "connections:connections", "connections:new_connection", "connections:credentials",
}  # fmt: skip


#: Reviewed: called by platforms, who sign what they send. Unsigned, all of them answer 404.
SIGNED = {"openai_hook"}


def name(address: Address) -> str:
    return f"{address.name} {address.path}"


@pytest.fixture
def root(db) -> User:
    """May see everything, so that no 403 or 404 of a role hides a missing rule."""
    return User.objects.create_superuser("root", password="root's long password")


def test_every_address_made_from_a_pattern_leads_to_it():
    assert len(SITE) > 200
    wrong = [name(a) for a in OURS if resolve(a.path).view_name != a.name]
    assert wrong == []


def test_nobody_is_let_in_without_signing_in(client):
    found = {}
    for address in SITE:
        answer = client.get(address.path)
        kept_out = answer.status_code == 302 and re.match(r"/(admin/login|sign-in)/\?next=", answer["Location"])
        if not kept_out and address.name not in SIGNED:
            found[address.name] = answer.status_code
    assert found == OPEN_TO_ALL


def test_nobody_changes_anything_without_signing_in(client):
    found = {}
    for address in SITE:
        answer = client.post(address.path)
        kept_out = answer.status_code == 302 and re.match(r"/(admin/login|sign-in)/\?next=", answer["Location"])
        if not kept_out and answer.status_code != 405:
            found[address.name] = answer.status_code
    assert found == {"sign_in": 200, "admin:login": 200, **dict.fromkeys(SIGNED, 404)}


def test_what_is_no_reviewed_page_answers_405_to_a_get(root, client):
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    allowed = {a.name for a in OURS if a.name != "sign_out" and client.get(a.path).status_code != 405}
    assert allowed == PAGES & {a.name for a in OURS}
    assert sorted(PAGES - allowed) == []
    assert client.get(reverse("sign_out")).status_code == 405


def test_a_post_without_a_token_is_refused_everywhere(root):
    client = Client(enforce_csrf_checks=True)
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    for headers in ({}, {"HX-Request": "true"}, {"Origin": "https://evil.example"}):
        answers = {address.name: client.post(address.path, headers=headers).status_code for address in SITE}
        assert {name for name, status in answers.items() if status != 403} == SIGNED
        assert {answers[name] for name in SIGNED} == {404}


def test_a_foreign_origin_is_refused_even_with_a_token(root):
    client = Client(enforce_csrf_checks=True)
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    token = re.search(r'"X-CSRFToken": "(\w+)"', client.get("/account/").content.decode())
    headers = {"X-CSRFToken": token[1]}
    post = {"first_name": "Ro", "last_name": "Ot"}
    assert client.post("/account/", post, headers={**headers, "Origin": "https://evil.example"}).status_code == 403
    assert client.post("/account/", post, headers={**headers, "Origin": "http://testserver"}).status_code == 302


def test_every_kind_of_answer_carries_the_policy(root, workspace, owner, client_of, tmp_path):
    dataset = make_dataset(workspace)
    batch = import_file(dataset, write_lines(tmp_path / "t.jsonl", record("Where is my parcel now?"), "{broken"))
    client = client_of(owner)
    answers = {
        "page": client.get(dataset.get_absolute_url()),
        "region": client.get(reverse("datasets:summary", args=[dataset.pk]), headers={"HX-Request": "true"}),
        "redirect": client.get("/"),
        "form": client.post(reverse("datasets:new_dataset"), {"name": ""}),
        "download": client.get(reverse("datasets:rejected", args=[dataset.pk, batch.pk]) + "?download"),
        "missing": client.get("/nothing/"),
        "method": client.get(reverse("datasets:run_sanitize", args=[dataset.pk])),
        "token": Client(enforce_csrf_checks=True).post("/sign-in/"),
        "host": client.get("/help/", headers={"Host": "evil.example"}),
        "admin": Client().get("/admin/login/"),
        "json": client.get("/readyz"),
    }
    found = {kind: answer.status_code for kind, answer in answers.items()}
    assert found == {
        "page": 200, "region": 200, "redirect": 302, "form": 422, "download": 200, "missing": 404, "method": 405,
        "token": 403, "host": 400, "admin": 200, "json": 503,
    }  # fmt: skip
    for kind, answer in answers.items():
        policy = answer["Content-Security-Policy"]
        assert (kind, re.findall(r"default-src 'none'|unsafe|\*", policy)) == (kind, ["default-src 'none'"])
        assert (kind, answer["X-Content-Type-Options"]) == (kind, "nosniff")
    assert answers["download"]["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "https:///evil.example",
    ],
)
def test_signing_in_never_leads_to_another_site(client, root, target):
    given = {"username": "root", "password": "root's long password", "next": target}
    answer = client.post("/sign-in/", given)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    client.logout()
    assert client.post(f"/sign-in/?next={target}", {**given, "next": ""})["Location"] == "/"


def test_signing_in_leads_to_the_page_one_came_for(client, root):
    given = {"username": "root", "password": "root's long password", "next": "/help/"}
    assert client.post("/sign-in/", given)["Location"] == "/help/"

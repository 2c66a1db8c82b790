"""Who does what: roles of models, what a connection may do, and what an owner's word means for runs."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse
from pydantic import SecretStr

from rft_project.connections import services
from rft_project.connections.forms import FORMS
from rft_project.connections.models import SECRET_FIELDS, AuditEntry, Connection
from rft_project.platforms import PLATFORMS, adapter
from rft_project.platforms.errors import PlatformError
from tests.emulators.openai import Fault

pytestmark = pytest.mark.django_db

LIST = reverse("connections:connections")


def text(answer) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


@pytest.fixture
def page(owner, client_of):
    return client_of(owner)


def give(page, connection: Connection, role: str, model: str):
    url = reverse("connections:set_role", args=[connection.workspace_id, role])
    return page.post(url, {"connection": str(connection.pk), "model": model}, follow=True)


def test_a_model_is_asked_before_it_has_a_role_and_the_table_names_it(page, add, emulator):
    made = add("Emulated")
    model = made.abilities["models"][0]
    answer = give(page, made, "judge", model)
    assert f"Emulated: {model} is the judge model from now on." in text(answer)
    assert f"Judge {model} of Emulated emulated Remove" in text(answer)
    assert ("POST", "/chat/completions") in emulator.requests
    assert AuditEntry.objects.filter(action="set judge model", detail=model).count() == 1


def test_a_model_that_does_not_answer_gets_no_role(page, add, emulator):
    made = add("Emulated")
    emulator.faults.append(Fault("POST", "/chat/completions", 404, message="No such model."))
    answer = give(page, made, "helper", "nobody-1")
    assert "Emulated: nobody-1 does not answer, so it was not saved" in text(answer)
    made.refresh_from_db()
    assert made.helper_model == ""


def test_one_judge_at_a_time_and_a_removed_one_leaves_the_sentence_of_nobody(page, add):
    first, second = add("One"), add("Two")
    model = first.abilities["models"][0]
    give(page, first, "judge", model)
    give(page, second, "judge", model)
    assert list(Connection.objects.exclude(judge_model="").values_list("name", flat=True)) == ["Two"]
    assert "graders that ask a model can't score yet" in text(give(page, second, "judge", ""))


def test_of_embedding_models_several_stay(add, owner):
    first, second = add("One"), add("Two")
    for one in (first, second):
        services.set_role(one, "embedding", "text-embedding-3-small", by=owner)
    assert Connection.objects.exclude(embedding_model="").count() == 2


def test_listed_models_are_suggested_with_their_connection(page, add):
    made = add("Emulated")
    shown = page.get(LIST).content.decode()
    for model in made.abilities["models"]:
        assert f'<option value="{model}">Emulated</option>' in shown
    assert '<option value="text-embedding-3-small">Emulated</option>' in shown


def test_a_role_of_nobodys_connection_is_404(page, add, stranger, client_of):
    made = add("Emulated")
    url = reverse("connections:set_role", args=[made.workspace_id, "judge"])
    for given in ("", "nonsense", "6b1f1c8e-0000-4000-8000-000000000000"):
        assert page.post(url, {"connection": given, "model": "m"}).status_code == 404
    assert page.post(reverse("connections:set_role", args=[made.workspace_id, "cook"]), {}).status_code == 404
    elsewhere = reverse("connections:set_role", args=[stranger.memberships.get().workspace_id, "judge"])
    own = client_of(stranger)
    assert own.post(elsewhere, {"connection": str(made.pk), "model": "m"}).status_code == 404


def test_forbidding_is_kept_audited_and_touches_only_what_stood_on_the_page(page, add):
    first, second, later = add("One"), add("Two"), add("Added since")
    url = reverse("connections:permit", args=[first.workspace_id, "train"])
    page.post(url, {"shown": [str(first.pk), str(second.pk)], "allowed": [str(second.pk)]})
    may = {one.name: (one.may_train, one.may_sample) for one in Connection.objects.filter(kind="openai")}
    assert may == {"One": (False, True), "Two": (True, True), later.name: (True, True)}
    audited = AuditEntry.objects.filter(action__contains="training").values_list("action", "subject")
    assert list(audited) == [("forbid training", "One")]
    assert "An owner does not let it train." in text(page.get(LIST))
    assert page.post(reverse("connections:permit", args=[first.workspace_id, "cook"])).status_code == 404


def test_a_member_reads_the_table_without_its_controls(add, colleague, client_of, page):
    made = add("Emulated")
    give(page, made, "helper", made.abilities["models"][0])
    shown = client_of(colleague).get(LIST)
    assert f"{made.abilities['models'][0]} of Emulated" in text(shown)
    assert reverse("connections:set_role", args=[made.workspace_id, "helper"]) not in shown.content.decode()
    assert reverse("connections:permit", args=[made.workspace_id, "train"]) not in shown.content.decode()


def test_every_secret_of_every_platform_is_known_as_one():
    found = {
        name
        for kind in PLATFORMS
        for name, field in adapter(kind).credentials.model_fields.items()
        if field.annotation is SecretStr
    }
    assert found <= set(SECRET_FIELDS)


# --- changing a connection -------------------------------------------------------------------------------------------


def test_a_secret_left_out_stays_where_the_place_stays(page, add, emulator):
    made = add("Emulated", project="proj_one")
    url = reverse("connections:credentials", args=[made.pk])
    shown = page.get(url).content.decode()
    assert 'value="proj_one"' in shown
    assert emulator.key not in shown
    assert page.post(url, {"base_url": emulator.url, "project": "proj_two"}).status_code == 302
    kept = Connection.objects.get(pk=made.pk).credentials()
    assert (kept["api_key"], kept["project"]) == (emulator.key, "proj_two")


def test_a_stored_secret_goes_to_no_other_address(page, add, emulator, settings):
    made = add("Emulated")
    asked = len(emulator.requests)
    other = emulator.url.replace("127.0.0.1", "localhost")
    settings.ALLOWED_PRIVATE_ENDPOINTS = [*settings.ALLOWED_PRIVATE_ENDPOINTS, other.split("/")[2]]
    answer = page.post(reverse("connections:credentials", args=[made.pk]), {"base_url": other})
    assert answer.status_code == 422
    assert "Enter it: a stored key goes to no other address, region or account than its own." in text(answer)
    assert len(emulator.requests) == asked


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"region": "us-east-1"}, {"secret_access_key": "s", "session_token": "t"}),
        ({"region": "us-west-2"}, {}),
        ({"region": "us-east-1", "endpoint_url": "https://elsewhere.example.org"}, {}),
        ({"region": "us-east-1", "secret_access_key": "new"}, {}),
        ({"region": "us-east-1", "session_token": ""}, {"secret_access_key": "s"}),
    ],
)
def test_which_secrets_go_along(workspace, given, kept):
    connection = Connection(workspace=workspace, kind="openai", name="x")
    connection.set_credentials({"region": "us-east-1", "secret_access_key": "s", "session_token": "t"})
    found = services.with_kept(connection, given)
    assert {name: value for name, value in found.items() if value} == {
        name: value for name, value in {**kept, **given}.items() if value
    }


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("subscription", "ours", "A subscription's id looks like"),
        ("resource_group", "a/b", "A resource group's name has"),
        ("endpoint", "https://user@name.openai.azure.com", "Write the address as https://host/path"),
        ("deployments", "o4-mini", "Write one line for each model"),
        ("api_key", "", "Enter the key, or sign in with"),
    ],
)
def test_what_azure_does_not_take_is_said_at_its_field(page, field, value, sentence):
    given = {"name": "Ours", "endpoint": "https://8.8.8.8", "sign_in": "key", "api_key": "k" * 20, field: value}
    answer = page.post(reverse("connections:new_connection", args=["azure"]), given)
    assert answer.status_code == 422
    form = answer.context["form"]
    assert set(form.errors) == {field}
    assert sentence in form.errors[field][0]


def test_what_would_help_is_kept_with_the_error_and_can_be_copied(page, add):
    made = add("Emulated")
    policy = '{"Effect": "Allow", "Action": "s3:PutObject"}'
    Connection.objects.filter(pk=made.pk).update(last_error="It may not write.", remedy=policy)
    shown = page.get(LIST)
    assert policy in text(shown)
    assert f'data-copy="remedy-{made.pk}"' in shown.content.decode()
    services.check(made)
    made.refresh_from_db()
    assert (made.last_error, made.remedy) == ("", "")


def test_a_remedy_holds_no_secret():
    problem = PlatformError("No.", remedy="api_key=sk-very-secret-0123456789 and\x00 more")
    assert services._remedy(problem) == "api_key=*** and more"


BEDROCK = {"name": "Ours", "region": "us-east-1", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "k" * 40}


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"region": "Virginia"}, "region", "A region looks like us-east-1."),
        ({"bucket": "s3://ours"}, "bucket", "write it without s3://"),
        ({"job_role_arn": "job-role"}, "job_role_arn", "A role's ARN looks like"),
        ({"secret_access_key": ""}, "secret_access_key", "Enter both parts of the access key"),
        ({"sign_in": "profile"}, "profile", "Enter the profile's name"),
        ({"sign_in": "server"}, "__all__", "which only its operator may hand out"),
        ({"endpoint_url": "https://169.254.169.254"}, "endpoint_url", "which is never called."),
    ],
)
def test_what_bedrock_does_not_take_is_said_at_its_field(page, given, field, sentence):
    url = reverse("connections:new_connection", args=["bedrock"])
    answer = page.post(url, {"sign_in": "keys", **BEDROCK, **given})
    assert answer.status_code == 422
    form = answer.context["form"]
    assert set(form.errors) == {field}
    assert sentence in form.errors[field][0]
    assert BEDROCK["secret_access_key"] not in answer.content.decode()


def test_to_ask_models_over_openais_protocol_a_bedrock_key_is_enough(db):
    given = {"region": "us-east-1", "api_key": "bedrock-key-0123456789", "sign_in": "keys"}
    form = FORMS["bedrock_openai"](given)
    assert form.is_valid(), form.errors
    assert form.credentials() == {"region": "us-east-1", "api_key": "bedrock-key-0123456789"}
    half = FORMS["bedrock_openai"]({**given, "access_key_id": "AKIAEXAMPLE"})
    assert set(half.errors) == {"secret_access_key"}


def test_changing_from_keys_to_this_servers_sign_in_forgets_the_keys(workspace):
    connection = Connection(workspace=workspace, kind="bedrock", name="x")
    connection.set_credentials({name: value for name, value in BEDROCK.items() if name != "name"})
    form = FORMS["bedrock"](connection=connection)
    assert form["sign_in"].value() == "keys"
    changed = FORMS["bedrock"]({**BEDROCK, "secret_access_key": "", "sign_in": "server"}, connection=connection)
    assert changed.is_valid(), changed.errors
    assert changed.credentials() == {"region": "us-east-1"}
    kept = FORMS["bedrock"]({**BEDROCK, "secret_access_key": "", "bucket": "ours"}, connection=connection)
    assert kept.is_valid(), kept.errors
    assert kept.credentials()["secret_access_key"] == BEDROCK["secret_access_key"]


def test_every_field_of_every_form_stands_in_one_group(workspace):
    for kind, form in FORMS.items():
        named = [name for group in form.GROUPS for name in group.names]
        assert (kind, sorted(named)) == (kind, sorted(form(workspaces=[]).fields))

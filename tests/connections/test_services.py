"""Saving, checking, replacing and deleting; the platform is a real server on loopback."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from rft_project.connections import services
from rft_project.connections.forms import FORMS
from rft_project.connections.models import AuditEntry, Connection
from rft_project.connections.services import LOCAL_NAME, Refused, local_connection, platform_for
from rft_project.platforms import PLATFORMS
from rft_project.platforms.errors import PlatformError
from tests.emulators import azure
from tests.emulators.openai import TRAINABLE, Fault
from tests.worker import free_port

pytestmark = pytest.mark.django_db


def audit() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "subject", "actor__username"))


def test_every_platform_has_a_form():
    assert set(FORMS) == set(PLATFORMS)


def test_a_connection_that_answers_is_saved_with_what_it_can_do(add, emulator):
    made = Connection.objects.get(pk=add("Emulated").pk)
    assert (made.kind, made.hint, made.address, made.last_error) == ("openai", emulator.key[-4:], emulator.url, "")
    assert made.checked_at is not None
    assert made.abilities["answers"] >= 1
    assert made.credentials() == emulator.credentials
    assert audit() == [("add connection", "Emulated", "owner")]


def test_a_wrong_key_is_not_saved_and_nowhere_repeated(add, emulator):
    wrong = "sk-wrong-but-secret-0123456789"
    with pytest.raises(Refused) as refused:
        add("Emulated", api_key=wrong)
    entry = AuditEntry.objects.get()
    assert "does not accept the key" in str(refused.value)
    assert (entry.action, entry.detail) == ("connection check failed", str(refused.value))
    assert wrong not in entry.detail
    assert Connection.objects.count() == 0


def test_the_address_is_judged_when_saved_and_on_every_use(add, emulator, settings):
    made = add("Emulated")
    asked = len(emulator.requests)
    settings.ALLOWED_PRIVATE_ENDPOINTS = []
    with pytest.raises(PlatformError, match="https"):
        platform_for(made)
    assert "https" in services.check(made)
    with pytest.raises(Refused, match="https"):
        add("Another")
    assert len(emulator.requests) == asked


def test_an_azure_endpoint_is_judged_too(workspace, owner, settings):
    with azure.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        values = {"endpoint": running.origin, "api_key": running.key}
        made = services.add(workspace, "azure", "Ours", values, by=owner)
        asked = len(running.requests)
        assert (made.address, services.is_emulated(made)) == (running.origin, True)
        settings.ALLOWED_PRIVATE_ENDPOINTS = []
        with pytest.raises(PlatformError, match="https"):
            platform_for(made)
        assert len(running.requests) == asked


@pytest.mark.parametrize("changes", [{"api_key": ""}, {}])
def test_only_an_operator_lends_the_servers_own_sign_in(workspace, owner, settings, monkeypatch, changes):
    """Without a key every call is made as the server, with a key and an account those that deploy."""
    with azure.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        values = {**running.credentials, **changes}
        with pytest.raises(Refused, match="only its operator may hand out"):
            services.add(workspace, "azure", "Ours", values, by=owner)
        assert running.requests == []
        owner.is_superuser = True
        assert services.add(workspace, "azure", "Ours", values, by=owner).last_error == ""


@pytest.mark.parametrize(
    ("kind", "address", "emulated"),
    [
        ("openai", "http://127.0.0.1:8801/v1", True),
        ("openai", "https://api.openai.com/v1", False),
        ("openai", "", False),
        ("azure", "http://127.0.0.1:8802", True),
        ("local", "http://127.0.0.1:8765/v1", False),
        ("compatible", "http://localhost:11434/v1", False),
    ],
)
def test_a_paid_platform_on_this_machine_is_emulated(kind, address, emulated):
    assert services.is_emulated(Connection(kind=kind, address=address)) is emulated


def test_two_connections_of_one_name_are_refused(add):
    add("Emulated")
    with pytest.raises(Refused) as refused:
        add(" Emulated ")
    assert refused.value.field == "name"
    assert Connection.objects.count() == 1


def test_the_name_of_the_own_engine_is_taken(add):
    with pytest.raises(Refused, match="own engine"):
        add(LOCAL_NAME.upper())


def test_a_check_remembers_the_platforms_sentence_and_forgets_it_when_mended(add, emulator, owner):
    made = add("Emulated")
    emulator.faults.append(Fault("GET", "/models", 500, message="The lights are off."))
    sentence = services.check(made, by=owner)
    made.refresh_from_db()
    assert "The lights are off." in sentence == made.last_error
    assert services.check(made, by=owner) == ""
    made.refresh_from_db()
    assert made.last_error == ""
    assert audit() == [("add connection", "Emulated", "owner"), ("connection check failed", "Emulated", "owner")]


def test_credentials_are_replaced_only_when_the_new_ones_answer(add, emulator, owner):
    made = add("Emulated")
    old = made.sealed
    with pytest.raises(Refused):
        services.replace_credentials(made, {**emulator.credentials, "api_key": "sk-wrong-0123456789"}, by=owner)
    assert Connection.objects.get().sealed == old
    emulator.key = "sk-emulated-second-key-abcd"
    services.replace_credentials(made, emulator.credentials, by=owner)
    stored = Connection.objects.get()
    assert (stored.credentials(), stored.hint) == (emulator.credentials, "abcd")
    assert audit()[-1] == ("replace credentials", "Emulated", "owner")


def test_a_stored_key_never_goes_to_an_address_entered_later(add, emulator, owner):
    made = add("Engine", kind="local")
    services.replace_credentials(made, {"base_url": emulator.url, "api_key": emulator.key}, by=owner)
    with pytest.raises(Refused):  # an address alone brings no key along
        services.replace_credentials(made, {"base_url": emulator.url}, by=owner)
    assert "authorization" not in emulator.headers[-1] or emulator.key not in emulator.headers[-1]["authorization"]


def test_the_servers_engine_key_goes_only_to_the_servers_engine(workspace, owner, emulator, settings):
    settings.ENGINE_KEY = "the-key-of-our-own-engine"
    with pytest.raises(Refused):
        services.add(workspace, "local", "Elsewhere", {"base_url": emulator.url}, by=owner)
    assert emulator.headers
    assert [h for h in emulator.headers if settings.ENGINE_KEY in h.get("authorization", "")] == []


def test_the_own_engine_follows_the_settings_and_needs_no_permission(workspace, emulator, settings):
    settings.ALLOWED_PRIVATE_ENDPOINTS = []
    settings.ENGINE_URL, settings.ENGINE_KEY = emulator.url, emulator.key
    platform_for(local_connection(workspace)).check()
    settings.ENGINE_URL = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(PlatformError, match="can't be reached"):
        platform_for(local_connection(workspace)).check()


def test_the_own_engine_is_one_per_workspace_beside_others(add, workspace, owner):
    add("A GPU host", kind="local")
    own = local_connection(workspace)
    assert (own.name, local_connection(workspace).pk) == (LOCAL_NAME, own.pk)
    for change in (services.delete, lambda c, by: services.replace_credentials(c, {}, by=by)):
        with pytest.raises(Refused):
            change(own, by=owner)


def test_deleting_is_refused_while_a_run_uses_it(add, workspace, owner):
    from datasets_app.models import Dataset
    from wizard_app.models import RFTJob

    made = add("Emulated")
    dataset = Dataset.objects.create(workspace=workspace, name="Tickets")
    run = RFTJob.objects.create(workspace=workspace, dataset=dataset, name="One", connection=made)
    with pytest.raises(Refused, match="Runs use Emulated, so it stays"):
        services.delete(made, by=owner)
    assert [action for action, _, _ in audit()] == ["add connection"]
    run.delete()
    services.delete(made, by=owner)
    assert Connection.objects.count() == 0
    assert audit()[-1] == ("delete connection", "Emulated", "owner")


def test_a_credential_that_cannot_be_opened_is_a_sentence(add, settings):
    from rft_project.connections.sealing import new_key

    made = add("Emulated")
    settings.FIELD_ENCRYPTION_KEYS = [new_key()]
    assert services.check(made) == (
        "Emulated: A stored credential was sealed with a key this server does not have; enter it again."
    )


def test_a_ciphertext_moved_to_another_row_does_not_open(add):
    first, second = add("One"), add("Two")
    second.sealed = first.sealed
    with pytest.raises(PlatformError, match="changed or moved"):
        platform_for(second)


@pytest.mark.parametrize("key", ["short", "fifteen-letters"])
def test_of_a_short_key_nothing_is_shown(workspace, key):
    connection = Connection(workspace=workspace, kind="openai", name="x")
    connection.set_credentials({"api_key": key})
    assert connection.hint == ""


def test_trainable_and_closed_models_are_told_apart(add):
    abilities = add("Emulated").abilities
    assert len(abilities["trains"]) + len(abilities["closed"]) == 1
    assert TRAINABLE.startswith((abilities["trains"] + abilities["closed"])[0])

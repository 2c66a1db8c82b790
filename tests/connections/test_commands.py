from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from rft_project.connections.models import Connection
from rft_project.connections.sealing import current_key_id, key_id_of, new_key
from rft_project.connections.services import local_connection
from tests.worker import free_port

pytestmark = pytest.mark.django_db


def run(name: str, *arguments: str) -> tuple[int, str, str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except SystemExit as left:
        code = int(left.code or 0)
    return code, out.getvalue(), err.getvalue()


def run_json() -> tuple[int, list[dict[str, object]]]:
    code, out, _ = run("check_platforms", "--json")
    return code, json.loads(out)


def test_check_platforms_prints_a_table_and_fails_when_one_does(add, workspace, emulator, settings):
    assert run("check_platforms") == (0, "There is no connection yet.\n", "")
    add("Emulated")
    head = "connection  workspace     platform           result\n"
    assert run("check_platforms") == (0, f"{head}Emulated    Support desk  openai (emulated)  works\n", "")
    settings.ENGINE_URL = f"http://127.0.0.1:{free_port()}/v1"
    local_connection(workspace)
    code, out, err = run("check_platforms")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "connection    workspace     platform           result",
        "Emulated      Support desk  openai (emulated)  works",
        "This machine  Support desk  local              Local engine can't be reached: check the address and the "
        "network.",
    ]
    assert Connection.objects.get(kind="local").last_error != ""


def test_check_platforms_as_json(add, emulator):
    add("Emulated")
    emulator.key = "sk-emulated-a-key-of-tomorrow"
    code, (said,) = run_json()
    assert code == 1
    assert {**said, "error": ""} == {
        "connection": "Emulated",
        "workspace": "Support desk",
        "platform": "openai",
        "emulated": True,
        "works": False,
        "error": "",
        "remedy": "",
    }
    assert said["error"] == Connection.objects.get().last_error != ""


def test_rotate_secrets_moves_everything_to_the_first_key(add, emulator, settings):
    old, new = settings.FIELD_ENCRYPTION_KEYS[0], new_key()
    for name in ("One", "Two", "Three"):
        add(name)
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    assert run("rotate_secrets") == (0, "Sealed anew: 3, already under the first key: 0, not opened: 0.\n", "")
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert {key_id_of(c.sealed) for c in Connection.objects.all()} == {current_key_id()}
    assert [c.credentials() for c in Connection.objects.all()] == [emulator.credentials] * 3
    assert run("rotate_secrets") == (0, "Sealed anew: 0, already under the first key: 3, not opened: 0.\n", "")


def test_rotate_secrets_names_what_it_cannot_open_and_does_the_rest(add, settings):
    old, new = settings.FIELD_ENCRYPTION_KEYS[0], new_key()
    first, second = add("One"), add("Two")
    Connection.objects.filter(pk=first.pk).update(sealed=second.sealed)
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    code, out, err = run("rotate_secrets")
    assert (code, out) == (1, "Sealed anew: 1, already under the first key: 0, not opened: 1.\n")
    assert err == "One: A stored credential was changed or moved and cannot be opened; enter it again.\n"
    second.refresh_from_db()
    assert key_id_of(second.sealed) == current_key_id()


def test_credentials_entered_while_rotating_win(add):
    from rft_project.connections.services import reseal

    made = add("One")
    seen_before = Connection.objects.get()
    made.set_credentials({"api_key": "a-newer-key"})
    made.save(update_fields=["sealed"])
    assert reseal(seen_before) is False
    assert Connection.objects.get().credentials() == {"api_key": "a-newer-key"}

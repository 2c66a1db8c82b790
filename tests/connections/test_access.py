"""Every address of connections as owner, member, stranger and nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse

from rft_project.connections import urls
from rft_project.connections.models import Connection

pytestmark = pytest.mark.django_db

# name -> status of (GET, POST) for owner, member, stranger; POSTs carry nothing, so forms answer 422.
TABLE = {
    "connections": {"owner": (200, 405), "colleague": (200, 405), "stranger": (200, 405)},
    "new_connection": {"owner": (200, 422), "colleague": (404, 404), "stranger": (200, 422)},
    "credentials": {"owner": (200, 422), "colleague": (404, 404), "stranger": (404, 404)},
    "check": {"owner": (405, 302), "colleague": (405, 302), "stranger": (405, 404)},
    "set_role": {"owner": (405, 302), "colleague": (405, 404), "stranger": (405, 404)},
    "permit": {"owner": (405, 302), "colleague": (405, 404), "stranger": (405, 404)},
    "delete": {"owner": (405, 302), "colleague": (405, 404), "stranger": (405, 404)},
}


@pytest.fixture
def address(add) -> Callable[[str], str]:
    made = add("Emulated")
    place = made.workspace_id
    others = {
        "connections": [],
        "new_connection": ["openai"],
        "set_role": [place, "judge"],
        "permit": [place, "train"],
    }
    return lambda name: reverse(f"connections:{name}", args=others.get(name, [made.pk]))


def test_the_table_has_every_address():
    assert {pattern.name for pattern in urls.urlpatterns} == set(TABLE)


@pytest.mark.parametrize("who", ["owner", "colleague", "stranger"])
def test_everybody_gets_what_the_table_says(request, address, client_of, who):
    client = client_of(request.getfixturevalue(who))
    sent = {"connection": str(Connection.objects.get(kind="openai").pk)}
    found = {
        name: (client.get(address(name)).status_code, client.post(address(name), sent).status_code) for name in TABLE
    }
    assert found == {name: answers[who] for name, answers in TABLE.items()}
    assert Connection.objects.filter(kind="openai").exists() is (who != "owner")


def test_nobody_is_let_in_without_signing_in(address, client):
    for name in TABLE:
        for answer in (client.get(address(name)), client.post(address(name))):
            assert answer.status_code == 302
            assert answer["Location"].startswith("/sign-in/?next=")


def test_a_member_sees_the_list_without_what_only_owners_may(address, colleague, client_of):
    page = client_of(colleague).get(address("connections")).content.decode()
    assert "Emulated" in page
    assert "Only an owner of the workspace may add or change connections." in page
    for name in ("delete", "credentials", "new_connection"):
        assert address(name) not in page


def test_a_stranger_sees_nothing_of_it(address, stranger, client_of):
    assert "Emulated" not in client_of(stranger).get(address("connections")).content.decode()

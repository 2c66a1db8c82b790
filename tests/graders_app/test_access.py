"""Every address of a grader: the owner and a colleague get it, a stranger gets 404, nobody signed out gets in."""

from __future__ import annotations

import pytest
from django.urls import get_resolver, reverse

from graders_app import urls

pytestmark = pytest.mark.django_db

PATTERNS = {pattern.name: pattern for pattern in urls.urlpatterns}
OPEN = {"graders", "new_grader", "build_grader", "build_dimensions", "dimensions"}  # lists and forms of one's own
OWNED = sorted(PATTERNS.keys() - OPEN)


@pytest.fixture
def address(exact):
    given = {"pk": exact.pk, "kind": "python", "target": "python"}

    def of(name):
        pattern = next(p for p in get_resolver("graders_app.urls").url_patterns if p.name == name)
        return reverse(f"graders:{name}", kwargs={key: given[key] for key in pattern.pattern.converters})

    return of


@pytest.mark.parametrize("name", OWNED)
def test_a_stranger_gets_404_for_reading_and_writing(address, stranger, client_of, name):
    client = client_of(stranger)
    answers = {client.get(address(name)).status_code, client.post(address(name)).status_code}
    assert answers <= {404, 405}
    assert 404 in answers


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_nobody_is_let_in_without_signing_in(address, client, name):
    for answer in (client.get(address(name)), client.post(address(name))):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("person", ["owner", "colleague"])
@pytest.mark.parametrize(
    "name",
    [
        "graders",
        "new_grader",
        "build_grader",
        "build_dimensions",
        "grader",
        "edit_grader",
        "export_grader",
        "take_grader",
    ],
)
def test_owner_and_colleague_see_every_page(request, address, client_of, person, name):
    assert client_of(request.getfixturevalue(person)).get(address(name)).status_code == 200


@pytest.mark.parametrize("name", ["save_grader", "try_grader", "duplicate_grader", "dimensions"])
def test_commands_change_nothing_on_get(address, owner, client_of, name):
    assert client_of(owner).get(address(name)).status_code == 405


def test_the_list_shows_ones_own_current_graders_only(exact, python, colleague, stranger, client_of):
    assert [row.grader for row in client_of(colleague).get("/graders/").context["rows"]] == [exact, python]
    assert client_of(stranger).get("/graders/").context["rows"] == []

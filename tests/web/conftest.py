"""Two people: one who only works here, one who may see the components page."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def person(db) -> User:
    return User.objects.create_user("ada", password="a-long-enough-phrase", first_name="Ada", last_name="Lovelace")


@pytest.fixture
def staff(db) -> User:
    return User.objects.create_user("root", password="a-long-enough-phrase", is_staff=True)


@pytest.fixture
def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client

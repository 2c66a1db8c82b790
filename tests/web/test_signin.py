from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.signing import TimestampSigner
from django.test import Client
from django.utils import timezone

from rft_project.web.signin import ensure_user, redeem, sign_in_link

PHRASE = "a-long-enough-phrase"


def token_of(user: User) -> str:
    return sign_in_link(user).removeprefix("/sign-in/").removesuffix("/")


def who(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


def test_a_link_signs_in_once(person: User, client: Client):
    link = sign_in_link(person)
    answer = client.get(link)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert who(client) == str(person.pk)
    second = Client()
    used = second.get(link)
    assert used.status_code == 403
    assert "This link does not work any more" in used.content.decode()
    assert who(second) is None


def test_of_two_requests_with_one_link_one_wins(person: User):
    token = token_of(person)
    assert redeem(token) == person
    assert redeem(token) is None


def test_a_link_dies_with_any_other_sign_in(person: User, client: Client):
    link = sign_in_link(person)
    Client().post("/sign-in/", {"username": "ada", "password": PHRASE})
    assert client.get(link).status_code == 403


def test_a_link_dies_with_a_new_password(person: User, client: Client):
    link = sign_in_link(person)
    person.set_password("another-long-phrase")
    person.save(update_fields=["password"])
    assert client.get(link).status_code == 403


def test_a_link_dies_after_24_hours(person: User, settings):
    class Old(TimestampSigner):
        age = timedelta()

        def timestamp(self) -> str:
            from django.core.signing import b62_encode
            from django.utils.http import int_to_base36  # noqa: F401

            return b62_encode(int((timezone.now() - self.age).timestamp()))

    body = token_of(person).split(":")[0]
    young, old = Old(salt="rft_project.web.signin"), Old(salt="rft_project.web.signin")
    young.age, old.age = timedelta(hours=23, minutes=59), timedelta(hours=24, minutes=1)
    assert redeem(old.sign(body)) is None
    assert redeem(young.sign(body)) == person


def test_an_account_that_is_switched_off_stays_out(person: User, client: Client):
    link = sign_in_link(person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert client.get(link).status_code == 403


@pytest.mark.parametrize("token", ["x", "a:b:c", "W10:1:2", "%00", "🙂"])
def test_a_made_up_link_is_refused(token, client: Client, db):
    assert client.get(f"/sign-in/{token}/").status_code == 403


def test_a_changed_link_is_refused(person: User, client: Client):
    token = token_of(person)
    assert client.get(f"/sign-in/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/").status_code == 403
    assert redeem(token) == person


def test_a_link_is_not_used_up_by_a_head_request(person: User, client: Client):
    link = sign_in_link(person)
    assert client.head(link).status_code == 405
    assert client.get(link).status_code == 302


def test_every_page_asks_for_a_sign_in(client: Client, db):
    for path in ("/", "/account/", "/help/", "/style/"):
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={path}")


def test_the_password_form_signs_in_and_goes_where_one_wanted(person: User, client: Client):
    answer = client.post("/sign-in/", {"username": "ada", "password": PHRASE, "next": "/help/"})
    assert (answer.status_code, answer["Location"]) == (302, "/help/")


def test_next_leads_nowhere_else(person: User, client: Client):
    answer = client.post("/sign-in/", {"username": "ada", "password": PHRASE, "next": "//evil.example/"})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_a_wrong_password_gets_one_sentence_and_no_hint_who_exists(person: User, client: Client):
    sentence = "User name and password do not match."
    for name in ("ada", "nobody"):
        assert sentence in client.post("/sign-in/", {"username": name, "password": "wrong"}).content.decode()


def test_five_wrong_passwords_close_the_door_for_this_address_only(person: User, client: Client):
    for _ in range(4):
        assert client.post("/sign-in/", {"username": "ada", "password": "wrong"}).status_code == 200
    fifth = client.post("/sign-in/", {"username": "ada", "password": "wrong"})
    assert fifth.status_code == 429
    assert "Too many wrong passwords" in fifth.content.decode()
    right = {"username": "ada", "password": PHRASE}
    assert client.post("/sign-in/", right).status_code == 429
    assert client.post("/sign-in/", right, headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 429
    assert Client(REMOTE_ADDR="198.51.100.7").post("/sign-in/", right).status_code == 302


def test_a_link_opens_a_closed_door(person: User, client: Client):
    for _ in range(5):
        client.post("/sign-in/", {"username": "ada", "password": "wrong"})
    assert client.get(sign_in_link(person)).status_code == 302


def test_signing_out_is_a_post(signed_in: Client):
    assert signed_in.get("/sign-out/").status_code == 405
    assert signed_in.post("/sign-out/").status_code == 302
    assert who(signed_in) is None


def test_the_first_visit_says_how_to_begin(client: Client, db):
    page = client.get("/sign-in/").content.decode()
    assert "There is no account yet." in page
    assert "python manage.py sign_in_link YOUR_NAME" in page
    assert 'name="password"' not in page


def test_the_command_makes_the_first_account_the_owner_s_and_later_ones_plain(db, client: Client):
    out = StringIO()
    call_command("sign_in_link", "ada", "--base-url", "https://rft.example/", stdout=out)
    link = out.getvalue().strip()
    assert link.startswith("https://rft.example/sign-in/")
    assert client.get(link.removeprefix("https://rft.example")).status_code == 302
    ada, bob = User.objects.get(username="ada"), ensure_user("bob")
    assert (ada.is_superuser, ada.is_staff, ada.has_usable_password()) == (True, True, False)
    assert (bob.is_superuser, bob.is_staff) == (False, False)
    assert ensure_user("bob") == bob


@pytest.mark.parametrize("name", ["", " ", "x" * 151])
def test_the_command_refuses_an_odd_name(name, db):
    with pytest.raises(CommandError, match="1 to 150"):
        call_command("sign_in_link", name)


def test_a_new_password_ends_the_other_sessions(person: User, signed_in: Client):
    other = Client()
    other.force_login(person)
    new = {"old_password": PHRASE, "new_password1": "quite-another-phrase", "new_password2": "quite-another-phrase"}
    assert signed_in.post("/account/", {**new, "change_password": "1"}).status_code == 302
    assert signed_in.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_who_came_by_a_link_sets_a_password_without_an_old_one(db):
    user, client = ensure_user("ada"), Client()
    client.get(sign_in_link(user))
    page = client.get("/account/").content.decode()
    assert "Set a password" in page
    assert "old_password" not in page
    new = {"new_password1": "quite-another-phrase", "new_password2": "quite-another-phrase", "change_password": "1"}
    assert client.post("/account/", new).status_code == 302
    assert Client().post("/sign-in/", {"username": "ada", "password": "quite-another-phrase"}).status_code == 302


@pytest.mark.parametrize(("password", "why"), [("short", "at least 12"), ("password1234", "too common")])
def test_a_weak_password_is_refused(signed_in: Client, password, why):
    form = {"old_password": PHRASE, "new_password1": password, "new_password2": password, "change_password": "1"}
    answer = signed_in.post("/account/", form)
    assert answer.status_code == 422
    assert why in answer.content.decode()


def test_the_name_is_saved_and_nothing_else_is(person: User, signed_in: Client):
    signed_in.post("/account/", {"first_name": "A.", "last_name": "King", "is_superuser": "1", "username": "root"})
    person.refresh_from_db()
    assert (person.get_full_name(), person.username, person.is_superuser) == ("A. King", "ada", False)

"""The pages of connections in a real browser, at both widths, light and dark; pictures are left to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from rft_project.connections import services
from rft_project.connections.models import Connection
from tests.browser import WIDTHS, launch, open_page, overflow, shot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def session(
    live_server: Any, add: Any, owner: Any, workspace: Any, client_of: Any, emulator: Any, settings: Any
) -> str:
    """The owner's session, with a connection that works, one that fails and the server's own engine."""
    settings.ENGINE_URL, settings.ENGINE_KEY = emulator.url, emulator.key
    services.check(services.local_connection(add("OpenAI").workspace))
    broken = add("OpenAI, the old key")
    Connection.objects.filter(pk=broken.pk).update(
        last_error="OpenAI does not accept the key: Incorrect API key provided: …. You can find your key at "
        "https://platform.openai.com/account/api-keys."
    )
    return client_of(owner).cookies[django_settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(session: str) -> Iterator[Browser]:  # after session: no database work while the browser's loop runs
    with launch() as browser:
        yield browser


def visit(browser: Browser, live_server: Any, session: str, path: str, **options: Any) -> Page:
    page = open_page(browser, **options)
    page.context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page.goto(live_server.url + path)
    return page


def test_pages_fit_every_screen_and_break_no_policy(browser, live_server, session):
    new = reverse("connections:new_connection", args=["openai"])
    for width in WIDTHS:
        for dark in (False, True):
            page = visit(browser, live_server, session, reverse("connections:connections"), width=width, dark=dark)
            shot(page, "connections")
            assert (width, overflow(page), page.problems) == (width, 0, [])
            page.goto(live_server.url + new)
            shot(page, "connection-new")
            page.get_by_label("API key").fill("two words")
            page.get_by_role("button", name="Check and save").click()
            expect(page.get_by_text("A key is one word")).to_be_visible()
            shot(page, "connection-refused")
            assert page.get_by_label("API key").input_value() == ""
            assert (width, overflow(page)) == (width, 0)
            page.context.close()


def test_a_connection_is_added_checked_and_deleted(browser, live_server, session, emulator):
    page = visit(browser, live_server, session, reverse("connections:connections"))
    page.get_by_role("link", name="Add OpenAI", exact=True).click()
    page.get_by_label("Name").fill("Second account")
    page.get_by_label("API key").fill(emulator.key)
    page.locator("summary", has_text="Another address").click()
    page.get_by_role("textbox", name="Address").fill(emulator.url)
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_text("Second account answered and is saved.").first).to_be_visible()
    page.get_by_role("button", name="Check again Second account").click()
    expect(page.get_by_text("Second account works.").first).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete Second account").click()
    expect(page.get_by_text("Second account is deleted.").first).to_be_visible()
    expect(page.get_by_role("heading", name="Second account")).to_have_count(0)

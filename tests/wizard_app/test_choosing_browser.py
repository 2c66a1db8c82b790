"""The cards of models in a browser: they fit every screen, and a model is chosen with the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, expect

from rft_project.connections.models import Connection
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.wizard_app.test_choosing import account, emulator  # noqa: F401
from wizard_app.models import RFTJob

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def place(
    live_server: Any,
    owner: Any,
    engine: Any,
    graded_run: RFTJob,
    account: Connection,  # noqa: F811
) -> tuple[str, str]:
    """The dry run's page and the session of the run's owner."""
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return f"{live_server.url}/runs/{graded_run.pk}/dry-run/", client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(place: Any) -> Iterator[Browser]:  # after place: no database work while the browser's loop runs
    with launch() as started:
        yield started


def test_cards_fit_and_are_chosen_with_the_keyboard(browser: Browser, place: tuple[str, str]) -> None:
    address, session = place
    for width in WIDTHS:
        for dark in (False, True):
            page = open_page(browser, width=width, dark=dark)
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address.partition("/runs/")[0]}
            page.context.add_cookies([cookie])
            page.goto(address)
            for details in page.locator("section[aria-labelledby=models-h] details").all():
                details.locator("summary").click()
            shot(page, "models")
            assert (width, dark, overflow(page), page.problems) == (width, dark, 0, [])
    chosen = page.locator("input[name=model]:checked")
    first = chosen.get_attribute("value")
    chosen.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("input[name=model]:checked")).not_to_have_value(str(first))
    expect(page.locator(".pick:has(:checked)")).to_have_count(1)
    page.get_by_label("o4-mini").check()
    expect(page.locator(".pick:has(:checked) h3")).to_have_text("o4-mini")

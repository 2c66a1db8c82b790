"""The question before anything is sent, in a browser: it fits, and Send anyway goes on with what was pressed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser

from rft_project.connections.models import Connection
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.wizard_app.test_sending import azure, press, run  # noqa: F401
from wizard_app.models import RFTJob

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def places(live_server: Any, owner: Any, run: RFTJob, azure: Connection) -> tuple[str, str, str]:  # noqa: F811
    """The page of the question, the dataset's topics, and the session of their owner."""
    Connection.objects.filter(pk=azure.pk).update(helper_model="helper")
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    asked = press(client, run, azure)["Location"]
    topics = f"{live_server.url}/datasets/{run.dataset_id}/topics/"
    return live_server.url + asked, topics, client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(places: Any) -> Iterator[Browser]:  # after places: no database work while the browser's loop runs
    with launch() as started:
        yield started


def test_the_question_fits_and_its_answer_starts_the_dry_run(browser: Browser, places: tuple[str, str, str]) -> None:
    asked, topics, session = places
    for width in WIDTHS:
        for dark in (False, True):
            page = open_page(browser, width=width, dark=dark)
            page.context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": asked.partition("/runs/")[0]}]
            )
            for name, address in (("helper-consent", topics), ("sending", asked)):
                page.goto(address)
                shot(page, name)
                assert (overflow(page), page.problems) == (0, [])
    page.get_by_role("button", name="Send anyway").press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    assert page.url.endswith("/dry-run/")
    page.goto(topics)
    page.get_by_role("button", name="Let the helper model see them").press("Enter")
    page.get_by_text("The helper model may see them").first.wait_for()
    assert page.problems == []

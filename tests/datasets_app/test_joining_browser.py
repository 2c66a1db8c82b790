"""Joining in Chromium: from the page of an import to the conversations, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.datasets_app.test_export_browser import apart
from tests.datasets_app.test_joining import SESSIONS, TURNS, turn
from tests.factories import import_file, make_dataset, write_lines
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def opened(live_server: Any, owner: Any, client_of: Any) -> Any:
    """``opened(browser, path, **options)``: the owner's page."""
    session = client_of(owner).cookies[settings.SESSION_COOKIE_NAME].value

    def of(browser: Any, path: str, **options: Any) -> Page:
        page = open_page(browser, **options)
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
        page.goto(live_server.url + path)
        return page

    return of


def test_from_an_import_to_conversations_and_back(workspace: Any, tmp_path: Path, opened: Any) -> None:
    dataset = make_dataset(workspace)
    lines = [turn(session, number) for session in range(SESSIONS) for number in range(TURNS)]
    batch = import_file(dataset, write_lines(tmp_path / "log.jsonl", *lines))
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/import/{batch.pk}/")
        page.get_by_role("link", name="See what they would become").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Join sessions")
        for width in WIDTHS:
            for dark in (False, True):
                look = opened(browser, page.url.removeprefix(page.evaluate("location.origin")), width=width, dark=dark)
                assert overflow(look) == 0
                shot(look, "join-sessions")
                look.context.close()
        page.locator(".next .btn.primary").click()
        expect(page.locator("#bulk_work")).to_contain_text("Waiting for a free worker")
        apart(drain)
        expect(page.locator("#bulk_work")).to_contain_text("Joined sessions that were logged as several records")
        page.reload()
        expect(page.locator("#records tbody tr")).to_have_count(SESSIONS)
        shot(page, "joined-records")
        page.locator("#bulk_work").get_by_role("button", name="Undo").click()
        expect(page.locator("#bulk_work")).to_be_hidden()
        expect(page.locator("#records tbody tr")).to_have_count(SESSIONS * TURNS)
        assert page.problems == []  # type: ignore[attr-defined]

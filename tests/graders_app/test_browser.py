"""The graders' pages in Chromium: nothing sticks out, and a test on a sample needs no reload."""

from __future__ import annotations

import pytest
from django.conf import settings
from playwright.sync_api import expect

from tests.browser import WIDTHS, launch, open_page, overflow, shot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_pages_fit_and_a_sample_is_scored_in_place(live_server, exact, python, multi, owner, client_of):
    session = client_of(owner).cookies[settings.SESSION_COOKIE_NAME].value
    pages = {
        "graders": "/graders/",
        "grader-new": "/graders/new/",
        "grader-new-python": "/graders/new/python/",
        "grader-new-labels": "/graders/new/label_partial_credit/",
        "grader-python": python.get_absolute_url(),
        "grader-multi": multi.get_absolute_url(),
    }
    with launch() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                page = open_page(browser, width=width, dark=dark)
                page.context.add_cookies(
                    [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
                )
                for name, path in pages.items():
                    page.goto(live_server.url + path)
                    if name == "grader-multi":
                        page.get_by_label("Answer to score").fill("shipping")
                        page.get_by_label("Record").fill('{"reference_answer": "shipping", "wanted": []}')
                        page.get_by_role("button", name="Score").click()
                        expect(page.locator("#try_result")).to_contain_text("ZeroDivisionError")
                    page.evaluate("scrollTo(0, 0)")
                    shot(page, name)
                    assert (name, width, overflow(page), page.problems) == (name, width, 0, [])
                page.context.close()

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


def test_a_kind_chosen_before_the_script_is_there_is_heard(live_server, workspace, owner, client_of):
    session = client_of(owner).cookies[settings.SESSION_COOKIE_NAME].value
    with launch() as browser:
        page = open_page(browser)
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
        held = []
        page.route("**/htmx*.js", lambda route: held.append(route))
        page.goto(live_server.url + "/graders/new/dimensions/", wait_until="commit")
        page.get_by_label("What it checks").first.select_option(label="Label with partial credit")
        while not held:
            page.wait_for_timeout(20)
        held[0].continue_()
        expect(page.get_by_label("Labels")).to_be_visible()
        assert page.problems == []


def test_a_new_user_makes_a_grader_of_two_dimensions_without_json(live_server, workspace, owner, client_of):
    session = client_of(owner).cookies[settings.SESSION_COOKIE_NAME].value
    with launch() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                page = open_page(browser, width=width, dark=dark)
                page.context.add_cookies(
                    [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
                )
                page.goto(live_server.url + "/graders/")
                page.get_by_role("link", name="New grader").click()
                page.get_by_role("link", name="Choose several dimensions").click()
                page.get_by_label("Name", exact=True).fill(f"Right and short {width} {dark}")
                page.get_by_label("What it checks").first.select_option(label="Label with partial credit")
                page.get_by_label("Labels").fill("billing\nshipping")
                page.get_by_label("Weight").first.fill("80")
                expect(page.get_by_label("Weight").last).to_have_value("20")
                expect(page.locator("#dimensions > p")).to_contain_text(
                    "80 % Label with partial credit and 20 % Concise"
                )
                page.evaluate("scrollTo(0, 0)")
                shot(page, "grader-dimensions")
                assert (width, overflow(page), page.problems) == (width, 0, [])
                page.get_by_role("button", name="Save and test it").click()
                page.get_by_role("button", name="Score", exact=True).click()
                expect(page.locator("#try_result")).to_contain_text("label_with_partial_credit")
                expect(page.locator("#try_result .score")).to_have_text("1.00")
                shot(page, "grader-dimensions-made")
                page.context.close()

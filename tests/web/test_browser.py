"""What only a browser can show: nothing sticks out, nothing is refused by the policy, keys and focus work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from tests.browser import WIDTHS, launch, open_page, overflow, shot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def session(live_server) -> str:
    user = User.objects.create_user(
        "root", password="a-long-enough-phrase", is_staff=True, first_name="Ro", last_name="Ot"
    )
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(session: str) -> Iterator[Browser]:  # after session: no database work while the browser's loop runs
    with launch() as browser:
        yield browser


def visit(browser: Browser, live_server, session: str, path: str, **options) -> Page:
    page = open_page(browser, **options)
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page.goto(live_server.url + path)
    return page


def test_pages_fit_every_screen_and_break_no_policy(browser, live_server, session):
    for width in WIDTHS:
        for dark in (False, True):
            for name in ("style", "help", "account"):
                page = visit(browser, live_server, session, f"/{name}/", width=width, dark=dark)
                shot(page, name)
                assert (name, width, overflow(page), page.problems) == (name, width, 0, [])
                page.context.close()


def test_the_sign_in_page_works_in_a_browser(browser, live_server):
    page = open_page(browser, width=390)
    page.goto(live_server.url + "/help/")
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill("a-long-enough-phrase")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The words of the field")
    page.get_by_label("Your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(live_server.url + "/sign-in/")
    assert (overflow(page), page.problems) == (0, [])


def test_the_theme_is_chosen_and_kept(browser, live_server, session):
    page = visit(browser, live_server, session, "/help/")
    page.get_by_label("Your account").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark == "rgb(13, 19, 20)"
    page.get_by_label("Your account").click()
    page.get_by_role("button", name="System").click()
    page.reload()
    assert page.get_attribute("html", "data-theme") is None


def test_the_menu_closes_on_escape_and_on_a_click_elsewhere(browser, live_server, session):
    page = visit(browser, live_server, session, "/help/")
    menu = page.locator("details.menu")
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.get_by_role("heading", level=1).click()):
        page.get_by_label("Your account").click()
        expect(menu).to_have_attribute("open", "")
        close()
        expect(menu).not_to_have_attribute("open", "")


@pytest.mark.urls("tests.web.urls_parts")
def test_the_drawer_takes_the_focus_and_gives_it_back(browser, live_server, session):
    page = visit(browser, live_server, session, "/parts/")
    drawer = page.locator("#drawer")
    page.locator("#row-1").click()
    expect(drawer).to_be_visible()
    expect(drawer.locator("h2")).to_have_text("Record 1")
    expect(drawer).to_be_focused()
    page.keyboard.press("j")
    expect(drawer.locator("h2")).to_have_text("Record 2")
    page.keyboard.press("k")
    expect(drawer.locator("h2")).to_have_text("Record 1")
    assert page.locator("#planted").count() == 0
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("#row-1")).to_be_focused()
    page.locator("#row-3").click()
    drawer.get_by_role("button", name="Close").click()
    expect(page.locator("#row-3")).to_be_focused()
    assert not any("evil.js" in problem for problem in page.problems)


@pytest.mark.urls("tests.web.urls_parts")
def test_regions_forms_and_failures(browser, live_server, session):
    page = visit(browser, live_server, session, "/parts/")
    toast = page.locator("#toast")
    expect(toast).to_be_hidden()
    expect(page.locator("#ticks")).to_contain_text("ended at", timeout=10_000)  # a 204 before it changed nothing
    expect(toast).to_contain_text("Done.")
    page.locator("#send").click()
    expect(page.locator("#result")).to_have_text("Enter 84 or more.")
    page.locator("#fail").click()
    expect(toast).to_contain_text("The server answered with an error (500).")
    expect(page.locator("#result")).to_have_text("Enter 84 or more.")
    toast.get_by_role("button", name="Close").click()
    expect(toast).to_be_hidden()


@pytest.mark.urls("tests.web.urls_parts")
def test_copy_and_confirm(browser, live_server, session):
    page = visit(browser, live_server, session, "/parts/", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "print(1)"
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("#leave").click()
    assert (asked, page.url) == (["Really?"], live_server.url + "/parts/")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#leave").click()
    expect(page).to_have_url(live_server.url + "/help/?")


@pytest.mark.urls("tests.web.urls_parts")
def test_a_dropped_file_stands_in_the_form_and_its_sending_is_shown(browser, live_server, session):
    page = visit(browser, live_server, session, "/parts/")
    transfer = page.evaluate_handle(
        "() => { const t = new DataTransfer(); t.items.add(new File(['x'.repeat(300000)], 'traces.jsonl')); return t; }"
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("drop")
    assert page.evaluate("document.querySelector('#drop input').files[0].name") == "traces.jsonl"
    page.locator("#upload").click()
    expect(page.locator("#result")).to_have_text("300000 bytes")
    bar = page.locator("#drop progress")
    expect(bar).to_be_visible()
    assert bar.evaluate("bar => bar.value / bar.max") == 1

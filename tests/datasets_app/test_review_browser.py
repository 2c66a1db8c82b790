"""The review in Chromium: two minutes with the keyboard, what was taught is used, and how it looks."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from datasets_app import actions
from datasets_app.core.topics import flat_tree
from datasets_app.models import Dataset
from datasets_app.topic_commands import replace_tree
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.factories import small_dataset
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NAMES = ["signing_in", "invoices_and_payments", "sending_goods_back", "questions_before_buying", "parcels", "defects"]


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    """The small help desk under topics that do not fit it well, so that much is asked."""
    dataset = small_dataset(workspace)
    actions.last_run(dataset, actions.TOPICS).job.delete()  # type: ignore[union-attr]  # what it found typical teaches too
    tree = {name: ("", []) for name in [*NAMES, *(f"kind_{number}" for number in range(8))]}
    replace_tree(dataset, flat_tree(tree), "Other topics.")
    sort(dataset)
    return dataset


def sort(dataset: Dataset) -> None:
    actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()


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


def test_a_sitting_with_the_keyboard_alone(dataset: Dataset, opened: Any) -> None:
    asked = list(dataset.questions.select_related("record").order_by("rank"))
    first = asked[0].choices[1][0]

    def press(key: str) -> None:
        """As a person would: when the question is there."""
        expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)
        page.keyboard.press(key)

    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/review/")
        shown = page.locator("#question .turn.user").last
        words = [question.record.preview for question in asked]
        expect(shown).to_contain_text(words[0])
        press("2")
        expect(shown).to_contain_text(words[1])
        expect(page.locator("#question .eyebrow")).to_contain_text("1 of ")
        expect(page.locator("#question-h")).to_be_focused()
        press("u")
        expect(shown).to_contain_text(words[2])
        press("s")
        expect(shown).to_contain_text(words[3])
        press("z")  # the skip is taken back, then the last answer
        expect(shown).to_contain_text(words[2])
        press("z")
        expect(shown).to_contain_text(words[1])
        press("/")
        page.keyboard.type("no such topic 2")  # letters and digits of a field are no answers
        page.keyboard.press("Enter")
        expect(page.locator("#question .wrong")).to_contain_text("No topic is called")
        other = page.locator("#other-topics option").first.text_content()
        press("/")
        page.keyboard.type(other)
        page.keyboard.press("Enter")
        expect(shown).to_contain_text(words[2])
        for at in range(2, 10):
            press("1")
            expect(page.locator("#question .eyebrow").first).to_contain_text(f"{at + 1} of ")
        page.get_by_role("button", name="Sort again with what you taught").click()
        expect(page.locator("#topic_work")).to_contain_text("Waiting")
        assert [said for said in page.problems if "422" not in said] == []  # type: ignore[attr-defined]
    drain()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/review/")
        expect(page.locator("#question .box.good")).to_contain_text("Sorted again with what people had answered")
        assert (overflow(page), page.problems) == (0, [])  # type: ignore[attr-defined]
    records = dataset.records.filter(method="manual")
    assert records.count() == 10
    assert records.get(pk=asked[0].pk).topic == first


def test_pages_fit(dataset: Dataset, opened: Any) -> None:
    with launch() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                page = opened(browser, f"/datasets/{dataset.pk}/review/", width=width, dark=dark)
                shot(page, "review")
                page.keyboard.press("s")
                expect(page.locator("#question form[action*='undo'] input[name=put_off]")).to_have_count(1)
                assert (width, overflow(page), page.problems) == (width, 0, [])  # type: ignore[attr-defined]
                page.goto(page.url.replace("/review/", "/sorting/"))
                shot(page, "sorting")
                assert (width, overflow(page), page.problems) == (width, 0, [])  # type: ignore[attr-defined]
                page.context.close()

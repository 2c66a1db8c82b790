"""Records in Chromium: all that match are changed and put back, a review is done with the keyboard alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from datasets_app import editing, snapshots
from datasets_app.models import Dataset
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.factories import small_dataset

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    return small_dataset(workspace)


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


def test_all_that_match_are_moved_and_the_undo_brings_them_back(dataset: Dataset, opened: Any) -> None:
    before = dict(dataset.records.values_list("pk", "topic"))
    topics = dataset.topics.leaves()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/records/?topic={topics[0]}")
        page.get_by_label("that match").check()
        expect(page.locator("[data-picked]")).to_have_text("All that match")
        page.locator("select[name=into]").select_option(topics[1])
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Set topic to {topics[1]}")
        page.locator(".next .btn.primary").click()
        expect(page.locator("#bulk_work")).to_contain_text(f"Moved to {topics[1]}")
        expect(page.locator("#records tbody tr")).to_have_count(0)
        page.locator("#bulk_work").get_by_role("button", name="Undo").click()
        expect(page.locator("#bulk_work")).to_be_hidden()
        assert page.problems == []  # type: ignore[attr-defined]
    assert dict(dataset.records.values_list("pk", "topic")) == before


def test_a_review_needs_nothing_but_the_keyboard(dataset: Dataset, opened: Any) -> None:
    topics = dataset.topics.leaves()
    newest = list(dataset.records.order_by("-pk")[:3])
    was = newest[0].topic
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/records/")
        drawer = page.locator("#drawer h2")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_have_attribute("open", "")
        page.keyboard.press("j")
        expect(drawer).to_have_text(f"Record {newest[0].pk}")
        page.keyboard.press("x")
        expect(page.locator("[data-picked]")).to_have_text("1 ticked")
        page.keyboard.press("2")  # an answer leads on to the next record
        expect(drawer).to_have_text(f"Record {newest[1].pk}")
        expect(page.locator("[data-topic]").first).to_have_text(topics[1])
        page.keyboard.press("j")
        expect(drawer).to_have_text(f"Record {newest[2].pk}")
        page.keyboard.press("k")
        expect(drawer).to_have_text(f"Record {newest[1].pk}")
        page.keyboard.press("u")  # the last answer is taken back, and its record shown
        expect(drawer).to_have_text(f"Record {newest[0].pk}")
        expect(page.locator("[data-topic]").first).to_have_text(was or "")
        page.keyboard.press("e")
        expect(drawer).to_have_text(f"Edit record {newest[0].pk}")
        page.get_by_label("Last message of the user").fill("Another question altogether")
        page.get_by_role("button", name="Save the text").click()
        expect(drawer).to_have_text(f"Record {newest[0].pk}")
        expect(page.locator("#drawer .turn.user").last).to_contain_text("Another question altogether")
        page.keyboard.press("Escape")
        expect(page.locator("#drawer")).to_be_hidden()
        assert page.problems == []  # type: ignore[attr-defined]
    newest[0].refresh_from_db()
    assert (newest[0].topic, newest[0].preview) == (was, "Another question altogether")


def test_keys_pressed_faster_than_the_server_answers_reach_the_record_they_are_meant_for(
    dataset: Dataset, opened: Any
) -> None:
    topics = dataset.topics.leaves()
    newest = list(dataset.records.order_by("-pk")[:4])
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/records/")
        for key in "j213":
            page.keyboard.press(key)
        expect(page.locator("#drawer h2")).to_have_text(f"Record {newest[3].pk}")
        assert page.problems == []  # type: ignore[attr-defined]
    answered = [type(record).objects.get(pk=record.pk).topic for record in newest]
    assert answered == [topics[1], topics[0], topics[2], newest[3].topic]


def test_what_cannot_be_saved_says_so_in_the_drawer(dataset: Dataset, opened: Any) -> None:
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/records/")
        page.keyboard.press("j")
        expect(page.locator("#drawer h2")).to_contain_text("Record")
        page.keyboard.press("e")
        page.get_by_text("Edit everything as JSON").click()
        page.get_by_label("Messages").fill('[{"role": "user", "content": "unfinished')
        page.get_by_role("button", name="Save the JSON").click()
        expect(page.locator("#drawer .wrong")).to_contain_text("Not valid JSON")


def test_pages_fit(dataset: Dataset, opened: Any, owner: Any) -> None:
    keys = list(dataset.records.order_by("-pk").values_list("pk", flat=True))
    first = snapshots.freeze(dataset, by=owner)
    row = dataset.records.select_related("raw", "dataset").get(pk=keys[0])
    trace = editing.with_last_user_text(row.trace, "Where is the parcel that I ordered in the spring?")
    editing.edit(row, trace, seen=editing.mark_of(row), by=owner)
    editing.set_topic(dataset.records.get(pk=keys[1]), dataset.topics.leaves()[0], by=owner)
    second = snapshots.freeze(dataset, by=owner)
    base = f"/datasets/{dataset.pk}"
    pages = {
        "records": f"{base}/records/",
        "records-review": f"{base}/records/?review=1",
        "records-none": f"{base}/records/?q=nothingatall",
        "bulk-topic": f"{base}/records/change/?action=set_topic&into={dataset.topics.leaves()[0]}&all=1",
        "bulk-delete": f"{base}/records/change/?action=delete&id={keys[0]}&id={keys[1]}",
        "record-page": f"{base}/records/{keys[0]}/",
        "record-edit": f"{base}/records/{keys[0]}/edit/",
        "changes": f"{base}/changes/",
        "snapshots": f"{base}/snapshots/",
        "snapshot-diff": f"{base}/snapshots/{first.pk}/to/{second.pk}/",
    }
    with launch() as browser:
        for width in WIDTHS:
            page = opened(browser, "/datasets/", width=width, dark=width == 390)
            for name, path in pages.items():
                page.goto(page.url.split("/datasets/")[0] + path)
                shot(page, name)
                assert (name, width, overflow(page), page.problems) == (name, width, 0, [])  # type: ignore[attr-defined]
            page.context.close()

"""Targets in Chromium: by pointer, by keyboard, by hand, and without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from datasets_app import moments
from datasets_app.models import Dataset
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.datasets_app.test_export_browser import apart
from tests.factories import small_dataset

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    """Six topics, two of them in a group, with a history of three rows."""
    made = small_dataset(workspace)
    tree = dict(made.topic_hierarchy["topics"])
    first, second = list(tree)[:2]
    group = {"description": "", "subtopics": [first, second], "keywords": []}
    for name in (first, second):
        tree[name] = {**tree[name], "parent_topic": "both_of_them"}
    Dataset.objects.filter(pk=made.pk).update(
        topic_hierarchy={"version": "1.0", "topics": {"both_of_them": group, **tree}}
    )
    keys = list(made.records.filter(topic=first).values_list("pk", flat=True))
    made.records.filter(pk__in=keys[:-1]).update(topic=second)
    moments.note(made.pk, "Moved to another topic")
    made.records.filter(pk__in=keys[:2]).update(topic="unknown")
    made.records.filter(pk__in=keys[2:3]).update(topic=None)
    moments.note(made.pk, "Topic cleared")
    made.refresh_from_db()
    return made


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


def stored(dataset: Dataset) -> dict[str, float]:
    found: dict[str, float] = {}
    apart(lambda: found.update(Dataset.objects.values_list("topic_targets", flat=True).get(pk=dataset.pk)))
    return found


def test_a_target_is_set_by_pointer_by_keys_and_by_hand(dataset: Dataset, opened: Any) -> None:
    one, two, three, *rest = dataset.topics.leaves()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/coverage/")
        mark, field = page.locator(f"[data-aims=target-{one}]"), page.locator(f"#target-{one}")
        box, top = mark.bounding_box(), float(mark.get_attribute("max"))
        start = 8 + (box["width"] - 16) * float(mark.input_value()) / top
        page.mouse.move(box["x"] + start, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 10 / top, box["y"] + 10, steps=5)
        page.mouse.up()
        expect(field).to_have_value("10")
        second = page.locator(f"[data-aims=target-{two}]")
        before = float(second.input_value())
        second.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#target-{two}")).to_have_value(f"{before + 1:g}")
        page.locator(f"#target-{three}").fill("20,5")
        left = (100 - 10 - (before + 1) - 20.5) / len(rest)
        expect(page.locator("[data-shared]")).to_contain_text(f"{len(rest)} topics have no target and share the rest")
        assert float(page.locator(f"[data-aims=target-{rest[0]}]").input_value()) == pytest.approx(left, abs=0.5)
        page.get_by_role("button", name="Save targets").click()
        expect(page.locator(f"#target-{one}")).to_have_value("10")
        assert page.problems == []  # type: ignore[attr-defined]
    assert stored(dataset) == {one: 10, two: before + 1, three: 20.5}


def test_the_server_and_the_page_say_the_same_of_the_sum(dataset: Dataset, opened: Any) -> None:
    leaves = dataset.topics.leaves()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/coverage/")
        for typed in (
            {},
            {0: "40"},
            dict.fromkeys(range(len(leaves)), "10"),
            dict.fromkeys(range(len(leaves)), "0"),
            dict.fromkeys(range(1, len(leaves)), "10"),
        ):
            for at, name in enumerate(leaves):
                page.locator(f"#target-{name}").fill(typed.get(at, ""))
            said = page.locator("[data-shared]").inner_text()
            page.get_by_role("button", name="Save targets").click()
            page.wait_for_load_state()
            assert page.locator("[data-shared]").inner_text() == said
        page.locator(f"#target-{leaves[0]}").fill("95")
        page.locator(f"#target-{leaves[1]}").fill("95")
        expect(page.locator("[data-shared]")).to_contain_text("take")


def test_without_javascript_the_form_does_all(dataset: Dataset, opened: Any) -> None:
    one = dataset.topics.leaves()[0]
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/coverage/", java_script_enabled=False)
        expect(page.locator(f"[data-aims=target-{one}]")).to_be_hidden()
        expect(page.locator("form line.target")).to_have_count(len(dataset.topics.leaves()))
        page.locator(f"#target-{one}").fill("33")
        page.get_by_role("button", name="Save targets").click()
        expect(page.locator(f"#target-{one}")).to_have_value("33")
        page.get_by_role("button", name="As in the data now").click()
        expect(page.locator("[data-shared]")).to_have_text("Every topic is set, 100\u00a0% together.")


def test_the_page_fits_and_looks_right(dataset: Dataset, opened: Any) -> None:
    with launch() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                page = opened(browser, f"/datasets/{dataset.pk}/coverage/", width=width, dark=dark)
                expect(page.get_by_role("heading", level=1)).to_have_text("Coverage")
                assert overflow(page) == 0
                shot(page, "coverage")
                page.context.close()

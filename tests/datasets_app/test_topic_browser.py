"""The tree of topics in Chromium: edited by keyboard and by pointer, merged by ticks, split; it fits and is quiet."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Page, expect

from datasets_app import topic_commands, topic_splitting
from datasets_app.core.topics import parse_tree
from datasets_app.models import Dataset
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.factories import make_dataset, small_dataset
from tests.worker import drain

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


def names(page: Page) -> list[str | None]:
    return [node.get_attribute("data-topic") for node in page.locator("#tree [data-topic]").all()]


def drag(page: Page, name: str, over: str, part: float) -> None:
    """The handle of one topic onto a part of another's line, 0 its top."""
    grip = page.locator(f"[data-topic={name}] [data-grip]").bounding_box()
    line = page.locator(f"[data-topic={over}]").bounding_box()
    assert grip is not None and line is not None
    page.mouse.move(grip["x"] + 6, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(line["x"] + 80, line["y"] + line["height"] / 2)
    page.mouse.move(line["x"] + 80, line["y"] + line["height"] * part)
    expect(page.locator("#tree-said")).to_contain_text(page.locator(f"#t-{over}").inner_text())
    page.mouse.up()


def test_the_tree_is_edited_by_keyboard_alone(dataset: Dataset, opened: Any) -> None:
    first, second, third, *_ = dataset.topics.roots()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/topics/")
        page.locator(f"#t-{first}").focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator(f"#t-{second}")).to_be_focused()
        page.keyboard.press("Alt+ArrowUp")
        expect(page.locator("#toast")).to_contain_text("in front of")
        expect(page.locator("#tree [data-topic]").first).to_have_attribute("data-topic", second)
        expect(page.locator(f"#t-{second}")).to_be_focused()
        page.keyboard.press("Enter")  # opens it beside the tree
        expect(page.locator("#topic h2")).to_have_text(page.locator(f"#t-{second}").inner_text())
        expect(page).to_have_url(f"{page.url.split('/topics/')[0]}/topics/{second}/")
        page.locator(f"#t-{third}").focus()
        page.keyboard.press("Alt+ArrowRight")
        expect(page.locator(f"[data-topic={third}]")).to_have_attribute("data-parent", first)
        expect(page.locator(f"#t-{third}")).to_be_focused()
        page.keyboard.press("Alt+ArrowLeft")
        expect(page.locator(f"[data-topic={third}]")).to_have_attribute("data-parent", "")
        page.keyboard.press("Alt+ArrowLeft")
        expect(page.get_by_role("alert")).to_contain_text("is at the top level already.")
        assert [problem for problem in page.problems if "422" not in problem] == []
    dataset.refresh_from_db()
    assert dataset.topics.roots()[:3] == [second, first, third]


def test_the_tree_is_edited_with_the_pointer(dataset: Dataset, opened: Any) -> None:
    first, second, third, fourth, *_ = dataset.topics.roots()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/topics/")
        drag(page, third, first, 0.1)
        expect(page.locator("#tree [data-topic]").first).to_have_attribute("data-topic", third)
        drag(page, fourth, second, 0.5)
        expect(page.locator(f"[data-topic={fourth}]")).to_have_attribute("data-parent", second)
        drag(page, first, fourth, 0.9)  # behind it, so under the same parent
        expect(page.locator(f"[data-topic={first}]")).to_have_attribute("data-parent", second)
        grip = page.locator(f"[data-topic={third}] [data-grip]")
        grip.hover()
        page.mouse.down()
        page.mouse.move(300, 500)
        page.keyboard.press("Escape")
        expect(page.locator("#tree-said")).to_contain_text("stays where it is.")
        page.mouse.up()
        expect(page.locator("#tree [data-topic]").first).to_have_attribute("data-topic", third)
        assert page.problems == []
    dataset.refresh_from_db()
    assert dataset.topics.level(second) == [fourth, first]
    assert dataset.topics.roots()[:2] == [third, second]


def test_ticks_merge_and_the_undo_says_what_it_undoes(dataset: Dataset, opened: Any) -> None:
    first, second, *_ = dataset.topics.leaves()
    before = dataset.topic_hierarchy
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/topics/{second}/")
        expect(page.locator("#merge")).to_be_hidden()
        for name in (first, second):
            page.locator(f"[data-topic={name}] input").check()
        expect(page.locator("[data-ticked]")).to_have_text("2 ticked")
        page.get_by_label("merge into").fill("Two in one")
        page.get_by_role("button", name="Merge").click()
        expect(page.locator("#topic h2")).to_have_text("Two in one")
        page.get_by_role("button", name="Undo: Merged 2 topics into Two in one.").click()
        expect(page.locator("#toast")).to_contain_text("Undone: Merged 2 topics into Two in one.")
        assert page.problems == []
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == before


def test_a_topic_is_split_after_a_look_at_the_parts(dataset: Dataset, opened: Any) -> None:
    name = max(dataset.topics.leaves(), key=lambda leaf: dataset.records.filter(topic=leaf).count())
    topic_splitting.propose(dataset, name, 3, by=None)
    drain()
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/topics/{name}/")
        expect(page.get_by_role("heading", name="It could be split into these")).to_be_visible()
        parts = page.locator(".parts > li")
        expect(parts).to_have_count(3)
        page.locator(".parts input.input").first.fill("The largest part")
        shot(page, "topic-split")
        page.get_by_role("button", name="Split into the ticked").click()
        expect(page.locator("[data-topic=the_largest_part]")).to_have_attribute("data-parent", name)
        page.locator("#t-the_largest_part").click()
        page.get_by_label("Split into").select_option("2")
        page.get_by_role("button", name="Propose parts").click()
        expect(page.locator("#topic_work progress")).to_be_visible()
        assert page.problems == []


def test_work_that_ends_waits_for_whoever_is_writing(dataset: Dataset, opened: Any) -> None:
    name = dataset.topics.leaves()[0]
    with launch() as browser:
        page = opened(browser, f"/datasets/{dataset.pk}/topics/{name}/")
        page.get_by_label("Split into").select_option("2")
        page.get_by_role("button", name="Propose parts").click()
        expect(page.locator("#topic_work progress")).to_be_visible()
        page.get_by_label("What belongs to it").fill("What I am writing")
        worker = Thread(target=drained)
        worker.start()
        worker.join()
        with page.expect_response(lambda answer: answer.headers.get("hx-refresh") == "true"):
            pass
        expect(page.get_by_label("What belongs to it")).to_have_value("What I am writing")
        page.get_by_label("What belongs to it").evaluate("field => { field.value = field.defaultValue; }")
        expect(page.get_by_role("heading", name="It could be split into these")).to_be_visible()
        assert page.problems == []


def drained() -> None:
    """The jobs, in a thread with a connection of its own."""
    try:
        drain()
    finally:
        connection.close()


def test_pages_fit(dataset: Dataset, opened: Any, workspace: Any) -> None:
    empty = make_dataset(workspace, "Nothing yet")
    deep = make_dataset(workspace, "Deep")
    chain = {f"level_{n}_of_a_tree_that_is_rather_deep": {} for n in range(9)}
    for upper, lower in zip(list(chain), list(chain)[1:], strict=False):
        chain[lower] = {"parent_topic": upper}
    topic_commands.replace_tree(deep, parse_tree({"topics": chain}), "A deep tree.")
    base, name = f"/datasets/{dataset.pk}", dataset.topics.leaves()[0]
    pages = {
        "topics": f"{base}/topics/",
        "topic": f"{base}/topics/{name}/",
        "topic-unknown": f"{base}/topics/unknown/",
        "topic-sources": f"{base}/topic_sources/",
        "topic-template": f"{base}/topic_sources/?template=legal",
        "topics-none": f"/datasets/{empty.pk}/topics/",
        "topics-deep": f"/datasets/{deep.pk}/topics/{list(chain)[4]}/",
    }
    with launch() as browser:
        for width in WIDTHS:
            page = opened(browser, "/datasets/", width=width, dark=width == 390)
            for shown, path in pages.items():
                page.goto(page.url.split("/datasets/")[0] + path)
                for summary in page.locator("#topic summary").all():
                    summary.click()
                shot(page, shown)
                assert (shown, width, overflow(page), page.problems) == (shown, width, 0, [])
            page.context.close()

"""Getting files in, in a browser: connections that break, pages that are left, formats chosen by hand, lines mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Route, expect

from datasets_app import actions
from datasets_app.models import Dataset, ImportBatch
from datasets_app.staging import CHUNK
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PARTS = "**/datasets/upload/*/?offset=*"


@pytest.fixture
def session(live_server: Any, owner: Any, client_of: Any) -> str:
    return client_of(owner).cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Twelve and a half megabytes: four parts."""
    line = json.dumps(record("Where is the parcel I ordered last week?")) + "\n"
    path = tmp_path / "big.jsonl"
    path.write_text(line * (3 * CHUNK // len(line) + 1000), encoding="utf-8")
    return path


def visit(browser: Browser, live_server: Any, session: str, path: str, **options: Any) -> Page:
    page = open_page(browser, **options)
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page.goto(live_server.url + path)
    return page


def look(page: Page, name: str) -> None:
    """Pictures of both widths in both themes; nothing sticks out, nothing was refused by the policy."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            shot(page, name)
        assert (name, width, overflow(page)) == (name, width, 0)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.emulate_media(color_scheme="light")


def offsets(page: Page) -> list[int]:
    """Where the parts began that the server took, in order; filled while the page runs."""
    taken: list[int] = []
    page.on(
        "response",
        lambda answer: (
            taken.append(int(answer.url.partition("offset=")[2]))
            if "offset=" in answer.url and answer.status == 200
            else None
        ),
    )
    return taken


def test_an_upload_survives_a_broken_connection_a_stop_and_a_reload(live_server, workspace, session, big):
    dataset, size = make_dataset(workspace), big.stat().st_size
    with launch() as browser:
        page = visit(browser, live_server, session, f"/datasets/{dataset.pk}/import/")
        taken, broken = offsets(page), []

        def break_once(route: Route) -> None:
            if f"offset={CHUNK}" in route.request.url and not broken:
                broken.append(route.request.url)
                route.abort("connectionreset")
            elif f"offset={2 * CHUNK}" in route.request.url and len(broken) == 1:
                broken.append(route.request.url)  # this one hangs until Stop is pressed
            else:
                route.continue_()

        page.route(PARTS, break_once)
        page.get_by_label("File").set_input_files(big)
        page.get_by_role("button", name="Read the file").click()
        expect(page.get_by_role("status").first).to_contain_text("The connection was lost", timeout=15_000)
        expect(page.locator("[data-facts]")).to_contain_text("8.4", timeout=15_000)
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Stop").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("Stopped. What was sent is kept")
        expect(page.get_by_role("button", name="Resume")).to_be_focused()
        look(page, "upload-stopped")
        page.reload()
        expect(page.get_by_role("heading", name="Uploads that did not end")).to_be_visible()
        look(page, "upload-unfinished")
        page.get_by_label("File").set_input_files(big)
        page.get_by_role("button", name="Read the file").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("big.jsonl", timeout=15_000)
        expect(page.locator("#preview .lede")).to_contain_text("RFT Studio records")
    assert taken == [0, CHUNK, 2 * CHUNK, 3 * CHUNK]  # every part once
    batch = ImportBatch.objects.get()
    assert (batch.size, Path(batch.path).read_bytes() == big.read_bytes()) == (size, True)


def test_several_files_make_a_new_dataset_and_wait_there(live_server, session, owner, tmp_path):
    files = [write_lines(tmp_path / f"{name}.jsonl", record(f"Where is the parcel from {name} now?")) for name in "abc"]
    with launch() as browser:
        page = visit(browser, live_server, session, "/datasets/new/", width=390)
        page.get_by_label("Name").fill("Three files")
        page.get_by_label("File").set_input_files(files)
        page.get_by_role("button", name="Read the file").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Import into Three files", timeout=15_000)
        expect(page.get_by_role("heading", name="Files that wait for you")).to_be_visible()
        look(page, "files-waiting")
        page.get_by_role("link", name="Look at it").first.click()
        expect(page.get_by_label("Read 2 other waiting files the same way")).to_be_visible()
        assert page.problems == []  # type: ignore[attr-defined]
    assert Dataset.objects.get().batches.count() == 3


def test_a_format_and_fields_chosen_by_hand_are_shown_at_once(live_server, workspace, session, tmp_path):
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"Where is parcel {n}?"},
                {"role": "assistant", "content": "Here."},
            ],
            "metadata": {"team": "shipping", "ticket": f"T-{n}"},
            "hint": "look it up",
        }
        for n in range(1, 6)
    ]
    path = write_lines(tmp_path / "rows.jsonl", *lines, "{broken")
    dataset = make_dataset(workspace)
    with launch() as browser:
        page = visit(browser, live_server, session, f"/datasets/{dataset.pk}/import/")
        page.get_by_label("File").set_input_files(path)
        page.get_by_role("button", name="Read the file").click()
        expect(page.locator("#preview .lede")).to_contain_text("83.3")
        page.get_by_label("Reference answer").focus()
        page.get_by_label("Reference answer").select_option("metadata.team")
        expect(page.locator(".turn.ref").first).to_contain_text("shipping")
        expect(page.get_by_label("Reference answer")).to_be_focused()
        page.get_by_label("Id of the record").select_option("metadata.ticket")
        expect(page.locator(".facts-list").first).to_contain_text("T-1")
        page.get_by_label("ticket (in 5 of 5").check()
        expect(page.locator(".facts-list").first).to_contain_text("ticket")
        look(page, "preview-mapped")
        page.get_by_label("Id of the session").select_option("metadata.team")
        page.get_by_label("Id of the record").select_option("")  # faster than the answer: both choices count
        expect(page.locator(".facts-list").first).to_contain_text("Session")
        expect(page.get_by_label("Id of the record")).to_have_value("")
        page.get_by_label("Format").select_option("openai_chat")
        expect(page.locator(".box.bad")).to_contain_text("No line of this file could be read")
        page.get_by_label("Format").select_option("chat")
        expect(page.locator(".turn.ref")).to_have_count(0)
        replaced = ("htmx:afterRequest", "htmx:sendAbort")  # htmx's words for a question that a newer one replaced
        assert [p for p in page.problems if not p.startswith(replaced)] == []  # type: ignore[attr-defined]
    assert dataset.records.count() == 0


def test_a_line_is_mended_in_the_drawer_with_the_keyboard(live_server, workspace, session, tmp_path):
    good = [record(f"Where is parcel number {n} now?") for n in (1, 2)]
    broken = json.dumps(good[1])[:-1]
    batch = import_file(make_dataset(workspace), write_lines(tmp_path / "t.jsonl", good[0], broken, "[1]"))
    with launch() as browser:
        page = visit(browser, live_server, session, f"/datasets/{batch.dataset_id}/import/{batch.pk}/rejected/")
        look(page, "rejected")
        page.get_by_role("link", name="Mend line 2").focus()
        page.keyboard.press("Enter")
        drawer = page.locator("#drawer")
        expect(drawer.get_by_label("The line")).to_have_value(broken)
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Mend line 2")).to_be_focused()
        page.keyboard.press("Enter")
        drawer.get_by_label("The line").fill(broken + "]")
        drawer.get_by_role("button", name="Fix and import").click()
        expect(drawer.locator(".wrong")).to_contain_text("Not valid JSON")
        look(page, "mend")
        drawer.get_by_label("The line").fill(broken + "}")
        drawer.get_by_role("button", name="Fix and import").click()
        expect(page.locator("#toast")).to_contain_text("Line 2 is a record now.")
        page.get_by_role("link", name="Imported after all (1)").click()
        expect(page.get_by_role("link", name="Record")).to_be_visible()
        page.go_back()
        page.get_by_role("button", name="Read all again").click()
        expect(page.locator("#reread_work")).to_contain_text("Waiting for a free worker")
        refused = [problem for problem in page.problems if "422" not in problem]  # type: ignore[attr-defined]
        assert refused == []
    assert batch.dataset.records.get(line=2).preview == "Where is parcel number 2 now?"


def test_the_report_fits_every_screen_and_its_slider_is_its_number(live_server, workspace, session, tmp_path):
    dataset = make_dataset(workspace)
    lines = [record(f"Where is parcel number {n} of my order from {n} May?", tier="gold") for n in range(12)]
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines, record("Why?"), record("Why?"), {"input": None}))
    for _ in range(2):
        actions.start(dataset, actions.SANITIZE, {}, by=None)
        drain()
    with launch() as browser:
        page = visit(browser, live_server, session, f"/datasets/{dataset.pk}/report/")
        look(page, "report")
        number, slider = page.locator("#id_near_threshold"), page.locator("#near-slider")
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(number).to_have_value("0.86")
        number.fill("0.7")
        expect(slider).to_have_value("0.7")
        page.get_by_label("Shortest user message").fill("3")
        page.get_by_role("button", name="Save and run again").click()
        expect(page.locator("#sanitize_work")).to_contain_text("Waiting for a free worker")
        assert page.problems == []  # type: ignore[attr-defined]
    dataset.refresh_from_db()
    assert (dataset.sanitizing.near_duplicates, dataset.sanitizing.min_user_message_length) == (0.7, 3)

"""Exporting in Chromium: choosing by keyboard, watching, fetching the file; nothing sticks out."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from playwright.sync_api import expect

from datasets_app import exports
from datasets_app.exports import Selection
from datasets_app.filters import Where
from datasets_app.sample import SAMPLE_PATH
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.factories import import_file, make_dataset
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def apart(work: Any) -> None:
    """Do something with the database beside the browser, whose thread may not."""

    def do() -> None:
        work()
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(do).result()


def test_a_file_is_chosen_made_and_fetched(
    live_server: Any, workspace: Any, owner: Any, client_of: Any, settings: Any, tmp_path: Path
) -> None:
    settings.EXPORT_DIR = tmp_path / "exports"
    dataset = import_file(make_dataset(workspace, "Help desk"), SAMPLE_PATH).dataset
    where = Where(topic="unknown")
    exports.start_export(dataset, "openai", Selection(where=where), by=owner)
    refused = exports.start_export(dataset, "azure", Selection(where=where), by=owner).get_absolute_url()
    left = exports.start_export(dataset, "bedrock", Selection(), by=owner).get_absolute_url()
    drain()
    session = client_of(owner).cookies[django_settings.SESSION_COOKIE_NAME].value
    cookie = {"name": django_settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
    with launch() as browser:
        page = open_page(browser)
        page.context.add_cookies([cookie])
        page.goto(live_server.url + dataset.get_absolute_url())
        page.get_by_role("link", name="export", exact=True).click()
        page.get_by_label("RFT Studio records").focus()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_label("OpenAI RFT")).to_be_checked()
        page.get_by_role("button", name="Make the file").first.click()
        expect(page.locator("#export_work")).to_contain_text("Waiting for a free worker")
        shot(page, "export-waiting")
        made = page.url
        apart(drain)
        with page.expect_download() as fetched:
            page.get_by_role("link", name="Download", exact=False).first.click()
        lines = Path(fetched.value.path()).read_text().splitlines()
        assert fetched.value.suggested_filename == "help-desk-openai.jsonl"
        assert {message["role"] for line in lines for message in json.loads(line)["messages"]} >= {"developer", "user"}
        page.context.close()
        listed = f"{dataset.get_absolute_url()}export/"
        pages = {"exports": live_server.url + listed, "export": made, "export-refused": live_server.url + refused}
        pages["export-left-out"] = live_server.url + left
        for width in WIDTHS:
            for dark in (False, True):
                page = open_page(browser, width=width, dark=dark)
                page.context.add_cookies([cookie])
                for name, address in pages.items():
                    page.goto(address)
                    shot(page, name)
                    assert (name, width, overflow(page), page.problems) == (name, width, 0, [])
                page.context.close()

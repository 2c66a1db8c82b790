"""Headless Chromium for tests: one way to start it, one place for pictures.

::

    with launch() as browser:
        page = open_page(browser, width=390, dark=True)
        page.goto(url)
        shot(page, "dataset")        # tests/artifacts/dataset-390-dark.png
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ARTIFACTS = Path(__file__).parent / "artifacts"
WIDTHS = (1280, 390)


@contextmanager
def launch() -> Iterator[Browser]:
    """A browser; the test is skipped where the machine has no Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, *, width: int = 1280, dark: bool = False, **options: Any) -> Page:
    """A page in a context of its own. ``page.problems`` collects console errors, CSP reports and failed scripts."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", **options
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.problems = problems  # type: ignore[attr-defined]
    return page


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window; 0 when nothing sticks out."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def shot(page: Page, name: str) -> Path:
    """Save the whole page as ``tests/artifacts/NAME-WIDTH-light|dark.png``."""
    ARTIFACTS.mkdir(exist_ok=True)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    width = page.viewport_size["width"] if page.viewport_size else 0
    path = ARTIFACTS / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    page.screenshot(path=str(path), full_page=True, caret="initial")  # hiding the caret leaves style="" behind
    return path

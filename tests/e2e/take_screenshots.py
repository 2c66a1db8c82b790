"""The pictures of the README, taken of the running product: ``python -m tests.e2e.take_screenshots [--model NAME]``.

Starts RFT Studio with a data folder of its own, clicks the main job on the sample dataset and saves PNG files under
``docs/screenshots``. With the language model it takes some minutes, with ``--model Classifier`` under one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django
from playwright.sync_api import Page

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()  # what follows imports models

from tests.browser import launch, open_page  # noqa: E402
from tests.e2e.studio import Studio  # noqa: E402
from tests.e2e.walk import Walk  # noqa: E402
from tests.worker import ROOT  # noqa: E402

FOLDER = ROOT / "docs" / "screenshots"
SAMPLE = "Larkmoor help desk (sample)"
#: page of the walk -> name of the picture and height of the window in px
PICTURES = {
    "dataset": ("1-dataset", 1080),
    "grader-trial": ("2-grader", 800),
    "dry-run": ("3-dry-run", 1180),
    "training": ("4-training", 1000),
    "results": ("5-results", 1060),
    "playground": ("6-playground", 640),
}
PHONE = ("results", "phone-results", 844)


class Camera:
    def __init__(self, page: Page) -> None:
        self.page = page

    def __call__(self, name: str) -> None:
        if name in PICTURES:
            file, height = PICTURES[name]
            self._take(file, 1280, height, "light")
        if name == PHONE[0]:
            self._take(PHONE[1], 390, PHONE[2], "dark")

    def _take(self, file: str, width: int, height: int, scheme: str) -> None:
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=str(FOLDER / f"{file}.png"), caret="initial")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="SmolLM2", help="base model, by part of its label")
    parser.add_argument("--size", type=int, default=60, help="prompts of the dry run")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rft-screenshots-")))
        studio = stack.enter_context(Studio(folder, sample=True))
        link = studio.link
        page = open_page(stack.enter_context(launch()), reduced_motion="reduce")
        click_through(Walk(page, studio.url, Camera(page)), link, options.model, options.size)
    shutil.rmtree(os.environ["RFT_TEST_DIR"], ignore_errors=True)
    return 0


def click_through(walk: Walk, link: str, model: str, size: int) -> None:
    walk.sign_in(link)
    walk.page.get_by_role("link", name=SAMPLE).click()
    walk.titled(SAMPLE)
    walk.sanitize()
    walk.topics()
    walk.coverage(SAMPLE)
    walk.start_run("Route requests")
    walk.split()
    walk.grader("Label with partial credit")
    walk.test_on_sample(f"I would say {walk.reference}.")
    walk.dry_run(model, size)
    walk.train()
    walk.curve(points=5)
    walk.results()
    walk.deploy()
    walk.playground("You charged my card twice for the same lamp, please send one payment back.")


if __name__ == "__main__":
    sys.exit(main())

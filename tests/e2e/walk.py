"""The main job as a person clicks it, page by page; the test asserts what it shows, the screenshots are taken of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SOON = 60_000  # ms; two busy cores may let a page wait
WORK = 180_000  # ms; background work
TRAINING = 1_200_000  # ms; the language model takes minutes


class Walk:
    """``look(name)`` is called on every page as soon as it shows what a person came for."""

    def __init__(self, page: Page, url: str, look: Callable[[str], None]) -> None:
        self.page, self.url, self.look = page, url, look
        page.set_default_timeout(SOON)
        page.set_default_navigation_timeout(SOON)

    # ---------------------------------------------------------------- small things

    @property
    def primary(self) -> Locator:
        """The one next step of the page."""
        return self.page.locator(".btn.primary")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def titled(self, words: str | re.Pattern[str], *, within: int = SOON) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text(words, timeout=within)

    def step(self, letter: str) -> Locator:
        """A step of the strip A to J."""
        return self.page.locator(f".strip .step:has(i:text-is('{letter}'))")

    def figure(self, label: str) -> str:
        """Number of the tile of that label, without its unit."""
        tile = self.page.locator(".stat").filter(has=self.page.locator(f"dt:text-is('{label}')"))
        number = tile.locator("dd.num")
        expect(number).to_be_visible(timeout=SOON)
        return str(number.evaluate("e => e.firstChild.textContent.trim()"))

    # ---------------------------------------------------------------- A to E

    def sign_in(self, link: str) -> None:
        self.page.goto(link)
        self.titled("Datasets")

    def new_dataset(self, name: str, file: Path) -> None:
        self.page.get_by_role("link", name="New dataset").click()
        self.titled("New dataset")
        self.look("new-dataset")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("File").set_input_files(file)
        self.primary.click()
        self.titled(file.name)

    def import_file(self, field: str) -> None:
        """From the preview to the imported records; ``field`` holds the right answer."""
        picker = self.page.get_by_label("Reference answer")
        picker.select_option(value=field)
        self.look("preview")
        self.primary.click()
        expect(self.page.locator("#import_work .lede")).to_contain_text("imported", timeout=WORK)
        self.look("imported")

    def open_dataset(self, name: str) -> None:
        self.page.get_by_role("link", name="Open the dataset").click()
        self.titled(name)

    def sanitize(self) -> None:
        self.look("dataset-new")
        self.button("Sanitize now").click()
        expect(self.step("A")).to_have_class(re.compile(r"\bdone\b"), timeout=WORK)

    def report(self, name: str) -> None:
        self.page.get_by_role("link", name="Report", exact=True).click()
        self.titled("Sanitize report")
        self.look("sanitize-report")
        self.page.locator(".crumbs").get_by_text(name).click()
        self.titled(name)

    def topics(self, clusters: int | None = None) -> None:
        """Find topics; every record is sorted into them right afterwards."""
        self.primary.click()
        self.titled("Topics")
        self.look("topics-none")
        if clusters is None:
            self.primary.click()
        else:
            self.page.get_by_label("Number of topics").fill(str(clusters))
            self.page.locator("section", has=self.page.get_by_role("heading", name="From the data")).get_by_role(
                "button", name="Find topics"
            ).click()
        expect(self.primary).to_have_text("Back to the dataset", timeout=WORK)
        self.look("topics")

    def coverage(self, name: str) -> None:
        self.primary.click()
        self.titled(name)
        expect(self.page.locator("#coverage svg.plot").first).to_be_visible(timeout=WORK)
        self.look("dataset")

    def drawer(self) -> None:
        row = self.page.locator("#records a[data-drawer]").first
        row.click()
        expect(self.page.locator("#drawer")).to_be_visible()
        self.look("record")
        self.page.keyboard.press("Escape")
        expect(self.page.locator("#drawer")).to_be_hidden()

    # ---------------------------------------------------------------- F to J

    def start_run(self, name: str) -> None:
        self.step("F").click()
        self.titled("Start a training run")
        self.look("new-run")
        self.page.get_by_label("Name of the run").fill(name)
        self.primary.click()
        self.titled("Split")

    def split(self) -> None:
        self.look("split-new")
        self.primary.click()
        expect(self.primary).to_have_text("Choose a grader", timeout=WORK)
        self.look("split")

    def grader(self, preset: str) -> None:
        self.primary.click()
        self.titled("Grader")
        self.look("grader-new")
        line = self.page.locator("#choices li").filter(has=self.page.get_by_role("heading", name=preset))
        line.get_by_role("button", name="Use this").click()
        expect(self.primary).to_have_text("Plan the dry run", timeout=WORK)
        self.look("grader")

    @property
    def reference(self) -> str:
        """The right answer to the first record that the grader can be tried on."""
        return self.page.locator("#trial .sample").first.locator(".turn.ref > div").inner_text().strip()

    def test_on_sample(self, answer: str, *, look: bool = True) -> str:
        """Score an answer to the first record; the score as shown."""
        sample = self.page.locator("#trial .sample").first
        sample.get_by_label("Your answer").fill(answer)
        with self.page.expect_response(lambda response: response.url.endswith("/do/trial/")):
            sample.get_by_role("button", name="Score", exact=True).click()
        score = sample.locator(".score")
        expect(score).to_be_visible(timeout=SOON)
        expect(sample.get_by_label("Your answer")).to_have_value(answer)
        if look:
            self.look("grader-trial")
        return score.inner_text()

    def dry_run(self, model: str, size: int) -> None:
        self.primary.click()
        self.titled("Dry run")
        self.look("dry-run-new")
        self.page.locator(".pick", has_text=model).first.get_by_role("radio").check()
        self.page.get_by_label("Prompts", exact=True).fill(str(size))
        self.primary.click()
        expect(self.page.locator(".verdict")).to_be_visible(timeout=TRAINING)
        self.look("dry-run")

    @property
    def verdict(self) -> str:
        return self.page.locator(".verdict > strong").inner_text().strip()

    def train(self) -> None:
        self.primary.click()
        self.titled("Train")
        self.look("train-new")
        self.primary.click()
        self.titled(re.compile("Training (is under way|has ended)"))

    def curve(self, points: int = 1) -> None:
        """The live curve with that many validations (or what there is at the end), then the end of the training."""
        dots = self.page.locator("#training figure").first.locator("svg.plot circle")
        ended = self.page.get_by_role("heading", level=1, name="Training has ended")
        expect(dots.nth(points - 1).or_(ended).first).to_be_visible(timeout=TRAINING)
        expect(self.page.locator("#training figure svg").first).to_be_visible()
        self.look("training")
        self.titled("Training has ended", within=TRAINING)
        self.look("trained")

    def results(self) -> None:
        self.primary.click()
        self.titled("Results")
        if self.primary.is_visible() and self.primary.inner_text() == "Compare":
            self.look("results-new")
            self.primary.click()
        expect(self.page.locator(".verdict")).to_be_visible(timeout=TRAINING)
        self.look("results")

    def before_and_after(self) -> tuple[float, float]:
        """Mean score of base and tuned model over all validation prompts, from the chart's table."""
        row = self.page.locator("table tr", has=self.page.locator("th:text-is('all prompts')"))
        cells = row.locator("td").all_text_contents()
        return float(cells[1]), float(cells[2])

    def deploy(self) -> None:
        self.primary.click()
        expect(self.primary).to_have_text("Open the playground", timeout=WORK)
        self.look("deployed")

    def playground(self, prompt: str) -> str:
        """The tuned model's answer."""
        self.primary.click()
        self.titled("Playground")
        self.page.get_by_label("What a user writes").fill(prompt)
        self.primary.click()
        answer = self.page.locator("#tuned-answer")
        expect(answer).to_be_visible(timeout=WORK)
        self.look("playground")
        return answer.inner_text()

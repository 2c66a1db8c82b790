"""The main job in a browser, against the product as ``make run`` starts it: from a file to the tuned model's answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from datasets_app.sample import LABELS, SMALL_PATH
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.e2e.studio import Studio
from tests.e2e.walk import Walk

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
WITHOUT_STRIP = {"datasets", "new-dataset"}  # no dataset is open there


def traces(folder: Path) -> Path:
    """The sixty small records with their label in the metadata only, and one line that nobody can read."""
    lines = []
    for line in SMALL_PATH.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert record.pop("reference_answer") == record["metadata"]["label"]
        lines.append(json.dumps(record))
    path = folder / "help-desk.jsonl"
    path.write_text("\n".join([*lines, '{"input": {"messages": [']) + "\n", encoding="utf-8")
    return path


class Inspector:
    """Looks at every page of the walk at both widths in both themes, and keeps what is wrong with it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[tuple[str, str]] = []
        self.seen: list[str] = []

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme)
                shot(self.page, f"journey-{name}")
            if overflow(self.page):
                self.wrong.append((name, f"{overflow(self.page)} px too wide at {width}"))
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        self.page.emulate_media(color_scheme="light")
        self._count(name, "h1", 1)
        self._count(name, ".strip", 0 if name in WITHOUT_STRIP else 1)
        self._count(name, ".strip .step", 0 if name in WITHOUT_STRIP else 10)
        if self.page.locator(".btn.primary").count() > 1:
            self.wrong.append((name, "more than one primary button"))
        self.wrong += [(name, problem) for problem in self.page.problems]  # type: ignore[attr-defined]
        self.page.problems.clear()  # type: ignore[attr-defined]

    def _count(self, name: str, selector: str, wanted: int) -> None:
        found = self.page.locator(selector).count()
        if found != wanted:
            self.wrong.append((name, f"{found} of {selector}, {wanted} expected"))


def test_from_a_file_to_the_tuned_models_answer(tmp_path: Path) -> None:
    with Studio(tmp_path) as studio:
        link = studio.link
        with launch() as browser:
            page = open_page(browser, reduced_motion="reduce")
            inspector = Inspector(page)
            walk = Walk(page, studio.url, inspector)
            walk.sign_in(link)
            inspector("datasets")
            prepare(walk, traces(tmp_path))
            baseline, tuned, answer = tune(walk)
        assert inspector.wrong == []
        assert len(inspector.seen) == len(set(inspector.seen)) >= 20
        assert tuned > baseline
        assert answer in LABELS


def prepare(walk: Walk, file: Path) -> None:
    """Steps A to D, with the figures each page shows."""
    walk.new_dataset("Help desk", file)
    walk.import_file("metadata.label")
    shown = [walk.figure(label) for label in ("New records", "Already there", "Unreadable", "Answers split off")]
    assert shown == ["60", "0", "1", "0"]
    walk.open_dataset("Help desk")
    assert (walk.figure("Records"), walk.figure("Valid")) == ("60", "–")
    walk.sanitize()
    assert (walk.figure("Records"), walk.figure("Valid")) == ("60", "100")
    walk.report("Help desk")
    walk.topics(clusters=6)
    walk.coverage("Help desk")
    assert walk.figure("Categorized") == "100"
    assert walk.page.locator("#records tbody tr").count() == 8
    assert walk.step("B").locator("small").inner_text() == "6 topics"
    walk.drawer()


def tune(walk: Walk) -> tuple[float, float, str]:
    """Steps F to J: score before, score after, and what the tuned model answers in the playground."""
    walk.start_run("First run")
    walk.split()
    kept = int(walk.figure("To train on")), int(walk.figure("To check with"))
    assert sum(kept) == 60
    walk.grader("Label with partial credit")
    assert walk.test_on_sample("none of them") == "0.00"
    assert walk.test_on_sample(walk.reference, look=False) == "1.00"
    walk.dry_run("Classifier", size=40)
    assert walk.verdict == "GO"
    assert 0.1 < float(walk.figure("Mean score")) < 0.9
    walk.train()
    walk.curve()
    walk.results()
    assert walk.verdict == "IMPROVED"
    expect(walk.page.locator(".lede")).to_contain_text(f"answered the same {kept[1]} validation prompts")
    before, after = walk.before_and_after()
    walk.deploy()
    return before, after, walk.playground("Someone took money from my card twice, please check the payment.")

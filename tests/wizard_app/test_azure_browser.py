"""The whole journey on an emulated Azure resource, clicked in a browser: connected, trained, deployed, compared.

What waits for a platform is woken at once, so nobody waits for the seconds between two looks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from django.db import connections as databases
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from datasets_app import actions
from datasets_app.models import Dataset
from datasets_app.sample import SAMPLE_PATH
from tests.browser import launch, open_page, overflow
from tests.e2e.walk import WORK, Walk
from tests.emulators import azure
from tests.factories import import_file, make_dataset, write_lines
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

NAME = "Azure of the test"
#: What a run's pages are called here from the moment it asks the platform.
ON_AZURE = ("dry-run", "train-new", "training", "trained", "results", "deployment", "playground")


@pytest.fixture
def resource(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[azure.AzureEmulator]:
    with azure.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def dataset(workspace: Any, owner: Any, tmp_path: Path) -> Dataset:
    """As many records of the sample as the emulator's model needs to learn from, sanitized and sorted into topics."""
    owner.is_superuser = True  # who may lend the server's own sign-in to deployments
    owner.save(update_fields=["is_superuser"])
    lines = SAMPLE_PATH.read_text(encoding="utf-8").splitlines()[:320]
    made = make_dataset(workspace, "Help desk")
    import_file(made, write_lines(tmp_path / "traces.jsonl", *lines))
    for action, params in ((actions.SANITIZE, {}), (actions.TOPICS, {"clusters": 6})):
        actions.start(made, action, params, by=None)
        drain()
    return made


@pytest.fixture
def session(dataset: Dataset, owner: Any) -> str:
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[configured.SESSION_COOKIE_NAME].value


@contextmanager
def worker() -> Iterator[None]:
    """Does what is queued until the block ends, in a thread of its own: the browser's loop has the test's."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            drain(jump=True)
        databases.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def browser(session: str) -> Iterator[Browser]:  # after session: no database work while the browser's loop runs
    with launch() as started:
        yield started


class Emulated:
    """Keeps the pages that do not say *emulated*, or that are wider than their window."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[str] = []
        self.wrong: list[tuple[str, str]] = []

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        if name in ON_AZURE and not self.page.locator(".crumbs .badge", has_text="emulated").count():
            self.wrong.append((name, "does not say emulated"))
        if overflow(self.page):
            self.wrong.append((name, f"{overflow(self.page)} px too wide"))


def test_the_whole_journey_on_azure(
    browser: Browser, session: str, resource, dataset: Dataset, live_server: Any
) -> None:
    page = open_page(browser, reduced_motion="reduce")
    page.context.add_cookies([{"name": configured.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    look = Emulated(page)
    walk = Walk(page, live_server.url, look)
    with worker():
        connect(walk, resource)
        page.goto(f"{live_server.url}{dataset.get_absolute_url()}")
        train(walk)
        before, after = deploy_and_compare(walk)
        answer = walk.playground("You charged my card twice, please send one payment back.")
        spending(walk)
    assert after > before
    assert answer
    assert (look.wrong, page.problems) == ([], [])  # type: ignore[attr-defined]
    assert resource.problems[0].startswith("Access denied due to invalid subscription key")
    assert [name for name in ON_AZURE if name in look.seen] == list(ON_AZURE)
    (job,), (deployment,) = resource.jobs.values(), resource.arm.made
    assert (job["status"], deployment in resource.arm.deployments) == ("succeeded", True)


def connect(walk: Walk, resource: azure.AzureEmulator) -> None:
    """A key that is wrong is refused by the platform itself; the right one is saved, and the list says emulated."""
    page = walk.page
    page.goto(f"{walk.url}/connections/")
    page.get_by_role("link", name="Add Azure", exact=True).click()
    walk.titled("Connect Azure")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Endpoint").fill(resource.origin)
    page.get_by_label("API key", exact=True).fill("not-the-key")
    walk.primary.click()
    expect(page.locator(".box.bad")).to_contain_text("Azure")
    page.problems.clear()  # type: ignore[attr-defined]  # the browser notes the 422
    page.get_by_label("API key", exact=True).fill(resource.key)
    page.locator("summary", has_text="Deploying from here").click()
    for label, name in (("Subscription", "subscription"), ("Resource group", "resource_group"), ("Account", "account")):
        page.get_by_role("textbox", name=label).fill(resource.credentials[name])
    walk.primary.click()
    walk.titled("Connections")
    line = page.locator("#yours li, .list li").filter(has_text=NAME).first
    expect(line.locator(".badge", has_text="emulated")).to_be_visible()
    expect(line).to_contain_text("nothing is sent out, nothing is paid")


def train(walk: Walk) -> None:
    """From the split to the trained model."""
    page = walk.page
    walk.start_run("On Azure")
    walk.split()
    walk.grader("Label with partial credit")
    dry_run(walk)
    if walk.primary.inner_text() != "Go to training":  # answers are drawn anew, and so is the verdict
        page.get_by_label("Why train all the same?").fill("The emulator's model is a toy.")
        page.get_by_role("button", name="Override the verdict").click()
    walk.primary.click()
    walk.titled("Train")
    look_at_money(walk)
    walk.look("train-new")
    page.locator("summary", has_text="Change the settings").click()
    page.get_by_label("Epochs").fill("6")
    walk.primary.click()
    walk.titled(re.compile("Training (is under way|has ended)"))
    walk.curve()


def dry_run(walk: Walk) -> None:
    """The sample holds an address or two, so that is asked about before anything is sent."""
    page = walk.page
    walk.primary.click()
    walk.titled("Dry run")
    page.locator(".pick", has_text="o4-mini").first.get_by_role("radio").check()
    page.get_by_label("Prompts", exact=True).fill("40")
    walk.primary.click()
    asked = page.get_by_role("button", name="Send anyway")
    expect(asked.or_(page.locator(".verdict")).first).to_be_visible(timeout=60_000)
    if asked.is_visible():
        expect(page.locator(".lede")).to_contain_text(f"would be sent to {NAME}")
        asked.click()
    expect(page.locator(".verdict")).to_be_visible(timeout=60_000)
    walk.look("dry-run")


def look_at_money(walk: Walk) -> None:
    """Before it starts: what it costs, with what that assumes."""
    cost = walk.page.locator("dt:text-is('Cost') + dd")
    expect(cost).to_contain_text(re.compile(r"\d to .*USD"))
    expect(cost).to_contain_text("A step takes")


def deploy_and_compare(walk: Walk) -> tuple[float, float]:
    """Nothing is compared before the deployment answers, then both models are; mean score of the base and of the
    deployed one."""
    walk.primary.click()
    walk.titled("Results")
    expect(walk.primary).to_have_text("Deploy")
    walk.primary.click()
    expect(walk.page.locator("main")).to_contain_text("1.70 USD an hour while it stands", timeout=WORK)
    expect(walk.primary).to_be_visible(timeout=WORK)  # it answers now; the results' page would have to be reloaded
    walk.look("deployment")
    walk.page.goto(walk.page.url.partition("deployments/")[0] + "results/")
    expect(walk.page.locator(".verdict")).to_be_visible(timeout=WORK)
    walk.look("results")
    return walk.before_and_after()


def spending(walk: Walk) -> None:
    walk.page.goto(f"{walk.url}/spending/")
    expect(walk.page.locator("main")).to_contain_text("nothing was paid for it")
    expect(walk.page.locator("main")).to_contain_text("On Azure")

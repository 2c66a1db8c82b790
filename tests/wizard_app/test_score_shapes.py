"""What the dry run's page says of the scores, with the answers behind each sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser

from tests.browser import WIDTHS, launch, open_page, overflow, shot
from wizard_app.models import RFTJob, Rollout
from wizard_app.panels.dry_run import dry_run_panel

pytestmark = pytest.mark.django_db(transaction=True)
LENIENT = "Every answer scores above 0.9 (lowest 0.92): nothing to learn."
EXPENSIVE = (
    "A judge reads and writes 3,001 tokens per answer: a training that asks for 10,000 answers pays for 30 million of "
    "them."
)


@pytest.fixture
def lenient_run(sampled_run: RFTJob) -> RFTJob:
    """Its 60 answers all score well, by a judge that reads much."""
    for number, rollout in enumerate(Rollout.objects.filter(run=sampled_run).order_by("pk")):
        rollout.reward = (0.92, 0.93, 0.94)[number % 3]
        rollout.judge_tokens = 3000 if number else 3060
        rollout.answer = "<b>Same</b>"
        rollout.save(update_fields=["reward", "judge_tokens", "answer"])
    return sampled_run


def test_each_pattern_comes_with_the_answers_that_show_it(lenient_run: RFTJob) -> None:
    panel = dry_run_panel(lenient_run)

    assert panel is not None
    assert {shape.message: [sample.reward for sample in shape.samples] for shape in panel.shapes} == {
        LENIENT: [0.92] * 5,
        EXPENSIVE: [0.92, 0.93, 0.94, 0.92, 0.93],
    }


def test_scores_without_a_pattern_say_so(sampled_run: RFTJob, owner: Any, client_of: Any) -> None:
    for number, rollout in enumerate(Rollout.objects.filter(run=sampled_run).order_by("pk")):
        rollout.reward, rollout.answer = number % 7 / 6, "x" * (number % 5)
        rollout.save(update_fields=["reward", "answer"])

    page = client_of(owner).get(f"/runs/{sampled_run.pk}/dry-run/").content.decode()

    assert "None of them is there: the scores differ, in more than two steps" in page


@pytest.fixture
def place(live_server: Any, owner: Any, lenient_run: RFTJob) -> tuple[str, str]:
    """The page of the dry run and the session of its owner."""
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    address = f"{live_server.url}/runs/{lenient_run.pk}/dry-run/"
    return address, client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(place: Any) -> Iterator[Browser]:  # after place: no database work while the browser's loop runs
    with launch() as started:
        yield started


@pytest.mark.browser
def test_the_answers_open_under_their_sentence(browser: Browser, place: tuple[str, str]) -> None:
    address, session = place
    for width in WIDTHS:
        page = open_page(browser, width=width)
        cookie: Any = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address.partition("/runs/")[0]}
        page.context.add_cookies([cookie])
        page.goto(address)
        section = page.get_by_role("region", name="What the scores look like")
        assert section.locator("b").first.inner_text() == LENIENT
        section.get_by_text("5 answers behind it").first.press("Enter")
        assert section.get_by_text("<b>Same</b>").first.is_visible()
        shot(page, "score-shapes")
        assert (overflow(page), page.problems) == (0, [])

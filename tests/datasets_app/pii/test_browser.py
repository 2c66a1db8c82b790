"""The page of findings in a browser: it fits, breaks no policy, and its first steps work without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser

from datasets_app import actions
from rft_project.connections.models import Membership, Workspace
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.datasets_app.pii.test_dataset import LINES
from tests.factories import import_file, make_dataset, write_lines
from tests.worker import drain

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(live_server: Any, owner: Any, workspace: Workspace, tmp_path: Any) -> tuple[str, str]:
    """The page's address and the session of its owner."""
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *LINES))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    assert Membership.objects.filter(user=owner, workspace=workspace).exists()
    return f"{live_server.url}/datasets/{dataset.pk}/privacy/", client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(address: Any) -> Iterator[Browser]:  # after address: no database work while the browser's loop runs
    with launch() as started:
        yield started


def test_the_page_fits_and_its_buttons_work(browser: Browser, address: tuple[str, str]) -> None:
    url, session = address
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url.partition("/datasets/")[0]}
    for width in WIDTHS:
        for dark in (False, True):
            page = open_page(browser, width=width, dark=dark)
            page.context.add_cookies([cookie])
            page.goto(f"{url}?kind=email#values")
            assert (overflow(page), page.problems) == (0, [])
            shot(page, "privacy")
            page.goto(f"{url.removesuffix('privacy/')}records/?pii=email")
            assert (overflow(page), page.problems) == (0, [])
            shot(page, "records-pii")
    page.go_back()
    page.get_by_role("checkbox", name="J•••@s•••.example").check()
    page.get_by_role("button", name="Redact ticked").click()
    shot(page, "privacy-after")
    page.get_by_text("Redacted 1 of the e-mail addresses").first.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("2 records are as before").first.wait_for()
    shot(page, "privacy-after")
    assert page.problems == []

"""``manage.py start`` for real: three processes, one link, and nothing left when it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest

from tests.worker import ROOT, children, free_port, still_there, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
LINK = re.compile(r"http://127\.0\.0\.1:\d+/sign-in/\S+")


class Studio:
    def __init__(self, folder: Path) -> None:
        self.port, self.engine = free_port(), free_port()
        self.log = folder / "log"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "RFT_TEST_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'studio.sqlite3'}",
            "ENGINE_URL": f"http://127.0.0.1:{self.engine}/v1",
            "ENGINE_KEY": "a key for this test",
            "PORT": str(self.port),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log, cwd=ROOT)

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), "start", "--no-sample"]

    def said(self) -> str:
        return self.log.read_text()

    def link(self) -> str:
        found = wait_for(lambda: LINK.search(self.said()) or self.process.poll(), 150, every=0.2)
        assert isinstance(found, re.Match), self.said()
        return found[0]

    def everything(self) -> list[int]:
        """All processes below ``start``."""
        found, level = [], [self.process.pid]
        while level:
            level = [child for parent in level for child in children(parent)]
            found += level
        return found


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path)
    yield studio
    below = studio.everything()
    studio.process.kill()
    studio.process.wait()
    wait_for(lambda: not still_there(below), 30)


def test_one_command_starts_everything_and_ends_everything(studio: Studio) -> None:
    link = studio.link()
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    base = f"http://127.0.0.1:{studio.port}"
    with urlopen(f"{base}/readyz") as answer:
        assert answer.status == 200
    with browser.open(link) as answer:
        assert answer.status == 200
    with browser.open(f"{base}/account/") as answer:
        assert answer.url == f"{base}/account/"  # signed in: not sent to the sign-in page

    web, worker, engine = children(studio.process.pid)
    os.kill(engine, signal.SIGKILL)
    wait_for(lambda: len(set(children(studio.process.pid)) - {web, worker, engine}) == 1, 60)

    second = subprocess.run(studio.command, env=studio.environment, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"Port {studio.port} cannot be used" in second.stderr

    below = studio.everything()
    assert len(below) >= 9
    asked_at = time.monotonic()
    studio.process.send_signal(signal.SIGINT)
    assert studio.process.wait(60) == 0, studio.said()
    assert time.monotonic() - asked_at < 30
    assert still_there(below) == []


def test_nothing_outlives_a_start_that_is_killed(studio: Studio) -> None:
    studio.link()
    below = studio.everything()
    studio.process.kill()
    studio.process.wait()
    wait_for(lambda: not still_there(below), 40)

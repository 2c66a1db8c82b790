"""RFT Studio as ``make run`` starts it, on free ports, with a data folder of its own and the production settings."""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.worker import ROOT, children, free_port, still_there, wait_for

LINK = re.compile(r"http://127\.0\.0\.1:\d+/sign-in/\S+")
READY_SECONDS = 200.0  # two busy cores, four processes that import everything


class Studio:
    """``with Studio(folder) as studio: page.goto(studio.link)``; leaving the block ends every process of it."""

    def __init__(self, folder: Path, *, sample: bool = False) -> None:
        self.port, self.engine_port = free_port(), free_port()
        self.log = folder / "log"
        self.command = [sys.executable, str(ROOT / "manage.py"), "start", *([] if sample else ["--no-sample"])]
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "DJANGO_SETTINGS_MODULE": "rft_project.settings",
            "DATA_DIR": str(folder / "data"),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "ENGINE_KEY": secrets.token_urlsafe(16),
            "ENGINE_URL": f"http://127.0.0.1:{self.engine_port}/v1",
            "ALLOWED_HOSTS": "127.0.0.1",
            "INSECURE_HTTP": "1",
            "DEBUG": "0",
            "LOG_LEVEL": "WARNING",
            "PORT": str(self.port),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Studio:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log, cwd=ROOT)
        return self

    @property
    def link(self) -> str:
        """The link that signs in once, as soon as the studio is ready."""
        process = self.process
        assert process is not None
        found = wait_for(lambda: LINK.search(self.said()) or process.poll(), READY_SECONDS, every=0.2)
        assert isinstance(found, re.Match), self.said()
        return found[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        below = _below(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        wait_for(lambda: not still_there(below), 40)


def _below(pid: int) -> list[int]:
    found, level = [], [pid]
    while level:
        level = [child for parent in level for child in children(parent)]
        found += level
    return found

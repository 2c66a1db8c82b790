"""Everything on one machine with one command: web, worker and engine as children of this process."""

from __future__ import annotations

import io
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from rft_project.connections.access import home_workspace
from rft_project.env import env_int
from rft_project.jobs.health import worker_alive
from rft_project.jobs.processes import Child
from rft_project.web.signin import ensure_user, sign_in_link

HOST = "127.0.0.1"
LOOPBACK = {HOST, "localhost", "::1"}
READY_SECONDS = 120.0
LOOK_SECONDS = 0.3
# How long each may take to end; the worker finishes its slices, which may still call the engine.
GRACE = {"web": 8.0, "worker": 25.0, "engine": 10.0}


class Command(BaseCommand):
    help = "Prepare the database, start web server, worker and engine, print a sign-in link; Ctrl-C ends them all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=None, help="port of the web server (or PORT; 8000)")
        parser.add_argument(
            "--no-sample", action="store_true", help="do not load the sample dataset on the first start"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = threading.Event()
        self.hurry = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        port = options["port"] or env_int("PORT", 8000, minimum=1)
        engine = engine_port()
        require_free(port, f"choose another with PORT={port + 1}")
        if engine is not None:
            require_free(engine, f"choose another with ENGINE_URL=http://{HOST}:{engine + 1}/v1")
        self.prepare(with_sample=not options["no_sample"])
        if not self.stopping.is_set():
            self.run(processes(port, engine), port)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        (self.hurry if self.stopping.is_set() else self.stopping).set()

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def prepare(self, *, with_sample: bool) -> None:
        """Database, static files, the owner's account and workspace, and once the sample dataset."""
        self.say("Preparing the database …")
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        home_workspace(first_owner())
        loaded = settings.DATA_DIR / "sample-loaded"
        if with_sample and not loaded.exists() and "seed_demo" in get_commands():
            self.say("Loading the sample dataset …")
            try:
                call_command("seed_demo", stdout=io.StringIO())
                loaded.touch()  # a sample that somebody deleted does not come back
            except CommandError as error:
                self.say(f"The sample dataset was not loaded: {error}")
        connections.close_all()

    def run(self, children: list[Child], port: int) -> None:
        try:
            for child in children:
                child.start()
            self.say("Starting …")
            if self.wait_until_ready(children, f"http://{HOST}:{port}"):
                link = f"http://{HOST}:{port}{sign_in_link(first_owner())}"
                connections.close_all()
                self.say(
                    f"\nRFT Studio is ready. Sign in with this link (works once):\n\n    {link}\n\n"
                    "Ctrl-C stops everything.\n"
                )
                while not self.stopping.wait(LOOK_SECONDS):
                    for child in children:
                        child.revive()
        finally:
            self.end(children)

    def wait_until_ready(self, children: list[Child], url: str) -> bool:
        """False when asked to stop meanwhile; raises CommandError when it takes too long."""
        ends_at = time.monotonic() + READY_SECONDS
        while not self.stopping.wait(LOOK_SECONDS):
            # /readyz is asked last: each "not yet" of it is an error in the log
            if answers(f"{url}/healthz") and worker_alive() and answers(f"{url}/readyz"):
                return True
            if time.monotonic() > ends_at:
                raise CommandError(f"The server did not get ready within {READY_SECONDS:g} s; see the messages above.")
            for child in children:
                child.revive()
        return False

    def end(self, children: list[Child]) -> None:
        """In order: no new requests, then no more work, then the engine it calls. A second signal skips the waiting."""
        self.stopping.set()
        self.say("Stopping …")
        for child in children:
            child.terminate()
            ends_at = time.monotonic() + GRACE[child.name]
            while not child.wait(0.1) and time.monotonic() < ends_at and not self.hurry.is_set():
                pass
            child.kill()


def first_owner() -> Any:
    """The account the sign-in link is for: the first operator, made on the first start."""
    operators = get_user_model().objects.filter(is_superuser=True, is_active=True)
    return operators.order_by("pk").first() or ensure_user("owner")


def engine_port() -> int | None:
    """Port of the engine this machine should run; None when ENGINE_URL points to another one."""
    url = urlsplit(settings.ENGINE_URL)
    return (url.port or 80) if url.hostname in LOOPBACK else None


def processes(port: int, engine: int | None) -> list[Child]:
    """In the order they are stopped."""
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
    web = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)]
    web += ["--blocking-threads", "4", "--log-level", "warning", "rft_project.wsgi:application"]
    children = [
        Child("web", web, dies_with_parent=True),
        Child("worker", [*manage, "run_worker"], dies_with_parent=True),
    ]
    if engine is not None:
        children.append(Child("engine", [*manage, "engine", "--port", str(engine)], dies_with_parent=True))
    return children


def require_free(port: int, remedy: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used ({error.strerror}); end what uses it, or {remedy}."
            ) from None


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=3) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False

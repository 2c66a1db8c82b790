"""Run the local engine: real RL and inference on this machine, in OpenAI's protocol."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Serves the local engine until it is stopped; training that was interrupted goes on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="others than this machine need ENGINE_KEY")
        parser.add_argument("--port", type=int, default=8765)
        parser.add_argument("--device", default="auto", help="auto or cpu")
        parser.add_argument("--preload", default="", metavar="MODEL", help="load this model at once")

    def handle(self, *args: Any, **options: Any) -> None:
        """Becomes the engine's process: same process id, nothing of Django in its memory."""
        command = [sys.executable, "-m", "rft_project.engine", "--data-dir", str(settings.DATA_DIR)]
        for name in ("host", "port", "device", "preload"):
            command += [f"--{name}", str(options[name])]
        path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "ENGINE_KEY": settings.ENGINE_KEY}
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)

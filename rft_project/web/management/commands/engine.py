"""Run the local engine: real RL and inference on this machine, in OpenAI's protocol."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rft_project.engine.main import DEFAULT_HOST, DEFAULT_PORT, EngineError, serve


class Command(BaseCommand):
    help = "Serves the local engine until it is stopped; training that was interrupted goes on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default=DEFAULT_HOST, help="address to listen on; others than this machine need ENGINE_KEY"
        )
        parser.add_argument("--port", type=int, default=DEFAULT_PORT)
        parser.add_argument("--device", default="auto", help="auto or cpu")
        parser.add_argument("--preload", default="", metavar="MODEL", help="load this model at once")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            serve(
                options["host"],
                options["port"],
                data_dir=settings.DATA_DIR,
                api_key=settings.ENGINE_KEY,
                device=options["device"],
                preload=options["preload"],
            )
        except EngineError as error:
            raise CommandError(str(error)) from None

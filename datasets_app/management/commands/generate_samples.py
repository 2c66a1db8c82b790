"""Generates records for the topics that have too few."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app import generation
from datasets_app.core.generating import Plan
from datasets_app.management.dataset_command import DatasetCommand
from datasets_app.models import Dataset
from datasets_app.services import Refused
from rft_project.jobs.terminal import WRONG_USAGE


class Command(DatasetCommand):
    help = "Ask the helper model for the records that a plan wants; without a plan, for what every topic lacks."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--plan", type=Path, metavar="FILE", help='JSON: {"topics": [{"topic", "number"}], …}')
        parser.add_argument("--show-plan", action="store_true", help="write the plan that would be used, make no call")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = self.dataset(options)
        plan = _read(options["plan"]) if options["plan"] else generation.suggestion(dataset)
        if options["show_plan"]:
            self.write_report(plan.model_dump(mode="json"), options)
            return
        self.write_report(self._generate(dataset, plan), options)

    def _generate(self, dataset: Dataset, plan: Plan) -> dict[str, Any]:
        try:
            run = generation.begin(dataset, plan, by=None)
        except Refused as refused:
            raise CommandError(str(refused), returncode=1) from None
        assert run.job is not None
        return self.finish(run.job)


def _read(path: Path) -> Plan:
    """Raises CommandError."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise CommandError(f"{path} holds no JSON object with topics.", returncode=WRONG_USAGE)
        return generation.read_plan(given)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=1) from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}.", returncode=WRONG_USAGE) from error
    except Refused as refused:
        raise CommandError(str(refused), returncode=WRONG_USAGE) from None

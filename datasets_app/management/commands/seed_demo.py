"""Loads the project's own sample dataset."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from datasets_app import services
from datasets_app.models import Dataset, ImportBatch
from datasets_app.sample import SAMPLE_PATH
from rft_project.jobs.console import JobCommand

NAME = "Larkmoor help desk (sample)"


class Command(JobCommand):
    help = "Load the sample dataset: 500 requests to the help desk of an invented shop. Loading it twice adds nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default=NAME)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        dataset, _ = Dataset.objects.get_or_create(workspace=self.workspace(options), name=options["name"])
        batch = ImportBatch.objects.create(
            dataset=dataset, filename=SAMPLE_PATH.name, path=str(SAMPLE_PATH), owned=False
        )
        report = self.finish(services.start_import(batch, "auto", "", by=None))
        self.write_report(report, options)

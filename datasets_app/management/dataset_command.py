"""Commands on one dataset, found by name."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app import actions
from datasets_app.models import Dataset
from rft_project.jobs.console import JobCommand


class DatasetCommand(JobCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", metavar="NAME", help="name of the dataset")
        super().add_arguments(parser)

    def dataset(self, options: dict[str, Any]) -> Dataset:
        """Raises CommandError when the workspace has no dataset of that name."""
        name = options["dataset"]
        found = Dataset.objects.filter(workspace=self.workspace(options), name=name).first()
        if found is None:
            raise CommandError(f"There is no dataset called {name}; import_traces makes one.", returncode=2)
        return found

    def act(self, dataset: Dataset, action: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run an action here, or watch the one a worker is running already; its report."""
        return self.finish(actions.start(dataset, action, params, by=None))

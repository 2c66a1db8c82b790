"""Prints how the records of a dataset spread over its topics."""

from __future__ import annotations

from typing import Any

from datasets_app.facts import coverage_report
from datasets_app.management.dataset_command import DatasetCommand


class Command(DatasetCommand):
    help = "How the valid records of a dataset spread over its topics, against the targets."

    def handle(self, *args: Any, **options: Any) -> None:
        self.write_report(coverage_report(self.dataset(options)).to_json(), options)

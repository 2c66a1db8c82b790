"""Sorts the records of a dataset into its topics."""

from __future__ import annotations

from typing import Any

from datasets_app.actions import CATEGORIZE
from datasets_app.management.dataset_command import DatasetCommand


class Command(DatasetCommand):
    help = "Sort the valid records of a dataset into its topics; what people decided stays."

    def handle(self, *args: Any, **options: Any) -> None:
        self.write_report(self.act(self.dataset(options), CATEGORIZE, {}), options)

"""Checks every record of a dataset."""

from __future__ import annotations

from typing import Any

from datasets_app.actions import SANITIZE
from datasets_app.management.dataset_command import DatasetCommand


class Command(DatasetCommand):
    help = "Check every record of a dataset, mark what would fail a training run, and report."

    def handle(self, *args: Any, **options: Any) -> None:
        self.write_report(self.act(self.dataset(options), SANITIZE, {}), options)

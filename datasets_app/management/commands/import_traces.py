"""Imports files of traces into a dataset."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app import services
from datasets_app.core.formats import AUTO, FORMATS
from datasets_app.core.mapping import FieldMapping
from datasets_app.models import Dataset, ImportBatch
from rft_project.jobs.console import JobCommand


def pair(text: str) -> tuple[str, str]:
    """``NAME=PATH``; raises ArgumentTypeError for anything else."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ArgumentTypeError(f"{text!r} is not NAME=PATH, such as team=metadata.ticket.team")
    return name, path


class Command(JobCommand):
    help = "Import files of traces into a dataset, which is made when there is none of that name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE")
        parser.add_argument("--dataset", required=True, metavar="NAME")
        parser.add_argument("--format", default=AUTO, choices=[AUTO, *FORMATS])
        parser.add_argument("--reference-field", default="", metavar="PATH", help="such as metadata.intent")
        parser.add_argument("--id-field", default="", metavar="PATH", help="becomes the record's id (span_id)")
        parser.add_argument("--session-field", default="", metavar="PATH", help="becomes the id of its session")
        parser.add_argument(
            "--field", action="append", default=[], type=pair, metavar="NAME=PATH", help="an item field for graders"
        )
        parser.add_argument(
            "--leave-out", action="append", default=[], metavar="NAME", help="an item field that graders shall not see"
        )
        parser.add_argument("--limit", type=int, default=0, metavar="N", help="read at most so many lines of each file")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        workspace = self.workspace(options)
        dataset, _ = Dataset.objects.get_or_create(workspace=workspace, name=options["dataset"])
        report: dict[str, Any] = {"dataset": dataset.name, "imported": 0, "already_present": 0, "unreadable": 0}
        report |= {"formats": {}, "refused": []}
        for name in options["files"]:
            try:
                self._add(report, self.finish(self._start(dataset, name, options)))
            except CommandError as error:
                report["refused"].append(str(error))
                self.stderr.write(str(error))
        report["seconds"] = round(time.monotonic() - started, 2)
        self.write_report(report, options)
        if report["refused"]:
            raise SystemExit(1)

    def _start(self, dataset: Dataset, name: str, options: dict[str, Any]) -> Any:
        path = Path(name)
        batch = ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(path.resolve()), owned=False)
        mapping = FieldMapping(
            reference=options["reference_field"],
            span_id=options["id_field"],
            session_id=options["session_field"],
            fields=dict(options["field"]),
            left_out=tuple(options["leave_out"]),
        )
        limit = max(0, options["limit"])
        return services.start_import(batch, options["format"], mapping=mapping, limit=limit, by=None)

    @staticmethod
    def _add(report: dict[str, Any], result: dict[str, Any]) -> None:
        for key in ("imported", "already_present", "unreadable"):
            report[key] += result[key]
        for format, count in result["formats"].items():
            report["formats"][format] = report["formats"].get(format, 0) + count

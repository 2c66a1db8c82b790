"""Grades a file of answers with a grader document, without a database."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from graders_app.batch import BatchReport, grade_file
from graders_app.core.errors import GraderError
from graders_app.core.evaluate import JailUnavailable, open_grader
from graders_app.lines import UNREADABLE
from graders_app.management.reading import read_document_file, unreadable
from graders_app.side_by_side import WorkerLost
from graders_app.trial import no_judge
from rft_project.jobs.terminal import WRONG_USAGE, progress_bar, refuse_clash, replacing
from rft_project.platforms.types import JsonDict

SMALL = 8 << 20  # bytes that are graded before a second process would be of use


class Command(BaseCommand):
    help = (
        'Grade lines {"item": {…}, "sample": {"output_text": "…"}} with a grader document. Each line that is not empty '
        "gets one line in --out. Exits 1 when a line could not be read or the grader was refused."
    )
    requires_system_checks = []  # nothing of the web application is used

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="answers, one JSON object per line")
        parser.add_argument("--grader", type=Path, required=True, metavar="FILE", help="the grader document, JSON")
        parser.add_argument(
            "--out", type=Path, required=True, metavar="FILE", help="reward, sub_rewards and errors of each line"
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="processes that share the work (as many as cores) where a grader only compares texts",
        )
        parser.add_argument("--report", type=Path, metavar="FILE", help="count, mean, std, errors and seconds as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        inputs = [options["file"], options["grader"]]
        refuse_clash(inputs, [options[name] for name in ("out", "report") if options[name]])
        config, workers = read_document_file(options["grader"]), options["workers"]
        if workers is not None and workers < 1:
            raise CommandError("--workers must be at least 1.", returncode=WRONG_USAGE)
        try:
            report = self._grade(options["file"], config, options["out"], workers)
        except (GraderError, JailUnavailable, WorkerLost) as error:
            raise CommandError(str(error)) from None
        if options["report"]:
            with replacing(options["report"]) as target:
                target.write(json.dumps(report.to_json(), indent=2) + "\n")
        self.stdout.write(_summary(report))
        if bad := report.errors[UNREADABLE]:
            lines = "1 line" if bad == 1 else f"{bad:,} lines"
            raise CommandError(f"{lines} could not be read. {report.first_unreadable}")

    def _grade(self, path: Path, config: JsonDict, out: Path, workers: int | None) -> BatchReport:
        try:
            source = path.open("rb")
        except OSError as error:
            raise CommandError(unreadable(path, error), returncode=WRONG_USAGE) from None
        with (
            source,
            open_grader(config, judge=no_judge) as grader,
            replacing(out) as target,
            progress_bar(self.stderr, size := path.stat().st_size) as bar,
        ):
            if workers is None:
                workers = os.cpu_count() or 1 if size > SMALL else 1
            return grade_file(grader, source, target.write, bar, workers=workers)


def _summary(report: BatchReport) -> str:
    seconds = f"({report.seconds:.1f} s)"
    if not report.rewarded:
        lines = [f"None of {report.count:,} answers has a score {seconds}."]
    else:
        score = f"mean {report.mean:.3f}, standard deviation {report.std:.3f}"
        lines = [f"{report.rewarded:,} of {report.count:,} answers scored: {score} {seconds}."]
    lines += [f"  {count:>9,}  {kind}" for kind, count in report.errors.most_common()]
    return "\n".join(lines)

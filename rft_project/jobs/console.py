"""What management commands share: a job run here with a bar on the terminal, the report, the exit code."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rft_project.connections.models import Workspace

from .foreground import finish
from .models import Job, State
from .progress import Progress

BAR = 30  # characters


class JobCommand(BaseCommand):
    """Exit codes: 0 done, 1 refused or failed (one sentence on stderr), 2 wrong usage (argparse)."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--report", metavar="FILE", help="write the report as JSON here; - is standard output")
        parser.add_argument("--workspace", metavar="NAME", help="whose data; needed where there are several workspaces")

    def workspace(self, options: dict[str, Any]) -> Workspace:
        """The workspace asked for, or the only one; made when there is none yet. Raises CommandError."""
        name = options.get("workspace")
        found = list(Workspace.objects.filter(name=name) if name else Workspace.objects.order_by("pk")[:2])
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandError("There are several workspaces; name one with --workspace.", returncode=2)
        if name:
            raise CommandError(f"There is no workspace called {name}.", returncode=2)
        return Workspace.objects.create(name="Workspace")

    def finish(self, job: Job) -> dict[str, Any]:
        """Run ``job`` here to its end and return its result. Raises CommandError with the job's own sentence."""
        started = time.monotonic()
        job = finish(job, on_progress=self._draw)
        if self.stderr.isatty():
            self.stderr.write("", ending="\r\033[K")
        if job.state != State.SUCCEEDED:
            raise CommandError(job.error_message or f"The job ended as {job.state_label.lower()}.", returncode=1)
        return {**job.result, "seconds": round(time.monotonic() - started, 2)}

    def write_report(self, report: dict[str, Any], options: dict[str, Any]) -> None:
        """The report goes where --report says; without it a person reads it on standard output."""
        text = json.dumps(report, indent=2, ensure_ascii=False, default=str)
        if options.get("report") and options["report"] != "-":
            try:
                Path(options["report"]).write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise CommandError(f"{options['report']} cannot be written: {error.strerror}.", returncode=1) from error
        else:
            self.stdout.write(text)

    def _draw(self, progress: Progress) -> None:
        if not self.stderr.isatty():
            return
        share = min(1.0, progress.done / progress.total) if progress.total else 0.0
        bar = f"[{'#' * round(BAR * share):<{BAR}}] " if progress.total else ""
        total = f" of {progress.total:,}" if progress.total else ""
        self.stderr.write(f"\r\033[K{progress.phase} {bar}{progress.done:,}{total} {progress.note}", ending="")
        self.stderr.flush()

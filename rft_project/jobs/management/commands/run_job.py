"""Runs one job in the foreground."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rft_project.jobs.foreground import finish
from rft_project.jobs.models import Job, State


class Command(BaseCommand):
    help = "Run one job here, to its end, without a worker; exits 1 when it did not succeed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=int, help="number of the job")

    def handle(self, *args: Any, **options: Any) -> None:
        job = Job.objects.filter(pk=options["job"]).first()
        if job is None:
            raise CommandError(f"There is no job {options['job']}.", returncode=2)
        job = finish(job, on_change=lambda job: self.stdout.write(f"{job}: {job.done} {job.unit}"))
        if job.state != State.SUCCEEDED:
            self.stderr.write(job.error_message or f"The job ended as {job.state_label.lower()}.")
            sys.exit(1)

"""One sweep over the jobs, by hand or from cron."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from rft_project.jobs.sweep import sweep


class Command(BaseCommand):
    help = "Wake jobs that are due, and put back or end those whose worker is gone."

    def handle(self, *args: Any, **options: Any) -> None:
        swept = sweep()
        self.stdout.write(
            f"woken {swept.due}, messages sent again {swept.lost}, put back {swept.requeued}, given up {swept.failed}"
        )

"""Starts the background worker and keeps it at work."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from rft_project.jobs import cluster
from rft_project.jobs.supervisor import GRACE_SECONDS, WorkerSupervisor
from rft_project.jobs.watchdog import PATIENCE, PING_EVERY


class Command(BaseCommand):
    help = "Run background jobs until stopped; a cluster that no longer answers is started anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ping-every", type=float, default=PING_EVERY, metavar="SECONDS")
        parser.add_argument(
            "--patience", type=float, default=PATIENCE, metavar="SECONDS", help="how long a ping may go unanswered"
        )
        parser.add_argument(
            "--grace", type=float, default=GRACE_SECONDS, metavar="SECONDS", help="time to finish in when stopped"
        )
        parser.add_argument("--cluster", action="store_true", help=argparse.SUPPRESS)  # the child that is watched

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cluster"]:
            sys.exit(cluster.serve())
        WorkerSupervisor(ping_every=options["ping_every"], patience=options["patience"], grace=options["grace"]).run()

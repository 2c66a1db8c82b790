"""Delete what a run's training left in the account of its platform, the tuned model excepted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rft_project.connections.services import platform_for
from rft_project.ledger.cleaning import cleaned_up
from rft_project.platforms.base import CleansUp
from rft_project.platforms.errors import PlatformError
from wizard_app.models import RFTJob


class Command(BaseCommand):
    help = "Delete the uploaded rows and the grader's function that a finished training left; the model stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN", help="the run's id, as in the address of its pages")

    def handle(self, *args: Any, **options: Any) -> None:
        run = RFTJob.objects.select_related("connection").filter(pk=_id(options["run"])).first()
        if run is None:
            raise CommandError("There is no such run.")
        if run.connection is None or not run.training_key:
            raise CommandError("This run has trained nothing.")
        try:
            connection = run.platform_connection
            platform = platform_for(connection)
            if not isinstance(platform, CleansUp):
                raise CommandError(f"A training leaves nothing at {platform.label} that could be deleted from here.")
            deleted = cleaned_up(connection, platform, run.training_key)
        except PlatformError as error:
            raise CommandError(str(error)) from error
        for name in deleted:
            self.stdout.write(f"Deleted: {name}")
        if not deleted:
            self.stdout.write("There is nothing left to delete.")


def _id(text: str) -> Any:
    """The primary key that ``text`` writes; None where it is none."""
    try:
        return UUID(text) if "-" in text else int(text)
    except ValueError:
        return None

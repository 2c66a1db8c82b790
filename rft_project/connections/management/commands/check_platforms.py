"""Calls every connection once: does the key still work, does the platform answer?"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from rft_project.connections import services
from rft_project.connections.models import Connection

COLUMNS = ("connection", "workspace", "platform", "result")


class Command(BaseCommand):
    help = "Call every connection once and print a table or JSON; exit 1 when one fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON list in the place of the table.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Connection.objects.select_related("workspace").order_by("workspace_id", "name")
        results = [_checked(connection) for connection in found]
        if options["json"]:
            self.stdout.write(json.dumps(results, ensure_ascii=False, indent=2))
        elif results:
            self._table(results)
        else:
            self.stdout.write("There is no connection yet.")
        if any(result["error"] for result in results):
            sys.exit(1)

    def _table(self, results: list[dict[str, Any]]) -> None:
        rows = [COLUMNS, *(_row(result) for result in results)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
        for row in rows:
            cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
            self.stdout.write("  ".join([*cells, row[-1]]).rstrip())
        for result in results:
            if result["remedy"]:
                self.stdout.write(f"\nThis would help {result['connection']}:\n{result['remedy']}")


def _checked(connection: Connection) -> dict[str, Any]:
    error = services.check(connection)
    connection.refresh_from_db(fields=["remedy"])
    return {
        "connection": connection.name,
        "workspace": str(connection.workspace),
        "platform": connection.kind,
        "emulated": services.is_emulated(connection),
        "works": not error,
        "error": error,
        "remedy": connection.remedy,
    }


def _row(result: dict[str, Any]) -> tuple[str, str, str, str]:
    platform = result["platform"] + (" (emulated)" if result["emulated"] else "")
    return result["connection"], result["workspace"], platform, result["error"] or "works"

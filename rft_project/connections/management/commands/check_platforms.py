"""Calls every connection once: does the key still work, does the platform answer?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from rft_project.connections import services
from rft_project.connections.models import Connection


class Command(BaseCommand):
    help = "Call every connection once; one sentence each, exit 1 when one fails."

    def handle(self, *args: Any, **options: Any) -> None:
        found = Connection.objects.select_related("workspace").order_by("workspace_id", "name")
        failed = total = 0
        for connection in found:
            total += 1
            sentence = services.check(connection)
            where = f"{connection.name} ({connection.workspace})"
            if sentence:
                failed += 1
                self.stderr.write(f"{where}: {sentence}")
            else:
                self.stdout.write(f"{where} works.")
        if not total:
            self.stdout.write("There is no connection yet.")
        if failed:
            sys.exit(1)

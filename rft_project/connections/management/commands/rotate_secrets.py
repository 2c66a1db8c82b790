"""Seals all credentials with the first key of FIELD_ENCRYPTION_KEYS, so that older keys can be taken out.

To rotate: put a new key first, restart everything, run this, take the old key out, restart again.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from rft_project.connections.models import Connection
from rft_project.connections.sealing import SealError, current_key_id, key_id_of
from rft_project.connections.services import reseal

BATCH = 200  # rows held in memory


class Command(BaseCommand):
    help = "Seal all credentials with the first key of FIELD_ENCRYPTION_KEYS; exit 1 when one cannot be opened."

    def handle(self, *args: Any, **options: Any) -> None:
        current = current_key_id()
        sealed = already = failed = 0
        for connection in Connection.objects.order_by("pk").iterator(chunk_size=BATCH):
            if key_id_of(connection.sealed) == current:
                already += 1
                continue
            try:
                sealed += reseal(connection)
            except SealError as problem:
                failed += 1
                self.stderr.write(f"{connection.name}: {problem}")
        self.stdout.write(f"Sealed anew: {sealed}, already under the first key: {already}, not opened: {failed}.")
        if failed:
            sys.exit(1)

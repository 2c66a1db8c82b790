"""Seals all credentials and vault keys with the first key of FIELD_ENCRYPTION_KEYS: then older ones can be taken out.

To rotate: put a new key first, restart everything, run this, take the old key out, restart again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand

from rft_project.connections.sealing import SealError, current_key_id, key_id_of
from rft_project.connections.services import reseal

BATCH = 200  # rows held in memory


class Command(BaseCommand):
    help = (
        "Seal all credentials and vaults with the first key of FIELD_ENCRYPTION_KEYS; exit 1 when one cannot be opened."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        current = current_key_id()
        sealed = already = failed = 0
        for row in self._rows():
            if key_id_of(row.sealed) == current:
                already += 1
                continue
            try:
                sealed += reseal(row)
            except SealError as problem:
                failed += 1
                self.stderr.write(f"{row}: {problem}")
        self.stdout.write(f"Sealed anew: {sealed}, already under the first key: {already}, not opened: {failed}.")
        if failed:
            sys.exit(1)

    def _rows(self) -> Iterator[Any]:
        for name in settings.SEALED:
            yield from apps.get_model(name)._default_manager.order_by("pk").iterator(chunk_size=BATCH)

from __future__ import annotations

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "rft_project.ledger"
    label = "ledger"
    verbose_name = "Calls that spend"

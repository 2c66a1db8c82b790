from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DatasetsConfig(AppConfig):
    name = "datasets_app"
    label = "datasets_app"
    verbose_name = "Datasets"

    def ready(self) -> None:
        from . import counters, searching  # noqa: PLC0415 - models can't be imported before

        post_migrate.connect(counters.install, sender=self, dispatch_uid="record counters")
        post_migrate.connect(searching.install, sender=self, dispatch_uid="search index")

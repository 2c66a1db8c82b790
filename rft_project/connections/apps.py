from __future__ import annotations

from django.apps import AppConfig

from .sealing import check_keys


class ConnectionsConfig(AppConfig):
    name = "rft_project.connections"
    label = "connections"
    verbose_name = "Workspaces and connections"

    def ready(self) -> None:
        check_keys()  # a server that cannot read what it stored does not start

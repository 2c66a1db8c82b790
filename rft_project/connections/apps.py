from __future__ import annotations

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    name = "rft_project.connections"
    label = "connections"
    verbose_name = "Workspaces and connections"

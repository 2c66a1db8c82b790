from __future__ import annotations

from django.apps import AppConfig


class GradersConfig(AppConfig):
    name = "graders_app"
    label = "graders_app"
    verbose_name = "Graders"

    def ready(self) -> None:
        from graders_app import checks  # noqa: F401, PLC0415 - registers the system check once the apps are there

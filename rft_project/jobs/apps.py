from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "rft_project.jobs"
    label = "jobs"
    verbose_name = "Background jobs"

    def ready(self) -> None:
        from rft_project import checks  # noqa: F401, PLC0415 - registers the system checks once the apps are there

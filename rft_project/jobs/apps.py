from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "rft_project.jobs"
    label = "jobs"
    verbose_name = "Background jobs"

from __future__ import annotations

from django.apps import AppConfig


class GradersConfig(AppConfig):
    name = "graders_app"
    label = "graders_app"
    verbose_name = "Graders"

from __future__ import annotations

from django.apps import AppConfig


class WizardConfig(AppConfig):
    name = "wizard_app"
    label = "wizard_app"
    verbose_name = "Wizard"

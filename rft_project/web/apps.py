"""The shared web parts: no models, only what every page is made of."""

from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "rft_project.web"
    label = "web"

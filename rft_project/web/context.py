"""What every page knows: the version, the theme a person chose, and how many of their jobs are running."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.http import HttpRequest

from rft_project.jobs.models import Job

THEMES = ("light", "dark")
try:
    VERSION = version("rft-studio")
except PackageNotFoundError:  # run from a checkout
    VERSION = "0.1.0"


def _running(request: HttpRequest) -> int:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return 0
    return Job.objects.live().filter(requested_by=user).count()


def _initials(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    words = (user.get_full_name() or user.get_username()).replace("@", " ").replace(".", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"


def studio(request: HttpRequest) -> dict[str, Any]:
    """``theme``: "light", "dark" or "" (the system decides); counts are asked once, by pages only, not by regions."""
    theme = request.COOKIES.get("theme", "")
    return {
        "app_version": VERSION,
        "theme": theme if theme in THEMES else "",
        "initials": cache(lambda: _initials(request)),
        "jobs_running": cache(lambda: _running(request)),
    }

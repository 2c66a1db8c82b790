"""The settings of the tests, and the table of the ordinary import."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.bench.ordinary"]  # noqa: F405

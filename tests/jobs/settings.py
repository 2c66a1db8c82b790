"""Settings of the worker processes in these tests: the jobs and what they need, and handlers of the tests' own."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_q",
    "rft_project.connections",
    "rft_project.jobs",
]
MIDDLEWARE: list[str] = []
TEMPLATES: list[dict[str, object]] = []
ROOT_URLCONF = "tests.jobs.urls"
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"
JOB_HANDLERS = {
    "count": "tests.jobs.handlers.count",
    "scripted": "tests.jobs.handlers.scripted",
    "greedy": "tests.jobs.handlers.greedy",
}
Q_CLUSTER = {**Q_CLUSTER, "timeout": 4, "retry": 60}  # noqa: F405 - a hung task ends within a test's patience

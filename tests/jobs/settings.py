"""Test settings with handlers of the tests' own, for this process and for real worker processes."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

JOB_HANDLERS = {
    "count": "tests.jobs.handlers.count",
    "scripted": "tests.jobs.handlers.scripted",
    "greedy": "tests.jobs.handlers.greedy",
}
Q_CLUSTER = {**Q_CLUSTER, "timeout": 4, "retry": 60}  # noqa: F405 - a hung task ends within a test's patience

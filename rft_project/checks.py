"""System checks: what would otherwise fail only hours later, in a worker.

rft.E001  a job handler cannot be imported        rft.E003  a hung task would never be stopped
rft.E002  a waiting task would run twice          rft.E004  the data folder cannot be written
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.utils.module_loading import import_string

KILL_GRACE = 3  # seconds django-q2 adds to the time-out before its guard ends a worker


@register()
def job_handlers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every entry of ``JOB_HANDLERS`` names a function."""
    found: list[CheckMessage] = []
    for kind, dotted in settings.JOB_HANDLERS.items():
        try:
            handler = import_string(dotted)
        except ImportError as error:
            found.append(
                Error(
                    f"The handler of jobs of kind {kind!r} cannot be imported: {error}",
                    hint=f"Correct JOB_HANDLERS[{kind!r}] in the settings.",
                    id="rft.E001",
                )
            )
        else:
            if not callable(handler):
                found.append(Error(f"The handler of jobs of kind {kind!r} is not a function.", id="rft.E001"))
    return found


@register()
def queue_times(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The two relations between queue settings that django-q2 relies on and does not look at.

    A task may wait behind ``queue_limit / workers`` others while the clock of ``retry`` runs, and the guard counts down
    in steps of ``guard_cycle`` until exactly zero.
    """
    queue: dict[str, Any] = settings.Q_CLUSTER
    found: list[CheckMessage] = []
    least = (queue["queue_limit"] / queue["workers"] + 2) * (queue["timeout"] + 5)
    if queue["retry"] <= least:
        found.append(
            Error(
                f"Q_CLUSTER retry is {queue['retry']} s: a task that waits could run twice.",
                hint=f"Set retry above {least:.0f} s.",
                id="rft.E002",
            )
        )
    steps = (queue["timeout"] + KILL_GRACE) / queue["guard_cycle"]
    if steps != int(steps):
        found.append(
            Error(
                f"Q_CLUSTER guard_cycle {queue['guard_cycle']} does not divide timeout + {KILL_GRACE} s: "
                "a hung task would never be stopped.",
                hint="Set guard_cycle to 0.5.",
                id="rft.E003",
            )
        )
    return found


@register(Tags.files)
def data_folder(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Uploads, exports and the SQLite file go to ``DATA_DIR``; it, or the folder to make it in, must be writable."""
    folder = settings.DATA_DIR
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data folder {settings.DATA_DIR} cannot be written.",
            hint="Set DATA_DIR to a folder this user may write.",
            id="rft.E004",
        )
    ]

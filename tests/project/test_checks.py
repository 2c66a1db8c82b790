from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from rft_project.checks import data_folder, job_handlers, queue_times


def ids(found: list[Any]) -> list[str]:
    return [message.id for message in found]


def test_the_product_as_it_is_has_nothing_to_complain_about() -> None:
    assert [message for message in run_checks() if message.id.startswith("rft.")] == []


@pytest.mark.parametrize(
    "dotted",
    ["no_such_module.run", "rft_project.jobs.tasks.no_such_function", "nodots", "rft_project.jobs.bell.RUN_TASK"],
)
def test_a_handler_that_is_none_is_reported_with_its_kind(settings: Any, dotted: str) -> None:
    settings.JOB_HANDLERS = {"good": "rft_project.jobs.tasks.run", "laundry": dotted}
    found = job_handlers(None)
    assert ids(found) == ["rft.E001"]
    assert "'laundry'" in found[0].msg


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"retry": 762}, ["rft.E002"]),  # (1/2 + 2) · 305 s = 762.5 s
        ({"retry": 763}, []),
        ({"queue_limit": 10}, ["rft.E002"]),
        ({"guard_cycle": 0.4}, ["rft.E003"]),  # 303 s are 757.5 steps: zero is never met
        ({"guard_cycle": 1}, []),
        ({"retry": 10, "guard_cycle": 2}, ["rft.E002", "rft.E003"]),
    ],
)
def test_queue_times_must_fit_together(settings: Any, change: dict[str, float], expected: list[str]) -> None:
    times = {"timeout": 300, "retry": 1200, "queue_limit": 1, "workers": 2, "guard_cycle": 0.5}
    settings.Q_CLUSTER = times | change
    assert ids(queue_times(None)) == expected


def test_the_data_folder_must_be_writable_or_makeable(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "not" / "yet" / "there"
    assert ids(data_folder(None)) == []
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    settings.DATA_DIR = blocker / "data"
    assert ids(data_folder(None)) == ["rft.E004"]

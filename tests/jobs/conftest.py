from __future__ import annotations

from typing import Any

import pytest

from tests.jobs import settings as with_handlers


@pytest.fixture(autouse=True)
def job_handlers(settings: Any) -> None:
    settings.JOB_HANDLERS = with_handlers.JOB_HANDLERS | {"missing": "tests.jobs.handlers.there_is_no_such_function"}

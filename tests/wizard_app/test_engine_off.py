"""What the pages say when no engine answers, and how the way on is shown."""

from __future__ import annotations

from typing import Any

import pytest

from wizard_app.models import RFTJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_engine(settings: Any, free_port: int) -> None:
    settings.ENGINE_URL, settings.ENGINE_KEY = f"http://127.0.0.1:{free_port}/v1", ""


def test_the_dry_run_says_that_no_model_answers_and_how_to_start_one(
    graded_run: RFTJob, owner: Any, client_of: Any, no_engine: None
) -> None:
    html = client_of(owner).get(f"/runs/{graded_run.pk}/dry-run/").content.decode()
    assert "No model can be asked." in html
    assert "<code>python manage.py engine</code>" in html
    assert html.count("btn primary") == 0
    assert '<button class="btn" type="button" disabled>Start the dry run</button>' in html

"""What a training page says besides its counts while the platform is at work."""

from __future__ import annotations

import pytest

from rft_project.platforms.types import State, TrainingStatus
from wizard_app.jobs.train import waiting_note


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (TrainingStatus(state=State.RUNNING, word="running"), ""),
        (TrainingStatus(state=State.QUEUED, word="validating_files"), "The platform says “validating_files”."),
        (TrainingStatus(state=State.RUNNING, word="running", detail="Grading is slow."), "Grading is slow."),
    ],
)
def test_note(status: TrainingStatus, note: str) -> None:
    assert waiting_note(status) == note

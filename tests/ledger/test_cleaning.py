"""What a training left is deleted, and what is known of its start stays: no second one is paid for."""

from __future__ import annotations

from typing import Any

import pytest

from rft_project.connections.models import Connection, Workspace
from rft_project.ledger import services as ledger
from rft_project.ledger.cleaning import cleaned_up
from rft_project.ledger.models import ExternalCall, State
from rft_project.platforms import PlatformError, Unknown, build
from rft_project.platforms.types import Handle, TrainingRequest
from tests.emulators import mantle
from tests.emulators.mantle import Fault, MantleEmulator
from tests.engine.process import EXACT, rows
from tests.platforms.test_bedrock_openai import packed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def emulator() -> Any:
    with mantle.running(queue_seconds=3600.0) as running:
        yield running


@pytest.fixture
def connection(workspace: Workspace, emulator: MantleEmulator) -> Connection:
    made = Connection(workspace=workspace, kind="bedrock_openai", name="Open-weight")
    made.set_credentials(emulator.credentials)
    made.save()
    return made


@pytest.fixture
def platform(emulator: MantleEmulator) -> Any:
    return build("bedrock_openai", emulator.credentials)


def start(platform: Any, connection: Connection) -> Handle:
    package = packed('{"type": "string_check", "name": "exact", "operation": "eq", '
                     '"input": "{{sample.output_text}}", "reference": "{{item.reference_answer}}"}')  # fmt: skip
    request = TrainingRequest(
        key="k", model=mantle.TRAINABLE, train_rows=rows(0, 4) * 9, valid_rows=[], grader=EXACT, grader_package=package
    )
    return platform.start_training(request, ledger.journal(connection, "k", "training of First run"))


def states() -> dict[str, str]:
    return dict(ExternalCall.objects.values_list("operation", "state"))


def test_a_job_that_was_found_by_a_deleted_file_is_not_made_again(platform, connection, emulator) -> None:
    handle = start(platform, connection)
    emulator.list_lag = emulator.jobs[handle.id]["lag"] = 1  # the list does not show it yet
    with pytest.raises(PlatformError, match="still at work"):
        cleaned_up(connection, platform, "k")
    assert len(emulator.files) == 1
    platform.cancel_training(handle)
    emulator.jobs[handle.id]["lag"] = 0
    assert cleaned_up(connection, platform, "k")[0] == "the grader's function"
    assert (emulator.files, cleaned_up(connection, platform, "k")) == ({}, [])
    assert states() == {
        "start": State.CONFIRMED,
        "upload train": State.RELEASED,
        "publish grader": State.RELEASED,
    }
    assert (start(platform, connection), list(emulator.jobs)) == (handle, [handle.id])


def test_a_start_that_was_not_answered_keeps_its_files(platform, connection, emulator) -> None:
    emulator.list_lag = 3
    emulator.faults = [Fault("POST", "/fine_tuning/jobs", "drop-after")]
    with pytest.raises(Unknown):
        start(platform, connection)
    with pytest.raises(Unknown, match="did not say whether the training started"):
        cleaned_up(connection, platform, "k")
    assert (len(emulator.files), len(emulator.jobs)) == (1, 1)


def test_after_cleaning_up_a_start_that_was_given_up_begins_from_nothing(platform, connection, emulator) -> None:
    emulator.faults = [Fault("POST", "/fine_tuning/jobs", 400)]
    with pytest.raises(PlatformError, match="An error was injected"):
        start(platform, connection)
    assert len(cleaned_up(connection, platform, "k")) == 2
    handle = start(platform, connection)
    assert (list(emulator.jobs), len(emulator.files)) == ([handle.id], 1)

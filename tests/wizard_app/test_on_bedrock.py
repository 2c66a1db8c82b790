"""A run on an emulated AWS account: the grader goes out as a Lambda function, and what it logs is the run's curve."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from datasets_app import actions
from graders_app.services import save_grader
from rft_project.connections import services as connections
from rft_project.platforms.types import Handle
from tests.emulators import bedrock
from tests.engine.process import EXACT, LABELS
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain
from wizard_app import services, splitting
from wizard_app.models import RFTJob
from wizard_app.schemas import DryRunParams, SplitParams, TrainParams

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(settings: Any) -> Iterator[bedrock.BedrockEmulator]:
    with bedrock.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        yield running
        assert running.wrong_answers == []


@pytest.fixture
def run(workspace: Any, tmp_path: Path) -> RFTJob:
    """A run with more than the hundred rows that Bedrock asks for, and a grader that compares."""
    dice = random.Random(3)
    words = [f"word{number}" for number in range(3_000)]
    lines = [record(" ".join([label, *dice.sample(words, 12)]), label) for label in LABELS for _ in range(60)]
    dataset = make_dataset(workspace, "Topics of mail")
    import_file(dataset, write_lines(tmp_path / "mail.jsonl", *lines))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    made = services.create_run(dataset, "On Bedrock", by=None)
    splitting.split_run(made, SplitParams(ratio=0.8))
    services.choose_grader(made, save_grader(workspace, "Exact", EXACT, by=None))
    return made


def test_the_graders_own_log_is_the_curve(run: RFTJob, account: bedrock.BedrockEmulator, owner: Any) -> None:
    connection = connections.add(run.workspace, "bedrock", "Ours", account.credentials, by=owner)
    dry = DryRunParams(connection=str(connection.pk), model=bedrock.TRAINABLE, size=10, answers=2)
    services.start_dry_run(run, dry, by=None)
    drain(jump=True)
    run.refresh_from_db()
    services.override_no_go(run, "The emulator's model knows nothing yet.", by=owner)
    settings = {"batchSize": 32, "epochCount": 2, "trainingSamplePerPrompt": 4}
    services.start_training(run, TrainParams(hyperparameters=settings, seed=1), by=None)
    drain(jump=True)
    run.refresh_from_db()
    (job,) = account.jobs.values()
    assert (job["status"], run.training_handle) == ("Completed", job["jobArn"])
    assert run.tuned_model == job["outputModelArn"]
    observed = list(run.metrics.filter(series="observed_reward").order_by("step").values_list("step", flat=True))
    assert observed == list(range(1, len(observed) + 1))
    assert len(observed) >= 2
    assert connections.platform_for(connection).checkpoints(Handle(id=run.training_handle)) == []
    said = io.StringIO()
    for _ in range(2):
        call_command("clean_up_run", str(run.pk), stdout=said)
    first, *files, last = said.getvalue().splitlines()
    assert (first, len(files), last) == ("Deleted: the grader's function", 2, "There is nothing left to delete.")
    assert run.tuned_model in account.models


def test_a_run_that_trained_nothing_leaves_nothing(run: RFTJob) -> None:
    with pytest.raises(CommandError, match="has trained nothing"):
        call_command("clean_up_run", str(run.pk))
    with pytest.raises(CommandError, match="no such run"):
        call_command("clean_up_run", "nobody")

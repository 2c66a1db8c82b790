from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from graders_app.core.presets import load_preset
from graders_app.services import save_grader
from rft_project.connections import services as connections
from rft_project.connections.services import local_connection
from tests.emulators import azure
from tests.engine.process import Engine
from tests.factories import small_dataset
from tests.worker import drain
from wizard_app import services, splitting
from wizard_app.items import preset_context
from wizard_app.models import RFTJob
from wizard_app.schemas import DryRunParams, SplitParams


@pytest.fixture(scope="session")
def running_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One real engine for all tests of the wizard that leave it running."""
    engine = Engine(tmp_path_factory.mktemp("wizard-engine")).start()
    yield engine
    engine.stop()


@pytest.fixture
def engine(running_engine: Engine, settings: Any) -> Engine:
    settings.ENGINE_URL, settings.ENGINE_KEY = running_engine.url, ""
    return running_engine


@pytest.fixture
def graded_run(workspace: Any) -> RFTJob:
    """A run on the small sample with a split and the preset for labels."""
    dataset = small_dataset(workspace)
    run = services.create_run(dataset, "First run", by=None)
    splitting.split_run(run, SplitParams(ratio=0.7))
    config = load_preset("label_partial_credit").build(preset_context(run.snapshot))
    services.choose_grader(run, save_grader(workspace, "Labels", config, by=None))
    return run


def dry_run_params(run: RFTJob, **changes: Any) -> DryRunParams:
    connection = local_connection(run.workspace)
    return DryRunParams(**{"connection": str(connection.pk), "model": "classifier", "size": 20, "answers": 3} | changes)


@pytest.fixture
def sampled_run(graded_run: RFTJob, engine: Engine) -> RFTJob:
    """A run whose dry run has ended."""
    services.start_dry_run(graded_run, dry_run_params(graded_run), by=None)
    drain(jump=True)
    graded_run.refresh_from_db()
    return graded_run


def run_on_azure(run: RFTJob, resource: azure.AzureEmulator, owner: Any) -> RFTJob:
    """``run`` after a dry run that asked o4-mini through its deployment, named by hand; its NO-GO is overridden."""
    values = {
        "endpoint": resource.origin,
        "api_key": resource.key,
        "deployments": f"{azure.TRAINABLE} = {azure.BASE_DEPLOYMENT}",
    }
    connection = connections.add(run.workspace, "azure", "Ours", values, by=owner)
    params = DryRunParams(connection=str(connection.pk), model=azure.TRAINABLE, size=10, answers=2)
    services.start_dry_run(run, params, by=None)
    drain(jump=True)
    run.refresh_from_db()
    services.override_no_go(run, "The emulator's model knows nothing yet.", by=owner)
    return run

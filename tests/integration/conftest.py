from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets_app import actions
from datasets_app.sample import SMALL_PATH
from graders_app.core.presets import load_preset
from graders_app.services import save_grader
from tests.engine.process import Engine
from tests.factories import import_file, make_dataset
from tests.worker import drain
from wizard_app import services, splitting
from wizard_app.items import preset_context
from wizard_app.models import RFTJob
from wizard_app.schemas import SplitParams

from .harm import CountingProxy


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of the test's own, which it may kill."""
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = Engine(folder).start()
    yield engine
    engine.kill()


@pytest.fixture
def proxy_to(settings: Any) -> Iterator[Callable[..., CountingProxy]]:
    """``proxy_to(engine)``: the product finds the engine behind a proxy that counts."""
    made: list[CountingProxy] = []

    def start(engine: Engine, **kwargs: Any) -> CountingProxy:
        made.append(CountingProxy(engine.url, **kwargs))
        settings.ENGINE_URL, settings.ENGINE_KEY = made[-1].url, ""
        return made[-1]

    yield start
    for proxy in made:
        proxy.close()


@pytest.fixture
def graded_run(workspace: Any) -> RFTJob:
    """A run on the small sample with a split and the preset for labels."""
    dataset = import_file(make_dataset(workspace), SMALL_PATH).dataset
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    run = services.create_run(dataset, "First run", by=None)
    splitting.split_run(run, SplitParams(ratio=0.7))
    config = load_preset("label_partial_credit").build(preset_context(run.snapshot))
    services.choose_grader(run, save_grader(workspace, "Labels", config, by=None))
    return run

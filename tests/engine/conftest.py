from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.process import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all tests that leave it running."""
    running = Engine(tmp_path_factory.mktemp("engine")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Makes engines that a test may end as it likes; what is left is ended afterwards."""
    made: list[Engine] = []

    def make(**options: object) -> Engine:
        made.append(Engine(tmp_path, **options).start())  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.kill()

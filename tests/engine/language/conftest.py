from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.language.tiny import make_folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("torch")
    from rft_project.engine.language import runtime

    runtime.prepare(1)
    yield make_folder(tmp_path_factory.mktemp("tiny") / "tiny-llama")

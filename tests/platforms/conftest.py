from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators import azure, bedrock, openai
from tests.engine.process import Engine, free_port


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The real engine, with a key."""
    running = Engine(tmp_path_factory.mktemp("engine"), key="engine-key").start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def emulator() -> Iterator[openai.OpenAIEmulator]:
    with openai.running() as running:
        yield running


@pytest.fixture
def azure_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[azure.AzureEmulator]:
    """One Azure resource, and the environment in which this process has a managed identity there."""
    with azure.running(step_seconds=0.01) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def bedrock_emulator() -> Iterator[bedrock.BedrockEmulator]:
    with bedrock.running() as running:
        yield running
        assert running.wrong_answers == []


@pytest.fixture
def unused_port() -> int:
    return free_port()

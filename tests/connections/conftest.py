"""A platform that answers on loopback, opened to connections as an operator would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from rft_project.connections import services
from rft_project.connections.models import Connection
from tests.emulators import openai


@pytest.fixture
def emulator(settings: Any) -> Iterator[openai.OpenAIEmulator]:
    with openai.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.url).netloc]
        yield running


@pytest.fixture
def add(workspace, owner, emulator) -> Callable[..., Connection]:
    """``add(name)``: a saved connection to the emulator."""

    def make(name: str = "Emulated", kind: str = "openai", **values: Any) -> Connection:
        return services.add(workspace, kind, name, {**emulator.credentials, **values}, by=owner)

    return make

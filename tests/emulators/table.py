"""The platforms that ``make emulators`` starts. A new emulator adds its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from . import azure, bedrock, mantle, openai

Json = dict[str, Any]

#: Keys of the emulators, the same at every start so that connections go on working.
KEY, AWS_KEY = "sk-emulated-key-of-nobody", "AKIAEMULATEDNOBODY00"
#: Slow enough to watch: a training of twenty steps takes some twenty seconds.
PACE = {"step_seconds": 0.8, "queue_seconds": 1.5, "latency": 0.05}


@dataclass(frozen=True)
class Emulated:
    """``kind``: of the connection; ``running``: the emulator on a port, as a context with ``credentials``."""

    kind: str
    label: str
    port: int
    running: Callable[[int], AbstractContextManager[Any]]

    @property
    def name(self) -> str:
        return f"{self.label} (emulated)"


@dataclass(frozen=True)
class Started:
    """An emulator that answers, and what a connection to it needs."""

    kind: str
    name: str
    credentials: Json
    #: Variables a server needs that is signed in to the platform by where it runs.
    environment: dict[str, str]

    @property
    def places(self) -> list[str]:
        """host:port of every address in the credentials, for ALLOWED_PRIVATE_ENDPOINTS."""
        values = [value for value in self.credentials.values() if isinstance(value, str)]
        return sorted({urlsplit(value).netloc for value in values if value.startswith("http://")})


EMULATED = (
    Emulated("openai", "OpenAI", 8811, lambda port: openai.running(port=port, key=KEY, **PACE)),
    Emulated("azure", "Azure", 8812, lambda port: azure.running(port=port, key=KEY, **PACE)),
    Emulated("bedrock", "Bedrock", 8813, lambda port: bedrock.running(port=port, key=AWS_KEY, step_seconds=0.8)),
    Emulated("bedrock_openai", "Bedrock open-weight", 8814, lambda port: _mantle(port)),
)


def _mantle(port: int) -> AbstractContextManager[Any]:
    """With its AWS account at the next port, at any where ``port`` is 0."""
    return mantle.running(port=port, key=KEY, aws_port=port and port + 1, aws_key=AWS_KEY, **PACE)


def on_free_ports() -> tuple[Emulated, ...]:
    """The same table for tests: any port."""
    return tuple(replace(entry, port=0) for entry in EMULATED)


@contextmanager
def all_started(table: tuple[Emulated, ...] = EMULATED) -> Iterator[list[Started]]:
    """Every emulator of ``table``, answering until the block ends. Raises OSError where a port is taken."""
    with ExitStack() as stack:
        emulators = [(entry, stack.enter_context(entry.running(entry.port))) for entry in table]
        yield [
            Started(entry.kind, entry.name, dict(emulator.credentials), dict(getattr(emulator, "environment", {})))
            for entry, emulator in emulators
        ]

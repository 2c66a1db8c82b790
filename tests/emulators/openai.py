"""A loopback server that speaks OpenAI's fine-tuning, files, chat, embeddings and models API.

Stricter than the service: what breaks a published limit or shape is refused with a sentence that says so. It runs the
grader it is given on a small softmax policy that really learns, so rewards are earned. Faults are injected per request.
Sources: the ``openai`` 3.54.0 package (types and resources) and OpenAI's published API description.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from .faults import Fault
from .finetuning import CLOSED, TRAINABLE, FineTuningEmulator
from .limits import Limits
from .policy import Policy
from .sampling import completion, embedded
from .wire import Json, Refused, Request, found, started

__all__ = ["CHAT", "CLOSED", "EMBEDDING", "TRAINABLE", "Fault", "Limits", "OpenAIEmulator", "running"]

CHAT = "gpt-4.1-mini-2025-04-14"
EMBEDDING = "text-embedding-3-small"
#: Tokens a reasoning model thinks before it answers, by effort.
_THOUGHTS = {"none": 0, "minimal": 2, "low": 4, "high": 16, "xhigh": 24, "max": 32}


class OpenAIEmulator(FineTuningEmulator):
    """``url`` and ``key`` are the credentials. ``faults`` are used up in order; ``requests`` is what was asked."""

    prefix = "/v1"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in (TRAINABLE, CHAT, EMBEDDING):
            shutdown = "2099-01-01" if name == TRAINABLE else None
            about = {"id": name, "object": "model", "created": 1, "owned_by": "system", "shutdown_date": shutdown}
            self.models[name] = (about, None)

    @property
    def credentials(self) -> Json:
        return {"base_url": self.url, "api_key": self.key}

    def limited(self, request: Request) -> int | None:
        """Sampling and embedding; tokens as the service estimates them: the text sent and the most that may come."""
        if request.method != "POST" or request.path not in ("/chat/completions", "/embeddings"):
            return None
        body = request.json()
        longest = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        return len(request.content) // 4 + longest * (body.get("n") or 1)

    def route(self, request: Request) -> Any:
        match request.method, request.parts:
            case "GET", ["models"]:
                return {"object": "list", "data": [about for about, _ in self.models.values()]}
            case "GET", ["models", name]:
                return found(self.models, name, "model")[0]
            case "POST", ["chat", "completions"]:
                return self.chat(request.json())
            case "POST", ["embeddings"]:
                return embedded(request.json(), EMBEDDING)
        return super().route(request)

    def chat(self, body: Json) -> Json:
        model = str(body.get("model"))
        reasoning = model.removeprefix("ft:").startswith("o4")
        thoughts = _THOUGHTS.get(str(body.get("reasoning_effort")), 8) if reasoning else 0
        return completion(body, self.answering(model), reasoning=reasoning, thoughts=thoughts)

    def answering(self, model: str) -> Policy | None:
        """The policy behind what stands under ``model``; None for an untrained one. Raises Refused."""
        if model not in self.models or model == EMBEDDING:
            raise Refused(
                404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
            )
        about, policy = self.models[model]
        shutdown = about.get("shutdown_date")
        if shutdown is not None and shutdown <= datetime.now(UTC).date().isoformat():
            raise Refused(404, f"The model `{model}` has been deprecated.", code="model_not_found")
        return policy


def running(**options: Any) -> AbstractContextManager[OpenAIEmulator]:
    """A running emulator with these options of :class:`OpenAIEmulator`."""
    return started(OpenAIEmulator(**options))

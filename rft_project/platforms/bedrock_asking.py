"""Asking models of Bedrock: answers through Converse, vectors through Titan."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ClassVar, TypeVar

from . import catalogue
from .aws import Clients
from .converse import answer_of, converse_arguments, schema_of, usage_of
from .errors import PlatformError
from .estimates import rated_tokens, text_tokens
from .openai_embedding import clipped
from .pacing import committed
from .pool import persistently
from .types import Sample, SampleRequest, Usage

_Result = TypeVar("_Result")

#: Untrained Nova 2 Lite answers under the name of an inference profile, not under the one it is trained by.
_PROFILES = {"amazon.nova-2-lite-v1:0:256k": "us.amazon.nova-2-lite-v1:0"}
#: Calls at once of one request: Converse gives one answer a call, Titan one vector.
_AT_ONCE = 8


class BedrockAsking:
    """Part of the adapter that asks. What it is mixed into has ``_clients`` and ``_call``."""

    kind: ClassVar[str]
    label: ClassVar[str]
    _clients: Clients
    _call: Any

    def sample(self, request: SampleRequest) -> Sample:
        started = time.monotonic()
        arguments = converse_arguments(request, _PROFILES.get(request.model, request.model))
        structured = schema_of(request.response_format) is not None
        tokens = rated_tokens(request.model_copy(update={"n": 1}))
        ask = partial(self._conversed, request.model, arguments, tokens)
        responses = _together([ask] * request.n)
        try:
            answers = [answer_of(response, structured=structured) for response in responses]
            usages = [usage_of(response) for response in responses]
        except (KeyError, TypeError, ValueError):
            raise PlatformError(
                f"{self.label} sent an answer that can't be read while sampling.", retryable=True
            ) from None
        usage = Usage(
            prompt_tokens=sum(used.prompt_tokens for used in usages),
            completion_tokens=sum(used.completion_tokens for used in usages),
        )
        return Sample(answers=answers, usage=usage, seconds=time.monotonic() - started)

    def embed(self, texts: list[str], model: str = "") -> list[list[float]]:
        """Each text once, however often it is given."""
        name = model or catalogue.entry(self.kind).embedding_model
        cut = [clipped(text) for text in texts]  # Titan takes 8,192 tokens too
        wanted = list(dict.fromkeys(cut))
        made = _together([partial(self._embedded, name, text) for text in wanted])
        vectors = dict(zip(wanted, made, strict=True))
        return [vectors[text] for text in cut]

    def _conversed(self, model: str, arguments: dict[str, Any], tokens: int) -> Any:
        try:
            return self._call("sampling", "bedrock-runtime", "converse", tokens=tokens, **arguments)
        except PlatformError as error:
            if error.code == "ResourceNotFoundException" or "model identifier is invalid" in str(error):
                sentence = f"{self.label} has no model “{model}” that this connection can ask."
                raise PlatformError(sentence, status=404, code=error.code) from None
            raise

    def _embedded(self, model: str, text: str) -> list[float]:
        body = json.dumps({"inputText": text or " ", "dimensions": 512, "normalize": True})
        tokens = text_tokens([text])
        answer = self._call("embedding", "bedrock-runtime", "invoke_model", tokens=tokens, modelId=model, body=body)
        content = self._clients.content(answer["body"], "embedding")
        try:
            return [float(number) for number in json.loads(content)["embedding"]]
        except (KeyError, TypeError, ValueError, RecursionError):
            raise PlatformError(
                f"{self.label} sent an answer that can't be read while embedding.", retryable=True
            ) from None


def _together(calls: list[Callable[[], _Result]]) -> list[_Result]:
    """What the calls of one question answer, a few of them in flight. Once the first has left, the others follow."""
    if len(calls) <= 1:
        return [call() for call in calls]

    def follow(call: Callable[[], _Result]) -> _Result:
        with committed(gone=lambda: first.done() and bool(first.exception()), paid=first.done):
            return persistently(call)

    with ThreadPoolExecutor(min(len(calls), _AT_ONCE)) as pool:
        first = pool.submit(copy_context().run, persistently, calls[0])
        others = [pool.submit(follow, call) for call in calls[1:]]
        return [made.result() for made in [first, *others]]

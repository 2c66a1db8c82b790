"""Asking models of Bedrock: answers through Converse, vectors through Titan."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar

from . import catalogue
from .aws import Clients
from .converse import answer_of, converse_arguments, schema_of, usage_of
from .errors import PlatformError
from .types import Sample, SampleRequest, Usage

#: Untrained Nova 2 Lite answers under the name of an inference profile, not under the one it is trained by.
_PROFILES = {"amazon.nova-2-lite-v1:0:256k": "us.amazon.nova-2-lite-v1:0"}
#: Calls at once of one request: Converse gives one answer a call, Titan one vector.
_AT_ONCE = 8
#: Characters of a text that is embedded: Titan takes 8,192 tokens and 50,000 characters.
_EMBED_CHARACTERS = 24_000


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
        ask = partial(self._conversed, request.model, arguments)
        if request.n == 1:
            responses = [ask()]
        else:
            with ThreadPoolExecutor(min(request.n, _AT_ONCE)) as pool:
                responses = [made.result() for made in [pool.submit(ask) for _ in range(request.n)]]
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
        wanted = list(dict.fromkeys(text[:_EMBED_CHARACTERS] for text in texts))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            vectors = dict(zip(wanted, pool.map(partial(self._embedded, name), wanted), strict=True))
        return [vectors[text[:_EMBED_CHARACTERS]] for text in texts]

    def _conversed(self, model: str, arguments: dict[str, Any]) -> Any:
        try:
            return self._call("sampling", "bedrock-runtime", "converse", **arguments)
        except PlatformError as error:
            if error.code == "ResourceNotFoundException" or "model identifier is invalid" in str(error):
                sentence = f"{self.label} has no model “{model}” that this connection can ask."
                raise PlatformError(sentence, status=404, code=error.code) from None
            raise

    def _embedded(self, model: str, text: str) -> list[float]:
        body = json.dumps({"inputText": text or " ", "dimensions": 512, "normalize": True})
        answer = self._call("embedding", "bedrock-runtime", "invoke_model", modelId=model, body=body)
        try:
            return [float(number) for number in json.loads(answer["body"].read())["embedding"]]
        except (KeyError, TypeError, ValueError):
            raise PlatformError(
                f"{self.label} sent an answer that can't be read while embedding.", retryable=True
            ) from None

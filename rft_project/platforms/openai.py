"""api.openai.com, or a server that speaks like it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar

import httpx2
from pydantic import Field, SecretStr

from .catalogue import dated, entry
from .errors import PlatformError
from .openai_protocol import CALL_TIMEOUT, OpenAIProtocol, ProtocolCredentials
from .types import Access, Capabilities, JsonDict, ModelInfo, Sample, SampleRequest, Usage

#: Models that think before they answer take no temperature and count their thoughts among the answer's tokens.
_REASONING = ("o1", "o3", "o4", "gpt-5")
#: Listed models that are not asked by chat.
_NOT_CHAT = ("embedding", "whisper", "tts", "dall-e", "moderation", "audio", "realtime", "image", "transcribe", "sora")


class OpenAICredentials(ProtocolCredentials):
    """``organization`` and ``project`` only where the key belongs to several."""

    base_url: str = Field(default="https://api.openai.com/v1", pattern=r"^https?://[^\s@]+$")
    api_key: SecretStr = Field(min_length=1)
    organization: str = ""
    project: str = ""


class OpenAIPlatform(OpenAIProtocol):
    kind: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI"
    credentials: ClassVar[type[ProtocolCredentials]] = OpenAICredentials
    system_role: ClassVar[str] = "developer"

    def __init__(
        self,
        credentials: OpenAICredentials,
        *,
        http_client: httpx2.Client | None = None,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        super().__init__(credentials, http_client=http_client, call_timeout=call_timeout)
        self._client.organization = credentials.organization or None
        self._client.project = credentials.project or None

    def capabilities(self) -> Capabilities:
        """The catalogue's trainable models as the account stands, then the chat models it can sample."""
        described = entry("openai")
        listed = {str(model.get("id")): model for model in self.listed_models()}
        today = datetime.now(UTC).date().isoformat()
        models = [_as_listed(model, listed, today) for model in entry("openai", date.min).models]
        known = {model.id for model in models}
        models += [
            _sampled(name, raw, today) for name, raw in sorted(listed.items()) if name not in known and _chat(name)
        ]
        closed = described.trains_until is not None and today > described.trains_until
        train = not closed and any(m.method == "reinforcement" and m.access is not Access.RETIRED for m in models)
        return Capabilities(sample=True, embed=True, train=train, deploy=True, models=models, notice=described.notice)

    def sample(self, request: SampleRequest) -> Sample:
        """Several requests where a model gives one answer at a time."""
        try:
            return super().sample(request)
        except PlatformError as error:
            if request.n == 1 or error.status != 400 or _parameter(error) != "n":
                raise
        samples = [super(OpenAIPlatform, self).sample(single) for single in _one_by_one(request)]
        usage = Usage(
            prompt_tokens=sum(s.usage.prompt_tokens for s in samples),
            completion_tokens=sum(s.usage.completion_tokens for s in samples),
        )
        return Sample(
            answers=[answer for s in samples for answer in s.answers],
            usage=usage,
            seconds=sum(s.seconds for s in samples),
        )

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        arguments: JsonDict = {"max_completion_tokens": request.max_tokens}
        if not _reasons(request.model):
            arguments["temperature"] = request.temperature
            if request.seed is not None:
                arguments["seed"] = request.seed
        if request.tools:
            arguments["tools"] = request.tools
        if request.response_format is not None:
            arguments["response_format"] = request.response_format
        return arguments

    def default_embedding_model(self) -> str:
        return entry("openai").embedding_model


def _one_by_one(request: SampleRequest) -> list[SampleRequest]:
    """``n`` requests for one answer; with a seed each has its own, or all answers would be the same."""
    seeds = [None if request.seed is None else request.seed + i for i in range(request.n)]
    return [request.model_copy(update={"n": 1, "seed": seed}) for seed in seeds]


def _parameter(error: PlatformError) -> str:
    """The parameter a refusal names, read from the SDK's error behind it."""
    return str(getattr(error.__cause__, "param", "") or "")


def _reasons(model: str) -> bool:
    return model.removeprefix("ft:").removeprefix("ft-").startswith(_REASONING)


def _chat(name: str) -> bool:
    return not any(word in name for word in _NOT_CHAT)


def _as_listed(model: ModelInfo, listed: dict[str, Any], today: str) -> ModelInfo:
    """A model the account does not have can't be trained; the platform's shutdown date wins over ours."""
    if model.id not in listed:
        return model.model_copy(update={"access": Access.RETIRED})
    shutdown = listed[model.id].get("shutdown_date")
    return dated(model.model_copy(update={"retires": shutdown}) if isinstance(shutdown, str) else model, today)


def _sampled(name: str, raw: dict[str, Any], today: str) -> ModelInfo:
    shutdown = raw.get("shutdown_date")
    retires = shutdown if isinstance(shutdown, str) else None
    return dated(ModelInfo(id=name, label=name, platform="openai", method="sample", retires=retires), today)

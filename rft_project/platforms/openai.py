"""api.openai.com, or a server that speaks like it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx2
from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from .catalogue import dated, entry, merged
from .errors import PlatformError
from .journal import UNKEPT, Journal
from .openai_jobs import JobsWithResults, PausableJobs
from .openai_protocol import CALL_TIMEOUT, ProtocolCredentials
from .openai_sampling import ChatModels
from .openai_webhooks import is_signing_secret
from .types import Access, Capabilities, Handle, ModelInfo, TrainingRequest

#: Listed models that are not asked by chat.
_NOT_CHAT = ("embedding", "whisper", "tts", "dall-e", "moderation", "audio", "realtime", "image", "transcribe", "sora")


#: What a service that closed to an organization says of it (seen on OpenAI in 2026).
_CLOSED = re.compile(
    r"(?=.*fine.?tun)(?=.*(winding down|no longer able|no longer available))", re.IGNORECASE | re.DOTALL
)


class OpenAICredentials(ProtocolCredentials):
    """``organization`` and ``project`` only where the key belongs to several.

    ``webhook_secret``: the signing secret of a webhook that tells when jobs end; '' where there is none.
    """

    base_url: str = Field(default="https://api.openai.com/v1", pattern=r"^https?://[^\s@]+$")
    api_key: SecretStr = Field(min_length=1)
    organization: str = ""
    project: str = ""
    webhook_secret: SecretStr = SecretStr("")

    @field_validator("webhook_secret")
    @classmethod
    def _signs(cls, secret: SecretStr) -> SecretStr:
        if secret.get_secret_value() and not is_signing_secret(secret.get_secret_value()):
            raise PydanticCustomError("signing_secret", "a signing secret begins with whsec_ and is copied whole")
        return secret


class OpenAIPlatform(ChatModels, PausableJobs, JobsWithResults):
    kind: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI"
    credentials: ClassVar[type[ProtocolCredentials]] = OpenAICredentials

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
        models = merged("openai", listed)
        known = {model.id for model in models}
        models += [
            _sampled(name, raw, today) for name, raw in sorted(listed.items()) if name not in known and _chat(name)
        ]
        closed = described.trains_until is not None and today > described.trains_until
        train = not closed and any(m.method == "reinforcement" and m.access is not Access.RETIRED for m in models)
        return Capabilities(
            sample=True, embed=True, train=train, deploy=True, pause=True, models=models, notice=described.notice
        )

    def start_training(self, request: TrainingRequest, journal: Journal = UNKEPT) -> Handle:
        """A closed organization is told where else the run can be trained."""
        try:
            return super().start_training(request, journal)
        except PlatformError as error:
            if error.status != 403 or not _CLOSED.search(str(error)):
                raise
            raise PlatformError(
                "OpenAI no longer lets your organization start fine-tuning jobs; train the same run on this machine's "
                f"engine, Azure or Bedrock. {error}",
                code=error.code,
                status=error.status,
            ) from error

    def default_embedding_model(self) -> str:
        return entry("openai").embedding_model


def _chat(name: str) -> bool:
    return not any(word in name for word in _NOT_CHAT)


def _sampled(name: str, raw: dict[str, Any], today: str) -> ModelInfo:
    shutdown = raw.get("shutdown_date")
    retires = shutdown if isinstance(shutdown, str) else None
    return dated(ModelInfo(id=name, label=name, platform="openai", method="sample", retires=retires), today)

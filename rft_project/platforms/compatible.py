"""Any server that answers chat completions as OpenAI does: Ollama, vLLM, llama.cpp, LM Studio, a gateway."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from pydantic import Field

from .errors import NotSupported, PlatformError
from .journal import UNKEPT, Journal
from .openai_protocol import OpenAIProtocol, ProtocolCredentials
from .types import (
    Capabilities,
    DeploymentStatus,
    DeployRequest,
    Handle,
    JsonDict,
    ModelInfo,
    SampleRequest,
    TrainingRequest,
)


class CompatibleCredentials(ProtocolCredentials):
    """``base_url`` ends before ``/chat/completions``; ``api_key`` is empty where the server asks for none."""

    base_url: str = Field(pattern=r"^https?://[^\s@]+$")


class CompatiblePlatform(OpenAIProtocol):
    """Answers prompts and embeds; trains nothing. Speaks the oldest words of the protocol, which all of them know."""

    kind: ClassVar[str] = "compatible"
    label: ClassVar[str] = "OpenAI-compatible server"
    credentials: ClassVar[type[ProtocolCredentials]] = CompatibleCredentials

    def capabilities(self) -> Capabilities:
        """The models it lists."""
        names = sorted({str(model.get("id")) for model in self.listed_models()})
        models = [ModelInfo(id=name, label=name, platform=self.kind, method="sample") for name in names]
        return Capabilities(sample=True, embed=True, models=models)

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        arguments: JsonDict = {"temperature": request.temperature, "max_tokens": request.max_tokens}
        if request.seed is not None:
            arguments["seed"] = request.seed
        if request.tools:
            arguments["tools"] = request.tools
        if request.response_format is not None:
            arguments["response_format"] = request.response_format
        return arguments

    def default_embedding_model(self) -> str:
        raise PlatformError("Name the model that embeds: this server has no usual one.")

    def start_training(self, request: TrainingRequest, journal: Journal = UNKEPT) -> Handle:
        return self._trains_nothing()

    def find_training(self, key: str) -> None:
        return None

    def deploy(self, request: DeployRequest, journal: Journal = UNKEPT) -> Handle:
        return self._trains_nothing()

    def deployment(self, handle: Handle) -> DeploymentStatus:
        return self._trains_nothing()

    def undeploy(self, handle: Handle) -> None:
        """There is nothing to take back."""

    def _trains_nothing(self) -> NoReturn:
        raise NotSupported("This server answers prompts; it trains no model. Use the local engine to train one.")

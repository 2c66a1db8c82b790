"""Our own engine, on this machine or another."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, ValidationError

from .catalogue import entry
from .openai_protocol import OpenAIProtocol, ProtocolCredentials
from .types import Capabilities, JsonDict, ModelInfo, SampleRequest, TrainingRequest


class LocalCredentials(ProtocolCredentials):
    """``api_key`` is the engine's ENGINE_KEY, empty where it has none."""

    base_url: str = Field(default="http://127.0.0.1:8765/v1", pattern=r"^https?://[^\s@]+$")


class LocalPlatform(OpenAIProtocol):
    kind: ClassVar[str] = "local"
    label: ClassVar[str] = "Local engine"
    credentials: ClassVar[type[ProtocolCredentials]] = LocalCredentials

    def capabilities(self) -> Capabilities:
        """The base models this engine can run now, with its own bounds."""
        known = {model.id: model for model in entry("local").models}
        models = []
        for listed in self.listed_models():
            about = listed.get("rft")
            if isinstance(about, dict) and about.get("base") is None and about.get("trainable"):
                models.append(_described(str(listed["id"]), about, known))
        return Capabilities(sample=True, embed=True, train=True, deploy=True, models=models)

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        arguments: JsonDict = {"temperature": request.temperature, "max_tokens": request.max_tokens}
        if request.seed is not None:
            arguments["seed"] = request.seed
        if request.allowed_answers:
            arguments["allowed_answers"] = request.allowed_answers
        return arguments

    def reinforcement(self, request: TrainingRequest) -> JsonDict:
        method = super().reinforcement(request)
        if request.allowed_answers:
            method["allowed_answers"] = request.allowed_answers
        return method

    def default_embedding_model(self) -> str:
        return entry("local").embedding_model


def _described(model_id: str, about: JsonDict, known: dict[str, ModelInfo]) -> ModelInfo:
    """The catalogue's description with what the engine itself says of the model."""
    base = known[model_id].model_dump() if model_id in known else {"id": model_id, "label": model_id}
    told = {name: value for name, value in about.items() if name in ModelInfo.model_fields}
    try:
        return ModelInfo.model_validate({**base, **told, "platform": "local"})
    except ValidationError:
        # An engine of another version: what the catalogue says still holds.
        return ModelInfo.model_validate({**base, "platform": "local"})

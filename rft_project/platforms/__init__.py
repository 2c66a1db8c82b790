"""Platforms behind one port. ``build`` makes the adapter of a kind; its SDK is imported then and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from pydantic import ValidationError

from .base import Platform
from .errors import NotSupported, NotYet, PlatformError, Unknown
from .pacing import UNPACED, Pace

__all__ = [
    "PLATFORMS",
    "NotSupported",
    "NotYet",
    "Platform",
    "PlatformError",
    "Unknown",
    "adapter",
    "build",
    "signs_in_as_server",
]

#: kind -> (label for people, dotted path of the adapter).
PLATFORMS: dict[str, tuple[str, str]] = {
    "local": ("Local engine", "rft_project.platforms.local.LocalPlatform"),
    "openai": ("OpenAI", "rft_project.platforms.openai.OpenAIPlatform"),
    "azure": ("Azure", "rft_project.platforms.azure.AzurePlatform"),
    "bedrock": ("Amazon Bedrock", "rft_project.platforms.bedrock.BedrockPlatform"),
    "bedrock_openai": (
        "Amazon Bedrock, open-weight models",
        "rft_project.platforms.bedrock_openai.BedrockOpenAIPlatform",
    ),
    "compatible": ("OpenAI-compatible server", "rft_project.platforms.compatible.CompatiblePlatform"),
}


def adapter(kind: str) -> type[Platform]:
    """The adapter class of ``kind``; its ``credentials`` is the pydantic model of what a connection needs.

    Raises PlatformError for an unknown kind.
    """
    if kind not in PLATFORMS:
        raise PlatformError(f"There is no platform “{kind}”; known are {', '.join(PLATFORMS)}.")
    module, _, name = PLATFORMS[kind][1].rpartition(".")
    return cast("type[Platform]", getattr(import_module(module), name))


def signs_in_as_server(kind: str, credentials: dict[str, Any]) -> bool:
    """Whether a connection with these credentials acts as this server itself, with all that the server may do there:
    its credentials' ``server_sign_in``. False where they are of the wrong shape, which ``build`` says."""
    try:
        checked = adapter(kind).credentials.model_validate(credentials)
    except ValidationError:
        return False
    return bool(getattr(checked, "server_sign_in", False))


def build(kind: str, credentials: dict[str, Any], pace: Pace = UNPACED) -> Platform:
    """The platform of ``kind`` with these credentials, whose calls leave when ``pace`` lets them. No network.

    Raises PlatformError with a sentence for an unknown kind or credentials of the wrong shape.
    """
    made = adapter(kind)
    try:
        checked = made.credentials.model_validate(credentials)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "credentials"
        raise PlatformError(f"The credentials for {made.label} are not usable: {field}: {first['msg']}.") from None
    platform = made(checked)  # type: ignore[call-arg]
    platform.pace = pace
    return platform

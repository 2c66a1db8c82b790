"""Cohere's chat: version 1 (message and chat_history) and version 2 (messages)."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.pairs import vendor_format
from rft_project.platforms.types import JsonDict


def knows(request: JsonDict, response: Any) -> bool:
    if isinstance(request.get("message"), str):
        return True
    if not isinstance(request.get("messages"), list):
        return False
    if isinstance(response, str):
        return response.startswith("event: message-start")
    message = response.get("message") if isinstance(response, dict) else None
    return isinstance(message, dict) and "choices" not in response and "error" not in response


FORMAT = vendor_format("cohere", "Cohere chat log", knows)

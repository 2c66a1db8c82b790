"""Google Gemini and Vertex AI: generateContent requests and responses."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.pairs import vendor_format
from rft_project.platforms.types import JsonDict


def knows(request: JsonDict, response: Any) -> bool:
    return "contents" in request


def bare(line: JsonDict) -> bool:
    return "contents" in line and "input" not in line


FORMAT = vendor_format("gemini", "Google Gemini log", knows, bare)

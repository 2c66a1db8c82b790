"""``sample``, the answer as every grader gets it; its other dictionary is ``platforms.types.make_item``."""

from __future__ import annotations

import json
from typing import Any

from rft_project.platforms.types import JsonDict

MAX_JSON_CHARS = 1_000_000


def make_sample(output_text: str, output_tools: list[JsonDict] | None = None) -> JsonDict:
    """``sample`` of one answer, in the field's shape.

    ``output_json`` is the parsed text where the whole of it is JSON, else None; ``choices`` repeats the answer in
    chat-completions form for graders written against it.
    """
    tools = list(output_tools or [])
    message = {"role": "assistant", "content": output_text, "tool_calls": tools}
    return {
        "output_text": output_text,
        "output_json": _parsed(output_text),
        "output_tools": tools,
        "choices": [{"index": 0, "message": message}],
    }


def _parsed(text: str) -> Any:
    """``text`` as JSON, None where it is not (``NaN`` and the like are not JSON)."""
    if len(text) > MAX_JSON_CHARS:
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(_word: str) -> None:
    raise ValueError

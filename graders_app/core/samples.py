"""The two dictionaries every grader gets: ``sample`` (the answer) and ``item`` (the record)."""

from __future__ import annotations

import json
from typing import Any

from rft_project.platforms.types import JsonDict, Message, last_user_text

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


def make_item(row_fields: JsonDict, messages: list[Message], reference_answer: str | None) -> JsonDict:
    """``item`` of one record: its own fields, the messages, the last user message as ``user_message``.

    ``reference_answer`` is there only if the record has one, so that a grader that needs it says so.
    """
    item: JsonDict = {**row_fields, "messages": messages, "user_message": last_user_text(messages)}
    if reference_answer is not None:
        item["reference_answer"] = reference_answer
    return item


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

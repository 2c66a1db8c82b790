"""OpenAI's Responses API: a stored response with its input, or request and response in one line."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, session_of
from datasets_app.core.formats.bodies import exchange_of
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.formats.pairs import vendor_format
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_STARTS = ("event: response.", 'data: {"type":"response.', 'data: {"type": "response.')
# The settings that a response repeats from its request.
_STATED = frozenset({"id", "object", "created_at", "completed_at", "status", "model", "output", "usage", "error"})
_SETTINGS = frozenset({"temperature", "top_p", "max_output_tokens", "text", "reasoning", "truncation"})


def knows(request: JsonDict, response: Any) -> bool:
    if "input" not in request or "messages" in request:
        return False
    if isinstance(response, dict) and "error" in response and isinstance(request.get("model"), str):
        return "choices" not in response
    return (isinstance(response, str) and response.startswith(_STARTS)) or is_response(response)


def is_response(body: Any) -> bool:
    return isinstance(body, dict) and body.get("object") == "response"


_PAIR = vendor_format("openai_responses", "OpenAI Responses log", knows)


def recognise(line: JsonDict) -> bool:
    return is_response(line) or _PAIR.recognise(line)


def read(line: JsonDict) -> Trace:
    """Raises ``Unreadable`` where the conversation before this answer was not logged with it."""
    if not is_response(line):
        trace = _PAIR.read(line)
        request, response = line.get("request"), line.get("response")
        _refuse_unknown_history(request if isinstance(request, dict) else {})
        return _with_conversation(trace, response if isinstance(response, dict) else {})
    _refuse_unknown_history(line)
    items = line.get("input_items")
    asked = {**line, "input": items.get("data")} if isinstance(items, dict) and "input" not in line else line
    exchange = exchange_of(asked, line)
    exchange.parameters = {k: v for k, v in line.items() if k in _SETTINGS and v is not None}
    used = _STATED | _SETTINGS | exchange.parameters.keys() | {"input", "instructions", "tools", "tool_choice"}
    plain = {k: v for k, v in line.items() if k not in used and isinstance(v, str | int | float) and v is not False}
    metadata = beside({**plain, "metadata": line.get("metadata")}, frozenset())
    trace = trace_of(exchange, line, metadata, session_id=session_of(line, line.get("metadata")))
    return _with_conversation(trace, line)


def _refuse_unknown_history(request: JsonDict) -> None:
    if request.get("previous_response_id"):
        raise Unreadable(
            "The conversation before this answer is in another one (previous_response_id), so the prompt is not whole."
        )


def _with_conversation(trace: Trace, response: JsonDict) -> Trace:
    conversation = response.get("conversation")
    if not trace.session_id and isinstance(conversation, dict):
        trace.session_id = clean_id(conversation.get("id"))
    return trace


FORMAT = Format("openai_responses", "OpenAI Responses log", recognise, read)

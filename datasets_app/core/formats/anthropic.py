"""Anthropic Messages: request and response in one line, and results of a batch with their requests."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format
from datasets_app.core.formats.bodies import exchange_of, failed
from datasets_app.core.formats.building import trace_of
from datasets_app.core.formats.pairs import vendor_format
from datasets_app.core.records import Trace, Unreadable
from rft_project.platforms.types import JsonDict

_BLOCKS = ("tool_use", "tool_result", "thinking", "image", "document")


def knows(request: JsonDict, response: Any) -> bool:
    """The response says ``message``, or the request has keys and blocks that only Anthropic knows."""
    if not isinstance(request.get("messages"), list):
        return False
    if isinstance(response, dict):
        if response.get("type") == "message" and isinstance(response.get("content"), list):
            return True
        if "choices" in response or "output" in response:
            return False
    if isinstance(response, str) and response.startswith(("event: message_start", "event:message_start")):
        return True
    return "anthropic_version" in request or ("max_tokens" in request and asks(request))


def asks(request: JsonDict) -> bool:
    """Whether the request's own words are Anthropic's: a system prompt at the top, its tools or its blocks."""
    tools = request.get("tools")
    if isinstance(tools, list) and any(isinstance(t, dict) and "input_schema" in t for t in tools):
        return True
    system = request.get("system")
    blocks = isinstance(system, list) and any(isinstance(b, dict) and "type" in b for b in system)
    return isinstance(system, str) or blocks or any(_blocks(m) for m in request["messages"])


def _blocks(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(isinstance(p, dict) and p.get("type") in _BLOCKS for p in content)


def recognise_batch(line: JsonDict) -> bool:
    result = line.get("result")
    return "custom_id" in line and isinstance(result, dict) and "type" in result and "request" not in line


def read_batch(line: JsonDict) -> Trace:
    """A batch's result comes without its request: that is in the file that started the batch."""
    params, result = line.get("params"), line.get("result")
    if not isinstance(result, dict):
        raise Unreadable("The line has no result, so it is no result of a batch.")
    if result.get("type") != "succeeded":
        raise failed(result.get("error") or result.get("type"))
    if not isinstance(params, dict):
        raise Unreadable("A batch result has no prompt; put the request's params beside it under params.")
    return trace_of(exchange_of(params, result.get("message")), line, {}, span_id=line.get("custom_id"))


BATCH = Format("anthropic_batch", "Anthropic batch results", recognise_batch, read_batch)
FORMAT = vendor_format("anthropic", "Anthropic Messages log", knows)

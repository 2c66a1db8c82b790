"""What a trace format is, and the small conversions that several formats share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from datasets_app.core.records import Trace, Unreadable, clean_id, decode_json, encode_json, tool_calls_of
from rft_project.platforms.types import JsonDict, text_of

# OpenAI's own later and earlier words for two of the four roles.
_OPENAI_ROLES = {"developer": "system", "function": "tool"}
_SESSION_KEYS = ("session_id", "conversation_id", "thread_id", "sessionId", "conversationId", "threadId", "session.id")
_ANY_SESSION = frozenset(_SESSION_KEYS)
_OUTPUT_KEYS = ("messages", "tool_calls", "finish_reason")


class NoCall(Unreadable):
    """This is no call of a model (a tool's span, a chain): nothing that could become a record."""


@dataclass(frozen=True)
class Format:
    """One trace format.

    ``recognise`` looks at one JSON object and never raises; ``read`` makes a record of it or raises ``Unreadable``.
    ``accepts`` is a weaker ``recognise``, asked only when no format recognises anything in a file: it lets a file of
    nothing but broken records be read as what it was meant to be.
    """

    name: str
    label: str
    recognise: Callable[[JsonDict], bool]
    read: Callable[[JsonDict], Trace]
    accepts: Callable[[JsonDict], bool] = lambda line: False


def session_of(*places: Any) -> str:
    """Id of the session, conversation or thread that the first of these objects names; '' where none does."""
    for place in places:
        if isinstance(place, dict) and not _ANY_SESSION.isdisjoint(place):
            for name in _SESSION_KEYS:
                if name in place and (found := clean_id(place[name])):
                    return found
    return ""


def parsed(value: Any) -> Any:
    """``value``, decoded once more where it is a string holding a JSON object or list."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return decode_json(value)
        except Unreadable:
            return value
    return value


def epoch_seconds(value: Any) -> float | None:
    """Epoch seconds of a time in s, ms, µs or ns (told apart by size) or in ISO 8601 (UTC where no zone is given)."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _iso_seconds(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    for limit, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if seconds >= limit:
            return seconds / unit
    return seconds


def _iso_seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def openai_messages(messages: Any) -> Any:
    """Chat-completions messages in canonical form; what is not a list of messages is handed back as it is.

    ``developer`` becomes ``system`` and ``function`` becomes ``tool``; keys set to null are dropped (content is kept);
    arguments given as an object become JSON text; a legacy ``function_call`` becomes a tool call with an id of ours,
    which the function's result then names.
    """
    if not isinstance(messages, list):
        return messages
    result: list[Any] = []
    open_call = ""
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            result.append(message)
            continue
        clean = {k: v for k, v in message.items() if v is not None or k in ("role", "content")}
        legacy = clean.pop("function_call", None)
        if isinstance(legacy, dict) and not clean.get("tool_calls"):
            open_call = f"call_{number}"
            clean["tool_calls"] = [{"id": open_call, "type": "function", "function": legacy}]
        if clean.get("role") == "function" and open_call and "tool_call_id" not in clean:
            clean["tool_call_id"] = open_call
        role = clean.get("role")
        if isinstance(role, str) and role in _OPENAI_ROLES:
            clean["role"] = _OPENAI_ROLES[role]
        if "tool_calls" in clean:
            clean["tool_calls"] = openai_calls(clean["tool_calls"])
        result.append(clean)
    return result


def openai_calls(calls: Any) -> Any:
    """Tool calls with their arguments as JSON text."""
    if not isinstance(calls, list):
        return calls
    return [_with_text_arguments(call) for call in calls]


def _with_text_arguments(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), dict | list):
        return call
    return {**call, "function": {**function, "arguments": encode_json(function["arguments"])}}


def openai_tools(request: JsonDict) -> Any:
    """``tools``, or the legacy ``functions`` in the shape of tools; None where there are none."""
    tools, functions = request.get("tools"), request.get("functions")
    if tools is None and isinstance(functions, list):
        return [{"type": "function", "function": f} for f in functions]
    return tools


def chat_input(messages: Any, tools: Any = None, tool_choice: Any = None) -> JsonDict:
    """``data.input`` without the keys that have no value."""
    result: JsonDict = {"messages": messages}
    if tools:
        result["tools"] = tools
    if tool_choice is not None:
        result["tool_choice"] = tool_choice
    return result


def output_of(messages: list[Any], finish_reason: Any = None) -> JsonDict:
    """``data.output`` of the assistant's turn."""
    last = messages[-1] if messages and isinstance(messages[-1], dict) else {}
    calls = tool_calls_of(last)
    if not isinstance(finish_reason, str):
        finish_reason = "tool_calls" if calls and not text_of(last.get("content")).strip() else "stop"
    return dict(zip(_OUTPUT_KEYS, (messages, calls, finish_reason), strict=True))


def split_answer(trace: Trace) -> Trace:
    """Moves the assistant's turn at the end of a whole conversation into ``output``.

    The turn is everything after the last user message (tool calls and their results belong to it), if the last message
    is the assistant's. A record whose input ends otherwise, or that has no user message, is left alone.
    """
    messages = trace.input.get("messages")
    if not isinstance(messages, list) or not messages:
        return trace
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    if roles[-1] != "assistant" or "user" not in roles:
        return trace
    cut = len(roles) - roles[::-1].index("user")
    trace.data = {
        **trace.data,
        "input": {**trace.data["input"], "messages": messages[:cut]},
        "output": output_of(messages[cut:]),
    }
    trace.split = len(messages) - cut
    return trace

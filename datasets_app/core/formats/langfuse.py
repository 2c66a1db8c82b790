"""Langfuse: observations of the API and the UI (camelCase), of the blob export (snake_case), and whole traces.

Only generations are calls of a model. What was sent and answered is whatever the traced program handed over: any
vendor's bodies, a list of messages, or text.
"""

from __future__ import annotations

import re
from typing import Any

from datasets_app.core.formats.base import Format, NoCall, parsed, session_of
from datasets_app.core.formats.bodies import NO_MESSAGES, exchange_of, failed
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.formats.turns_parts import tools_of
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_SPELLINGS = {  # ours -> Langfuse's, of which the first that is there counts
    "trace_id": ("traceId", "trace_id"),
    "parent_id": ("parentObservationId", "parent_observation_id"),
    "session_id": ("sessionId", "session_id"),
    "user_id": ("userId", "user_id"),
    "model": ("model", "providedModelName", "provided_model_name"),
    "parameters": ("modelParameters", "model_parameters"),
    "usage": ("usageDetails", "usage_details", "usage"),
    "started": ("startTime", "start_time", "timestamp"),
    "finished": ("endTime", "end_time"),
    "tools": ("toolDefinitions", "tool_definitions"),
    "status": ("statusMessage", "status_message"),
    "prompt_name": ("promptName", "prompt_name"),
    "prompt_version": ("promptVersion", "prompt_version"),
}
_KEPT = ("name", "environment", "version", "release", "tags", "level", "scores")
_TURN = re.compile(r"^(developer|system|user|assistant|tool): ", re.MULTILINE)
_PYTHON = re.compile(r"role=|[\w.]+Message\(")


def recognise(line: JsonDict) -> bool:
    """An observation, or a trace that was exported without its observations."""
    if "traceId" in line:
        return "type" in line or "startTime" in line or "parentObservationId" in line
    if "trace_id" in line and ("provided_model_name" in line or "parent_observation_id" in line):
        return True
    return "projectId" in line and "input" in line and "output" in line and observations(line) is None


def read(line: JsonDict) -> Trace:
    """Raises ``Unreadable`` for an observation that is no call, failed, or was logged without readable messages."""
    kind = line.get("type")
    if kind is not None and kind != "GENERATION":
        raise NoCall(f"An observation of type {str(kind)[:40]} is no call of a model.")
    if line.get("level") == "ERROR":
        raise failed(_first(line, "status") or "the log gives its level as ERROR")
    request, answer = _request(line.get("input")), _text_or_json(line.get("output"))
    exchange = exchange_of(request, None if answer == "None" else answer)
    metadata = {name: line.get(name) for name in _KEPT if line.get(name) not in (None, "DEFAULT")}
    own = parsed(line.get("metadata"))
    metadata |= beside({"metadata": _without_payload(own)}, frozenset({"metadata"}))
    for name in ("trace_id", "parent_id", "user_id", "prompt_name", "prompt_version", "usage", "parameters"):
        metadata[name] = parsed(_first(line, name))
    metadata["model"] = _first(line, "model") or exchange.model
    if not exchange.tools:
        exchange.tools = tools_of(_first(line, "tools")) or _tools_in(own)
    exchange.id = None  # the observation's own id names it better than the call's
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=line.get("id"),
        session_id=clean_id(_first(line, "session_id")) or session_of(own),
        started=_first(line, "started"),
        finished=_first(line, "finished"),
    )


def _first(line: JsonDict, name: str) -> Any:
    return next((line[key] for key in _SPELLINGS[name] if line.get(key) not in (None, "", {}, [])), None)


def _text_or_json(value: Any) -> Any:
    """A side decoded; a text that was put into quotes is the text."""
    value = parsed(value)
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        decoded = parsed(f"[{value}]")
        return decoded[0] if isinstance(decoded, list) and len(decoded) == 1 else value
    return value


def _request(given: Any) -> Any:
    """The request; text into which messages were flattened is taken apart again."""
    given = _text_or_json(given)
    if isinstance(given, str):
        given = flattened(given)
    texts = given.get("messages") if isinstance(given, dict) else given
    if isinstance(texts, list) and texts and all(isinstance(t, str) and _PYTHON.match(t) for t in texts):
        raise Unreadable(
            "The messages were logged as text of Python objects, not as JSON, so they can't be read safely."
        )
    if given in (None, "", {}, []):
        raise Unreadable(NO_MESSAGES)
    return given


def flattened(text: str) -> Any:
    """Messages written one below the other as ``role: text``; any other text as it is.

    Raises ``Unreadable`` where tool calls were lost that way.
    """
    starts = list(_TURN.finditer(text))
    if not starts or starts[0].start() != 0:
        return text
    ends = [m.start() for m in starts[1:]] + [len(text)]
    messages = [
        {"role": m.group(1), "content": text[m.end() : end].removesuffix("\n")}
        for m, end in zip(starts, ends, strict=True)
    ]
    if any(m["role"] == "tool" or m["content"] == "None" for m in messages):
        raise Unreadable("The messages were flattened to text when they were logged, and the tool calls were lost.")
    return messages


def _without_payload(own: Any) -> Any:
    """The observation's metadata without the attributes of OpenTelemetry that repeat the messages."""
    return (
        {k: v for k, v in own.items() if k not in ("attributes", "resourceAttributes", "scope")}
        if isinstance(own, dict)
        else None
    )


def _tools_in(own: Any) -> list[Any]:
    """Tool definitions among OpenTelemetry's attributes or LangChain's parameters in the metadata."""
    if not isinstance(own, dict):
        return []
    attributes = parsed(own.get("attributes"))
    for place in (attributes, own):
        if isinstance(place, dict):
            for key in ("gen_ai.tool.definitions", "llm.request.functions", "ai.prompt.tools", "tools"):
                if found := tools_of(place.get(key)):
                    return found
    return []


def observations(line: JsonDict) -> list[Any] | None:
    """The generations of a trace that was exported whole, with the trace's session and user; None for anything else."""
    items = line.get("observations")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    inner = line.get("trace")
    trace: JsonDict = inner if isinstance(inner, dict) else line
    shared = {key: trace[key] for key in ("sessionId", "userId", "tags", "release") if trace.get(key)}
    return [{**shared, **item} for item in items]


FORMAT = Format("langfuse", "Langfuse observations", recognise, read)

"""Calls of models in OpenTelemetry spans: GenAI conventions, OpenLLMetry, Vercel's AI SDK, OpenInference (Phoenix).

One span may speak several dialects at once; the richest counts. GenAI's messages are JSON text in attributes (since
1.37) or span events (before); OpenLLMetry and OpenInference number each part of each message.
"""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, NoCall, parsed
from datasets_app.core.formats.bodies import NO_MESSAGES, exchange_of, failed
from datasets_app.core.formats.building import trace_of
from datasets_app.core.formats.langfuse import flattened
from datasets_app.core.formats.spans import Span, is_span, numbered, span_of
from datasets_app.core.formats.turns_parts import tools_of
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_CALLS = ("chat", "text_completion", "generate_content", "completion", "responses")
_MODELS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "ai.model.id")
_PROMPTS = ("gen_ai.prompt.0.role", "gen_ai.prompt.0.content", "gen_ai.input.messages")
_SESSIONS = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "thread.id",
    "ai.telemetry.metadata.sessionId",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
)
# Attributes that hold the conversation, and so are not repeated in the metadata.
_PAYLOAD = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "llm.input_messages",
    "llm.output_messages",
    "llm.tools",
    "llm.request.functions",
    "llm.invocation_parameters",
    "ai.prompt",
    "ai.response",
    "ai.toolCall",
    "input.",
    "output.",
    "traceloop.entity.",
)
Sides = tuple[Any, Any, Any]  # request, response, tools


# --- the dialects ----------------------------------------------------------------------------------------------------


def _genai(span: Span) -> Sides | None:
    asked, answered = span.first("gen_ai.input.messages"), span.first("gen_ai.output.messages")
    if asked is None and answered is None:
        return None
    request = {"system": span.first("gen_ai.system_instructions"), "messages": asked}
    return request, parsed(answered), span.first("gen_ai.tool.definitions")


def _genai_events(span: Span) -> Sides | None:
    """Conventions up to 1.36: each message is an event of the span."""
    messages: list[JsonDict] = []
    answer: Any = None
    for event in span.events:
        name, body = _event(event)
        if name in ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt"):
            messages += [m for m in parsed(body.get("gen_ai.input.messages")) or () if isinstance(m, dict)]
            answer = parsed(body.get("gen_ai.output.messages")) or answer
        elif name == "gen_ai.choice":
            answer = {
                "choices": [{"message": parsed(body.get("message", body)), "finish_reason": body.get("finish_reason")}]
            }
        elif name.startswith("gen_ai.") and name.endswith(".message"):
            role = name.removeprefix("gen_ai.").removesuffix(".message")
            found = {"role": role, **body}
            if role == "tool":
                found.setdefault("tool_call_id", body.get("id"))
            messages.append(found)
    return ({"messages": messages}, answer, span.first("gen_ai.tool.definitions")) if messages else None


def _choice(message: Any, reason: Any) -> JsonDict:
    return {"choices": [{"message": message, "finish_reason": reason}]}


def _event(event: JsonDict) -> tuple[str, JsonDict]:
    """Name and content of a span's event."""
    attributes = span_of(event).attributes
    body = parsed(event.get("body"))
    body = body if isinstance(body, dict) else attributes
    name = event.get("name") or attributes.get("event.name") or body.get("event.name")
    return str(name or ""), {k: parsed(v) if k in ("tool_calls", "message") else v for k, v in body.items()}


def _openllmetry(span: Span) -> Sides | None:
    asked = numbered(span.attributes, "gen_ai.prompt") or numbered(span.attributes, "llm.prompts")
    if not asked:
        text = span.first("gen_ai.prompt")
        return (flattened(text), span.first("gen_ai.completion"), None) if isinstance(text, str) else None
    answered = numbered(span.attributes, "gen_ai.completion") or numbered(span.attributes, "llm.completions")
    first = answered[0] if answered else None
    response = (
        {"choices": [{"message": {"role": "assistant", **first}, "finish_reason": first.get("finish_reason")}]}
        if first
        else None
    )
    return {"messages": asked}, response, numbered(span.attributes, "llm.request.functions")


def _vercel(span: Span) -> Sides | None:
    asked = parsed(span.first("ai.prompt.messages", "ai.prompt"))
    if asked is None:
        return None
    text = span.first("ai.response.text", "ai.response.object", "ai.result.text", "ai.result.object")
    calls = parsed(span.first("ai.response.toolCalls", "ai.result.toolCalls"))
    message = {"role": "assistant", "content": text, "tool_calls": calls}
    reason = span.first("ai.response.finishReason", "ai.finishReason")
    answered = text is not None or calls is not None
    response = _choice(message, reason) if answered else None
    request = {"messages": asked} if isinstance(asked, list) else asked
    return request, response, span.first("ai.prompt.tools")


def _openinference(span: Span) -> Sides | None:
    asked = [_inner(m) for m in numbered(span.attributes, "llm.input_messages")]
    answered = [_inner(m) for m in numbered(span.attributes, "llm.output_messages")]
    tools = [t.get("tool", t) for t in numbered(span.attributes, "llm.tools")]
    schemas = [parsed(t.get("json_schema", t)) if isinstance(t, dict) else t for t in tools]
    if asked:
        return {"messages": asked}, answered or None, schemas
    given, value = parsed(span.first("input.value")), span.first("output.value")
    return (given, parsed(value), schemas) if given is not None else None


def _inner(message: JsonDict) -> JsonDict:
    """A message of OpenInference with its contents as parts and its calls in chat-completions form."""
    inner = message.get("message")
    found: JsonDict = dict(inner) if isinstance(inner, dict) else dict(message)
    contents = found.pop("contents", None)
    if isinstance(contents, list) and "content" not in found:
        found["content"] = [c.get("message_content", c) if isinstance(c, dict) else c for c in contents]
    calls = found.get("tool_calls")
    if isinstance(calls, list):
        found["tool_calls"] = [c.get("tool_call", c) if isinstance(c, dict) else c for c in calls]
    return found


# --- formats ---------------------------------------------------------------------------------------------------------


def _speaks(line: JsonDict, *starts: str) -> bool:
    """Whether an attribute of the span begins so."""
    if not is_span(line):
        return False
    attributes = line.get("attributes")
    if isinstance(attributes, list):
        names = [str(pair.get("key")) for pair in attributes if isinstance(pair, dict)]
    else:
        names = [key.removeprefix("attributes.") for key in (attributes if isinstance(attributes, dict) else line)]
    return any(name.startswith(starts) or f"{name}." in starts for name in names)


def _reader(kind: Any) -> Any:
    def read(line: JsonDict) -> Trace:
        span = span_of(line)
        kind(span, line)
        if span.failure:
            raise failed(span.failure)
        for dialect in (_genai, _openinference_messages, _openllmetry, _vercel, _genai_events, _openinference):
            sides = dialect(span)
            if sides is not None:
                return _trace(line, span, *sides)
        raise Unreadable(NO_MESSAGES)

    return read


def _openinference_messages(span: Span) -> Sides | None:
    return _openinference(span) if any(k.startswith("llm.input_messages") for k in span.attributes) else None


def _trace(line: JsonDict, span: Span, request: Any, response: Any, tools: Any) -> Trace:
    exchange = exchange_of(request, response)
    exchange.tools = exchange.tools or tools_of(tools)
    exchange.model = (
        span.first("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "ai.model.id") or exchange.model
    )
    parameters = parsed(span.first("llm.invocation_parameters"))
    exchange.parameters = parameters if isinstance(parameters, dict) else exchange.parameters
    metadata = {k: v for k, v in span.attributes.items() if not k.startswith(_PAYLOAD) and not isinstance(v, dict)}
    metadata |= {"trace_id": span.trace_id, "parent_id": span.parent_id, "name": span.name}
    metadata["user_id"] = span.first("user.id", "ai.telemetry.metadata.userId", "enduser.id")
    metadata["usage"] = exchange.usage or _usage(span)
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=span.span_id or span.first("gen_ai.response.id"),
        session_id=clean_id(span.first(*_SESSIONS)),
        started=span.started,
        finished=span.finished,
    )


def _usage(span: Span) -> JsonDict:
    names = {
        "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
        "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    }
    return {ours: value for ours, theirs in names.items() if (value := span.first(*theirs)) is not None}


def _is_call(span: Span, line: JsonDict) -> None:
    operation = span.first("gen_ai.operation.name")
    if operation is not None and operation not in _CALLS:
        raise NoCall(f"The operation {str(operation)[:60]} is no call of a chat model.")


def _is_llm(span: Span, line: JsonDict) -> None:
    kind = span.first("openinference.span.kind") or line.get("span_kind")
    if kind != "LLM":
        raise NoCall(f"A span of kind {str(kind)[:40]} is no call of a model.")


def _is_model_span(span: Span, line: JsonDict) -> None:
    kind = span.first("traceloop.span.kind")
    if (
        kind is not None
        and span.first("gen_ai.prompt.0.role", "gen_ai.prompt.0.content", "gen_ai.input.messages") is None
    ):
        raise NoCall(f"A span of kind {str(kind)[:40]} is no call of a model.")
    _is_call(span, line)


def _is_vercel(span: Span, line: JsonDict) -> None:
    if span.first("ai.operationId") == "ai.toolCall":
        raise NoCall("A tool's own span is no call of a model.")


OPENINFERENCE = Format(
    "openinference",
    "OpenInference spans (Phoenix)",
    lambda line: _speaks(line, "openinference.", "llm.input_messages") or ("span_kind" in line and is_span(line)),
    _reader(_is_llm),
)
VERCEL = Format(
    "vercel_ai", "Vercel AI SDK spans", lambda line: _speaks(line, "ai.operationId", "ai.prompt"), _reader(_is_vercel)
)
OPENLLMETRY = Format(
    "openllmetry",
    "OpenLLMetry spans (Traceloop)",
    lambda line: _speaks(line, "gen_ai.prompt", "gen_ai.completion.", "traceloop.", "llm.prompts."),
    _reader(_is_model_span),
)
GENAI = Format("otel_genai", "OpenTelemetry GenAI spans", lambda line: _speaks(line, "gen_ai."), _reader(_is_call))


_PLACED = frozenset({"spanId", "span_id", "context", "traceId", "trace_id"})


def _no_call(line: JsonDict) -> Trace:
    raise NoCall("The span is no call of a model.")


# A span that no dialect claims: it is known for what it is, and has no record in it.
OTHER = Format(
    "otel_other", "OpenTelemetry spans", lambda line: is_span(line) and not _PLACED.isdisjoint(line), _no_call
)

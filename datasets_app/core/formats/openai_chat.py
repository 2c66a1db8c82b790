"""OpenAI chat-completion logs: the request and the response of one call in one line.

Spellings: ``request``/``response``, ``req``/``res``, ``input``/``output``, ``body`` (batch files, also nested below
request and response), the request's keys at the top with ``choices`` or ``response`` beside them, and either side as
JSON text. The response may be a stream: a list of chunks or the raw text of server-sent events.
"""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import (
    Format,
    chat_input,
    epoch_seconds,
    openai_messages,
    openai_tools,
    output_of,
    parsed,
    session_of,
    split_answer,
)
from datasets_app.core.formats.bodies import finish
from datasets_app.core.formats.openai_stream import joined_chunks
from datasets_app.core.formats.streams import CUT
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_PAIRS = (("request", "response"), ("req", "res"), ("body", "response"), ("input", "output"))
_OTHER_VENDORS = {"system", "toolConfig", "inferenceConfig", "anthropic_version"}
_REQUEST_KEYS = frozenset({"messages", "model", "tools", "functions", "tool_choice"})


def recognise(line: JsonDict) -> bool:
    return _pair(line) is not None


def read(line: JsonDict) -> Trace:
    """Raises ``Unreadable`` when the line holds no request, or a call that failed."""
    pair = _pair(line)
    if pair is None:
        raise Unreadable("The line has no request with messages, so it is not an OpenAI chat log entry.")
    request, response, used = pair
    answer = _answer(response)
    given = chat_input(openai_messages(request["messages"]), openai_tools(request), request.get("tool_choice"))
    data: JsonDict = {"input": given}
    if answer is not None:
        message, finish_reason = answer
        data["output"] = output_of(openai_messages([message]), finish_reason)
    reply = response if isinstance(response, dict) else {}
    started = epoch_seconds(reply.get("created")) or epoch_seconds(line.get("timestamp"))
    trace = Trace(
        data=data,
        reference_answer=line.get("reference_answer"),
        has_reference="reference_answer" in line,
        metadata=_metadata(line, request, reply, used),
        span_id=clean_id(line.get("span_id")) or clean_id(reply.get("id")),
        started_at=started,
        session_id=session_of(line, line.get("metadata"), request.get("metadata")),
    )
    return trace if answer is not None else split_answer(trace)


def _pair(line: JsonDict) -> tuple[JsonDict, Any, frozenset[str]] | None:
    """(request, response, the line's keys they came from), or None where this is no such log."""
    for first, second in _PAIRS:
        request, response = _body(line.get(first)), _body(line.get(second))
        if isinstance(request, dict) and "messages" in request and _fits(request, response, first):
            return request, response, frozenset({first, second})
    if isinstance(line.get("messages"), list):
        if isinstance(line.get("choices"), list):
            return line, joined_chunks(line), _REQUEST_KEYS | {"choices", "usage"}
        response = _body(line.get("response"))
        if isinstance(response, dict) and isinstance(response.get("choices"), list):
            return line, response, _REQUEST_KEYS | {"response"}
    return None


def _body(side: Any) -> Any:
    """One side of the log with text decoded, an envelope ``{"body": …}`` opened and a stream joined."""
    side = joined_chunks(parsed(side))
    if isinstance(side, dict) and "messages" not in side and "choices" not in side and "body" in side:
        return joined_chunks(parsed(side["body"]))
    return side


def _fits(request: JsonDict, response: Any, spelling: str) -> bool:
    if isinstance(response, dict):
        if isinstance(response.get("choices"), list):
            return True
        return spelling != "input" and "error" in response and _asks_openai(request)
    # Beside a request alone, or one whose stream was lost; our own form and other vendors' also have an ``input``.
    if isinstance(response, str) and response.startswith("event:"):
        return False  # OpenAI's chat streams have no names of events
    return isinstance(response, str | None) and spelling != "input" and _asks_openai(request)


def _asks_openai(request: JsonDict) -> bool:
    return isinstance(request.get("model"), str) and not request.keys() & _OTHER_VENDORS


def _answer(response: Any) -> tuple[Any, Any] | None:
    """(message, finish reason) of the first choice; None where there is no response."""
    if isinstance(response, str) and response:
        raise Unreadable("The response is not a chat completion (a stream that was not kept whole?).")
    if not isinstance(response, dict):
        return None
    choices = response.get("choices")
    if not isinstance(choices, list):
        error = response.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        raise Unreadable(f"The call failed, so there is no answer to keep: {str(said or 'no reason given')[:200]}")
    choice = choices[0] if choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return None
    if response.get("unfinished"):
        raise Unreadable(CUT)
    return choice["message"], finish(choice.get("finish_reason"))


def _metadata(line: JsonDict, request: JsonDict, reply: JsonDict, used: frozenset[str]) -> JsonDict:
    """What the log says about the call: the envelope's own keys, the model, the usage, the parameters."""
    metadata = {} if request is line else {k: v for k, v in line.items() if k not in used and v is not None}
    own = metadata.pop("metadata", line.get("metadata") if request is line else None)
    for name in ("reference_answer", "span_id"):
        metadata.pop(name, None)
    if isinstance(own, dict):
        metadata = {**metadata, **own}
    model = reply.get("model") or request.get("model")
    if model is not None:
        metadata["model"] = model
    if reply.get("usage") is not None:
        metadata["usage"] = reply["usage"]
    skipped = _REQUEST_KEYS if request is not line else used | {"metadata", "reference_answer", "span_id"}
    parameters = {k: v for k, v in request.items() if k not in skipped and v is not None}
    if parameters:
        metadata["parameters"] = parameters
    return metadata


FORMAT = Format("openai_chat", "OpenAI chat-completion log", recognise, read)

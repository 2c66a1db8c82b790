"""From a call and what the log says about it to a record."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import chat_input, epoch_seconds, output_of, split_answer
from datasets_app.core.formats.bodies import Exchange
from datasets_app.core.records import Trace, Unreadable, clean_id, tool_calls_of
from rft_project.platforms.types import JsonDict, text_of

# What logs write where recording of content is off.
_REDACTED = frozenset({"redacted-by-litellm", "__redacted__", "[redacted]", "<redacted>", "redacted", "***"})
_OURS = frozenset({"reference_answer", "span_id", "session_id", "metadata", "fields"})


def trace_of(
    exchange: Exchange,
    line: JsonDict,
    metadata: JsonDict,
    *,
    span_id: Any = None,
    session_id: str = "",
    started: Any = None,
    finished: Any = None,
) -> Trace:
    """The record of one call. ``started`` and ``finished`` are times as ``epoch_seconds`` takes them.

    Raises ``Unreadable`` where the content was replaced by a placeholder.
    """
    messages, answer = exchange.messages, exchange.answer
    if any(isinstance(m, dict) and text_of(m.get("content")).strip().lower() in _REDACTED for m in messages):
        raise Unreadable("The content was redacted when it was logged; switch message logging on and export again.")
    data: JsonDict = {"input": chat_input(messages, exchange.tools, exchange.tool_choice)}
    answered = [m for m in answer or () if not _says_nothing(m)]
    if answered:
        data["output"] = output_of(answered, exchange.finish_reason)
    for name, value in (("model", exchange.model), ("usage", exchange.usage), ("parameters", exchange.parameters)):
        if value:
            metadata.setdefault(name, value)
    trace = Trace(
        data=data,
        reference_answer=line.get("reference_answer"),
        has_reference="reference_answer" in line,
        metadata={name: value for name, value in metadata.items() if value not in (None, "", {}, [])},
        span_id=clean_id(line.get("span_id")) or clean_id(span_id) or clean_id(exchange.id),
        started_at=epoch_seconds(started) or epoch_seconds(exchange.created),
        finished_at=epoch_seconds(finished),
        session_id=session_id,
    )
    return trace if answered else split_answer(trace)


def _says_nothing(message: Any) -> bool:
    return isinstance(message, dict) and message.get("content") in (None, "") and not tool_calls_of(message)


def beside(line: JsonDict, used: frozenset[str]) -> JsonDict:
    """What a log says beside the call: its own keys and those of its ``metadata``, for the record's metadata."""
    own = line.get("metadata")
    found = {k: v for k, v in line.items() if k not in used and k not in _OURS and v is not None}
    return {**found, **own} if isinstance(own, dict) else found

"""Bare chat rows: ``{"messages": […]}``, as in OpenAI's fine-tuning files, with or without ``reference_answer``."""

from __future__ import annotations

from datasets_app.core.formats.base import (
    Format,
    chat_input,
    epoch_seconds,
    openai_messages,
    openai_tools,
    session_of,
    split_answer,
)
from datasets_app.core.records import Trace, clean_id
from rft_project.platforms.types import JsonDict

_KNOWN = frozenset(
    {
        "messages",
        "tools",
        "functions",
        "tool_choice",
        "parallel_tool_calls",
        "reference_answer",
        "metadata",
        "span_id",
        "session_id",
        "started_at",
        "finished_at",
    }
)


def recognise(line: JsonDict) -> bool:
    return "messages" in line


def read(line: JsonDict) -> Trace:
    """Keys beside the conversation become item fields: that is what they are in a row for reinforcement fine-tuning."""
    given: JsonDict = {}
    if "messages" in line:
        given = chat_input(openai_messages(line["messages"]), openai_tools(line), line.get("tool_choice"))
    fields = {name: value for name, value in line.items() if name not in _KNOWN}
    metadata = line.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        fields["metadata"] = metadata
    trace = Trace(
        data={"input": given},
        reference_answer=line.get("reference_answer"),
        has_reference="reference_answer" in line,
        fields=fields,
        metadata=dict(metadata) if isinstance(metadata, dict) else {},
        span_id=clean_id(line.get("span_id")),
        started_at=epoch_seconds(line.get("started_at")),
        finished_at=epoch_seconds(line.get("finished_at")),
        session_id=session_of(line, metadata),
    )
    return split_answer(trace)


FORMAT = Format("chat", "Chat rows (messages)", recognise, read)

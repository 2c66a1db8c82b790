"""OpenAI completions: text completions (prompt and text), and stored chat completions with their messages."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, session_of
from datasets_app.core.formats.bodies import exchange_of
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.formats.pairs import vendor_format
from datasets_app.core.records import Trace, Unreadable
from rft_project.platforms.types import JsonDict

_STORED = frozenset(
    {
        "object",
        "id",
        "created",
        "model",
        "choices",
        "usage",
        "tools",
        "tool_choice",
        "metadata",
        "_messages",
        "messages",
    }
)


def knows(request: JsonDict, response: Any) -> bool:
    if "prompt" not in request or "messages" in request:
        return False
    if isinstance(response, dict):
        return isinstance(response.get("choices"), list) or "error" in response
    return isinstance(response, str) and '"text_completion"' in response[:4000]


TEXT = vendor_format("openai_completions", "OpenAI text-completion log", knows)


def recognise_stored(line: JsonDict) -> bool:
    return (
        line.get("object") == "chat.completion" and "request" not in line and not isinstance(line.get("messages"), list)
    )


def read_stored(line: JsonDict) -> Trace:
    """The messages are a second download; they are looked for beside the completion, as a list or as its page."""
    page = line.get("_messages", line.get("messages"))
    messages = page.get("data") if isinstance(page, dict) else page
    if not isinstance(messages, list) or not messages:
        raise Unreadable(
            "A stored completion comes without its messages; download them too and put them beside it as messages."
        )
    clean = [_message(m) if isinstance(m, dict) else m for m in messages]
    exchange = exchange_of({"messages": clean, **{k: line.get(k) for k in ("tools", "tool_choice")}}, line)
    return trace_of(exchange, line, beside(line, _STORED), session_id=session_of(line, line.get("metadata")))


def _message(message: JsonDict) -> JsonDict:
    """A stored message without its own id, with its parts in place of its text where it has any."""
    content = message.get("content_parts") or message.get("content")
    return {
        **{k: v for k, v in message.items() if k not in ("id", "content_parts") and v is not None},
        "content": content,
    }


STORED = Format("openai_stored", "OpenAI stored completions", recognise_stored, read_stored)

"""Repairs that are offered, never made silently: each takes a record and gives a mended copy and what it changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from datasets_app.core.formats.base import output_of
from datasets_app.core.records import Trace, tool_calls_of
from rft_project.platforms.types import JsonDict

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")

# Names that traces use for the four roles, besides the four themselves in any case.
ROLE_NAMES = {
    "system": "system",
    "developer": "system",
    "instructions": "system",
    "user": "user",
    "human": "user",
    "customer": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "agent": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}

Step = Callable[[Trace], tuple[Trace, str]]


def repair(trace: Trace, names: Iterable[str]) -> tuple[Trace, list[str]]:
    """Applies the named repairs (keys of ``REPAIRS``) in their order. The record given is not touched.

    Returns the mended record and one sentence per repair that changed something. Raises ``KeyError`` for a name that
    is none.
    """
    changes = []
    wanted = set(names)
    for unknown in wanted - REPAIRS.keys():
        raise KeyError(unknown)
    for name, (_, _, step) in REPAIRS.items():
        if name in wanted:
            trace, change = step(trace)
            if change:
                changes.append(change)
    return trace, changes


def _with_messages(trace: Trace, messages: list[Any], output: JsonDict | None = None) -> Trace:
    data = {**trace.data, "input": {**trace.data["input"], "messages": messages}}
    if output is not None:
        data["output"] = output
    return replace(trace, data=data)


def _messages(trace: Trace) -> list[Any]:
    found = trace.input.get("messages")
    return found if isinstance(found, list) else []


def normalise_roles(trace: Trace) -> tuple[Trace, str]:
    """Role names in any case, and the common other names for them, become the four roles."""
    renamed: dict[str, str] = {}
    messages = []
    for message in _messages(trace):
        role = message.get("role") if isinstance(message, dict) else None
        known = ROLE_NAMES.get(role.strip().lower()) if isinstance(role, str) else None
        if isinstance(role, str) and known and known != role:
            renamed[role] = known
            message = {**message, "role": known}
        messages.append(message)
    if not renamed:
        return trace, ""
    return _with_messages(trace, messages), "Renamed " + ", ".join(f"'{a}' to '{b}'" for a, b in renamed.items()) + "."


def drop_orphan_results(trace: Trace) -> tuple[Trace, str]:
    """Tool results that name no earlier call, or one already answered, are removed."""
    waiting: set[Any] = set()
    kept: list[Any] = []
    messages = _messages(trace)
    for message in messages:
        if isinstance(message, dict):
            opened = {call["id"] for call in tool_calls_of(message) if isinstance(call.get("id"), str)}
            if message.get("role") == "tool":
                named = message.get("tool_call_id")
                if not isinstance(named, str) or named not in waiting | opened:
                    continue  # what it opens itself goes with it
                waiting = (waiting | opened) - {named}
            else:
                waiting |= opened
        kept.append(message)
    dropped = len(messages) - len(kept)
    if not dropped:
        return trace, ""
    return _with_messages(trace, kept), f"Dropped {dropped} tool result{'s' if dropped > 1 else ''} without a call."


def trim_trailing_turns(trace: Trace) -> tuple[Trace, str]:
    """What follows the last user message is cut off; it becomes the output if the record has none."""
    messages = _messages(trace)
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    if "user" not in roles or roles[-1] == "user":
        return trace, ""
    cut = len(roles) - roles[::-1].index("user")
    tail = messages[cut:]
    keeps_output = bool(trace.output_messages)
    trimmed = _with_messages(trace, messages[:cut], None if keeps_output else output_of(tail))
    where = "" if keeps_output else " and kept them as the output"
    return trimmed, f"Trimmed {len(tail)} message{'s' if len(tail) > 1 else ''} after the last user message{where}."


def strip_control_characters(trace: Trace) -> tuple[Trace, str]:
    """Code points below 32 other than newline, carriage return and tab are removed from the messages."""
    removed = 0

    def clean(value: Any) -> Any:
        nonlocal removed
        if isinstance(value, str):
            text, n = _CONTROL.subn("", value)
            removed += n
            return text
        if isinstance(value, list):
            return [clean(item) for item in value]
        return {name: clean(item) for name, item in value.items()} if isinstance(value, dict) else value

    messages = clean(_messages(trace))
    if not removed:
        return trace, ""
    return _with_messages(trace, messages), f"Stripped {removed} control character{'s' if removed > 1 else ''}."


# name -> (title, codes it mends, the step); in the order in which they are applied: roles decide what is a result,
# and results decide where a conversation ends.
REPAIRS: dict[str, tuple[str, tuple[str, ...], Step]] = {
    "normalise_roles": ("Normalise role names", ("invalid_role",), normalise_roles),
    "strip_control_characters": ("Strip control characters", ("control_characters",), strip_control_characters),
    "drop_orphan_results": (
        "Drop orphan tool results",
        ("orphan_tool_result", "missing_tool_call_id"),
        drop_orphan_results,
    ),
    "trim_trailing_turns": ("Trim trailing assistant turns", ("last_not_user",), trim_trailing_turns),
}

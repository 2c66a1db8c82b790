"""The verdict on one record: every rule that it breaks, free of the database.

The order of ``CODES`` is the order in which issues are listed; the first one is the record's verdict. Structure comes
first (what is below can't be judged without it), then roles and content message by message, then chains of tool calls,
the fields a grader needs, size, and last of all what only other records can tell: duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from datasets_app.core.formats import kind_of
from datasets_app.core.records import Trace, tool_calls_of
from datasets_app.core.records_fields import field_value
from rft_project.platforms.types import JsonDict, Value, text_of

RULE_VERSION = 2  # raised whenever a rule changes what it says about a record
DEFAULT_THRESHOLD = 0.85
VALID, INVALID, DUPLICATE = "valid", "invalid", "duplicate"
DUPLICATE_CODES = ("duplicate", "near_duplicate")
TOOL_CODES = ("missing_tool_call_id", "orphan_tool_result")

# code -> (title, what to do)
CODES: dict[str, tuple[str, str]] = {
    "invalid_data_structure": (
        "Invalid structure",
        "Give each record an input object with a list of messages, or import it with the format it was written in.",
    ),
    "missing_input": ("No input", "Give the record an input with the messages the model was sent."),
    "missing_messages": ("No messages", "Add the conversation as input.messages."),
    "empty_messages": ("Empty conversation", "Add at least one user message, or leave the record out."),
    "invalid_role": (
        "Role not allowed",
        "Normalise role names, or add the role to the allowed roles if the model knows it.",
    ),
    "missing_content": ("Missing content", "Give each message text, or tool calls if it is the assistant's."),
    "last_not_user": ("Does not end with the user", "Trim what follows the last user message: the model answers that."),
    "empty_user_message": ("Empty user message", "Fill in the message or leave the record out."),
    "user_message_too_short": ("User message too short", "Lower the minimum length if such short messages are normal."),
    "control_characters": (
        "Control characters",
        "Strip control characters; they are usually left over from an export.",
    ),
    "missing_tool_call_id": ("Tool call without id", "Export tool calls and results with their ids."),
    "orphan_tool_result": ("Tool result without a call", "Drop orphan results, or export the call they answer too."),
    "reference_answer_null": ("Reference answer is null", "Fill in the reference answer, or remove the key."),
    "missing_field": ("Required field missing", "Fill in the field the grader reads, or stop requiring it."),
    "exceeds_max_tokens": ("Too many tokens", "Shorten the conversation, or raise the limit if the model allows."),
    "duplicate": ("Duplicate", "Nothing to do: the earlier record is kept."),
    "near_duplicate": ("Near duplicate", "Compare with the record kept; raise the threshold if both matter."),
}

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CONTROL_BYTES = bytes(code for code in range(32) if code not in b"\t\n\r")


class SanitizeConfig(Value):
    """What counts as valid. ``near_duplicates`` is the Jaccard threshold, None for off ("off", false too)."""

    min_user_message_length: int = Field(10, ge=0)
    max_tokens: int = Field(8000, ge=1)
    allowed_roles: tuple[str, ...] = ("system", "user", "assistant", "tool")
    required_fields: tuple[str, ...] = ()
    near_duplicates: float | None = Field(DEFAULT_THRESHOLD, gt=0.0, le=1.0)

    @field_validator("near_duplicates", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        if value is True or value == "on":
            return DEFAULT_THRESHOLD
        return None if value is False or value == "off" else value


@dataclass(frozen=True, slots=True)
class Issue:
    """A rule the record breaks. ``code`` is a key of ``CODES``; ``detail`` is one sentence about this record."""

    code: str
    detail: str

    def as_json(self) -> JsonDict:
        return {"code": self.code, "detail": self.detail}


def verdict(trace: Trace, config: SanitizeConfig, tokens: int | None = None) -> list[Issue]:
    """All issues of one record, in the order of ``CODES``; empty for a valid one. Never raises, whatever the payload.

    ``tokens`` is the exact count of the prompt (``tokens.count``); None leaves the limit unchecked. Duplicates are
    found by ``dedupe.DuplicateIndex``, whose match becomes an issue with ``duplicate_issue``.
    """
    issues = list(_structure(trace.data))
    messages = trace.input.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages):
        for rule in (_roles, _content, _last, _user_messages, _control_characters, _tool_ids, _orphans):
            issues.extend(rule(messages, config))
    issues.extend(_fields(trace, config))
    if tokens is not None and tokens > config.max_tokens:
        issues.append(Issue("exceeds_max_tokens", f"{tokens:,} tokens; the limit is {config.max_tokens:,}."))
    return issues


def status_of(issues: list[Issue]) -> str:
    """``valid``, ``invalid`` or ``duplicate``, as the first issue says."""
    if not issues:
        return VALID
    return DUPLICATE if issues[0].code in DUPLICATE_CODES else INVALID


def _structure(data: Any) -> Iterator[Issue]:
    if not isinstance(data, dict):
        yield Issue("invalid_data_structure", f"The payload is {kind_of(data)}; it must be an object.")
        return
    output = data.get("output")
    if output is not None and not isinstance(output, dict):
        yield Issue("invalid_data_structure", f"output is {kind_of(output)}; it must be an object.")
    given = data.get("input")
    if given is None:
        yield Issue("missing_input", "The record has no input.")
    elif not isinstance(given, dict):
        yield Issue("invalid_data_structure", f"input is {kind_of(given)}; it must be an object with messages.")
    else:
        yield from _structure_of_input(given)


def _structure_of_input(given: JsonDict) -> Iterator[Issue]:
    tools, messages = given.get("tools"), given.get("messages")
    if tools is not None and not isinstance(tools, list):
        yield Issue("invalid_data_structure", f"input.tools is {kind_of(tools)}; it must be a list.")
    if messages is None:
        yield Issue("missing_messages", "The input has no messages.")
    elif not isinstance(messages, list):
        yield Issue("invalid_data_structure", f"input.messages is {kind_of(messages)}; it must be a list.")
    elif not messages:
        yield Issue("empty_messages", "The list of messages is empty.")
    else:
        for number, message in enumerate(messages, 1):
            fault = _shape_fault(message)
            if fault:
                yield Issue("invalid_data_structure", f"Message {number} {fault}")
                return


def _shape_fault(message: Any) -> str:
    """What keeps this from being a message, or ''."""
    if not isinstance(message, dict):
        return f"is {kind_of(message)}; it must be an object with role and content."
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | list):
        return f"has {kind_of(content)} as content; it must be text or a list of parts."
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict):
                return f"has {kind_of(part)} among its content parts; each must be an object."
    if calls is not None and not isinstance(calls, list):
        return f"has {kind_of(calls)} as tool_calls; it must be a list."
    for call in calls or ():
        if not isinstance(call, dict):
            return f"has {kind_of(call)} among its tool calls; each must be an object."
    return ""


def _named(number: int, message: JsonDict) -> str:
    role = message.get("role")
    return f"Message {number} ({role[:40]})" if isinstance(role, str) and role else f"Message {number}"


def _roles(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    for number, message in enumerate(messages, 1):
        role = message.get("role")
        if not isinstance(role, str) or not role:
            yield Issue("invalid_role", f"Message {number} has no role.")
            return
        if role not in config.allowed_roles:
            allowed = ", ".join(config.allowed_roles)
            yield Issue("invalid_role", f"Message {number} has role '{role[:40]}'; allowed are {allowed}.")
            return


def _content(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    """Text is needed of everyone but an assistant that calls tools; only a tool may answer with empty text."""
    for number, message in enumerate(messages, 1):
        role, content = message.get("role"), message.get("content")
        if role == "assistant":
            if not tool_calls_of(message) and not (text_of(content).strip() or (isinstance(content, list) and content)):
                yield Issue("missing_content", f"{_named(number, message)} has neither content nor tool calls.")
                return
        elif content is None:
            yield Issue("missing_content", f"{_named(number, message)} has no content.")
            return


def _last(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    role = messages[-1].get("role")
    if role != "user":
        who = f"has role '{role[:40]}'" if isinstance(role, str) and role else "has no role"
        yield Issue("last_not_user", f"The last message ({len(messages)}) {who}; a prompt must end with the user's.")


def _user_messages(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    empty = short = None
    for number, message in enumerate(messages, 1):
        if message.get("role") != "user":
            continue
        length = len(text_of(message.get("content")).strip())
        if length == 0:
            empty = empty or Issue("empty_user_message", f"Message {number} (user) has no text.")
        elif length < config.min_user_message_length:
            least = config.min_user_message_length
            said = f"Message {number} (user) has {length} character{'s' if length > 1 else ''}; the minimum is {least}."
            short = short or Issue("user_message_too_short", said)
    yield from (issue for issue in (empty, short) if issue)


def _texts(message: JsonDict) -> Iterator[str]:
    yield text_of(message.get("content"))
    for call in tool_calls_of(message):
        function = call.get("function")
        if isinstance(function, dict):
            yield from (value for value in function.values() if isinstance(value, str))


def _control_characters(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    for number, message in enumerate(messages, 1):
        for text in _texts(message):
            raw = text.encode("utf-8", "surrogatepass")
            if len(raw) == len(raw.translate(None, _CONTROL_BYTES)):
                continue  # five times faster than the search, and nearly always the answer
            found = _CONTROL.search(text)
            if found:
                where = f"U+{ord(found.group()):04X} at character {found.start() + 1}"
                yield Issue("control_characters", f"{_named(number, message)} contains {where}.")
                return


def _call_id(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _tool_ids(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    for number, message in enumerate(messages, 1):
        if any(not _call_id(call.get("id")) for call in tool_calls_of(message)):
            yield Issue("missing_tool_call_id", f"{_named(number, message)} has a tool call without an id.")
            return
        if message.get("role") == "tool" and not _call_id(message.get("tool_call_id")):
            yield Issue("missing_tool_call_id", f"{_named(number, message)} has no tool_call_id.")
            return


def _orphans(messages: list[JsonDict], config: SanitizeConfig) -> Iterator[Issue]:
    """An id may be opened again by a later call; then it may be answered again."""
    answered: dict[str, bool] = {}
    for number, message in enumerate(messages, 1):
        for call in tool_calls_of(message):
            answered[_call_id(call.get("id"))] = False
        if message.get("role") != "tool":
            continue
        named = _call_id(message.get("tool_call_id"))
        if not named:
            continue
        if named not in answered:
            yield Issue("orphan_tool_result", f"Message {number} (tool) answers '{named[:60]}', which no call opened.")
            return
        if answered[named]:
            yield Issue("orphan_tool_result", f"Message {number} (tool) answers '{named[:60]}' a second time.")
            return
        answered[named] = True


def _fields(trace: Trace, config: SanitizeConfig) -> Iterator[Issue]:
    if trace.has_reference and trace.reference_answer is None:
        yield Issue("reference_answer_null", "reference_answer is present but null.")
    for name in config.required_fields:
        value = field_value(trace, name)
        if value is None:
            yield Issue("missing_field", f"The field '{name}' is missing or null.")

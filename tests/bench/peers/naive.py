"""The script people write first: ``json.loads``, the rules on dicts, a digest for exact duplicates."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

ROLES = {"system", "user", "assistant", "tool"}
MINIMUM = 10
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
    return ""


def check(record: Any) -> str:
    """The first rule the record breaks, or ''."""
    data = record.get("data", record)
    if not isinstance(data, dict):
        return "invalid_data_structure"
    given = data.get("input")
    if given is None:
        return "missing_input"
    if not isinstance(given, dict):
        return "invalid_data_structure"
    messages = given.get("messages")
    if messages is None:
        return "missing_messages"
    if not isinstance(messages, list):
        return "invalid_data_structure"
    if not messages:
        return "empty_messages"
    return _shapes(messages) or _contents(messages) or _tools(messages) or _reference(record)


def _shapes(messages: list[Any]) -> str:
    for message in messages:
        if not isinstance(message, dict):
            return "invalid_data_structure"
        content, calls = message.get("content"), message.get("tool_calls")
        if content is not None and not isinstance(content, str | list):
            return "invalid_data_structure"
        if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
            return "invalid_data_structure"
    return ""


def _contents(messages: list[Any]) -> str:
    for message in messages:
        if message.get("role") not in ROLES:
            return "invalid_role"
    for message in messages:
        content = message.get("content")
        if message["role"] == "assistant":
            if not message.get("tool_calls") and not text_of(content).strip():
                return "missing_content"
        elif content is None:
            return "missing_content"
    if messages[-1]["role"] != "user":
        return "last_not_user"
    lengths = [len(text_of(m["content"]).strip()) for m in messages if m["role"] == "user"]
    if 0 in lengths:
        return "empty_user_message"
    if min(lengths) < MINIMUM:
        return "user_message_too_short"
    for message in messages:
        if CONTROL.search(text_of(message.get("content"))):
            return "control_characters"
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            if any(CONTROL.search(value) for value in function.values() if isinstance(value, str)):
                return "control_characters"
    return ""


def _tools(messages: list[Any]) -> str:
    for message in messages:
        if any(not call.get("id") for call in message.get("tool_calls") or ()):
            return "missing_tool_call_id"
        if message["role"] == "tool" and not message.get("tool_call_id"):
            return "missing_tool_call_id"
    waiting = set()
    for message in messages:
        waiting.update(call["id"] for call in message.get("tool_calls") or ())
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return "orphan_tool_result"
            waiting.discard(message["tool_call_id"])
    return ""


def _reference(record: Any) -> str:
    return "reference_answer_null" if "reference_answer" in record and record["reference_answer"] is None else ""


def fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def digest(messages: list[Any]) -> bytes:
    """Of roles, texts and tool calls, whatever their case and white space."""
    hashed = hashlib.md5(usedforsecurity=False)
    for message in messages:
        hashed.update(fold(message["role"]).encode())
        hashed.update(b"\x1f" + fold(text_of(message.get("content"))).encode())
        for call in message.get("tool_calls") or ():
            function = call["function"]
            hashed.update(b"\x1f" + fold(function["name"]).encode() + b"\x1f" + fold(function["arguments"]).encode())
        hashed.update(b"\x1e")
    return hashed.digest()


def sanitize(path: Path) -> dict[str, int]:
    """Verdicts of a file: records by their first code, ``valid`` and ``unreadable`` included."""
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                counts["unreadable"] += 1
                continue
            code = check(record)
            if not code:
                own = digest(record.get("data", record)["input"]["messages"])
                code = "duplicate" if own in seen else "valid"
                seen.add(own)
            counts[code] += 1
    return dict(sorted(counts.items()))

"""Messages of a trace as turns with the role in the margin. Everything is text; nothing in a trace is ever HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ROLES = {
    "system": ("System", ""),
    "developer": ("Developer", ""),
    "user": ("User", "user"),
    "assistant": ("Assistant", "model"),
    "tool": ("Tool result", "tool"),
    "function": ("Tool result", "tool"),
    # Not roles of the field, but of our pages:
    "answer": ("Answer", "model"),
    "prompt": ("Prompt", "user"),
    "reference": ("Reference", "ref"),
}
FRAMING = ("System", "Developer")
SHOWN_TURNS = 8  # longer conversations are folded
LONGEST = 20_000  # characters of one block; the raw record holds the rest
PARTS = {"image_url": "image", "input_image": "image", "input_audio": "audio", "file": "file", "input_file": "file"}


@dataclass(frozen=True)
class Block:
    """``kind`` is text, call (a tool call or its JSON) or other (an image, a file: named, not fetched)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Turn:
    label: str
    css: str
    blocks: list[Block] = field(default_factory=list)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _pretty(arguments: Any) -> str:
    """Arguments of a tool call: JSON text is indented, text that is not JSON stays as it is."""
    if not isinstance(arguments, str):
        return _as_json(arguments)
    try:
        return _as_json(json.loads(arguments))
    except ValueError:
        return arguments


def _content(content: Any) -> Iterable[Block]:
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield Block("text", _cut(content))
        return
    if not isinstance(content, list):
        yield Block("call", _cut(_as_json(content)))
        return
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield Block("text", _cut(text))
        elif isinstance(part, Mapping) and kind == "refusal":
            yield Block("text", _cut(f"Refused: {part.get('refusal', '')}"))
        elif isinstance(kind, str) and kind in PARTS:
            yield Block("other", f"[{PARTS[kind]}, not shown]")
        else:
            yield Block("call", _cut(_as_json(part)))


def _calls(message: Mapping[str, Any]) -> Iterable[Block]:
    calls = message.get("tool_calls") or []
    if message.get("function_call"):
        calls = [{"function": message["function_call"]}, *calls]
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            yield Block(
                "call", _cut(f"{function.get('name', 'unnamed tool')}({_pretty(function.get('arguments', ''))})")
            )
        else:
            yield Block("call", _cut(_as_json(call)))


def turn(message: Any, label: str = "") -> Turn:
    """One turn of anything that may stand in a trace; what is not a message is shown as JSON."""
    if not isinstance(message, Mapping):
        return Turn(label or "Not a message", "", [Block("call", _cut(_as_json(message)))])
    role = str(message.get("role", ""))
    spoken, css = ROLES.get(role, (role[:24] or "No role", ""))
    name = message.get("name")
    if isinstance(name, str) and name and not label:
        spoken = f"{spoken}, {name[:40]}"
    blocks = [*_content(message.get("content")), *_calls(message)]
    if css == "tool":
        blocks = [Block("call", _pretty(block.text)) if block.kind == "text" else block for block in blocks]
    return Turn(label or spoken, css, blocks or [Block("other", "[empty]")])


def folded(found: list[Turn]) -> dict[str, list[Turn]]:
    """A long conversation with its middle (examples, an old exchange) folded away: ``opening``, ``folded``, ``turns``.

    The system prompt and the last two turns stay in sight.
    """
    opening = [found[0]] if found and found[0].label in FRAMING else []
    rest = found[len(opening) :]
    if len(rest) <= SHOWN_TURNS:
        return {"opening": [], "folded": [], "turns": found}
    return {"opening": opening, "folded": rest[:-2], "turns": rest[-2:]}


def turns(messages: Any) -> list[Turn]:
    """All turns of a conversation; a single message is accepted as well."""
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable) or isinstance(messages, str):
        messages = [messages]
    return [turn(message) for message in messages]

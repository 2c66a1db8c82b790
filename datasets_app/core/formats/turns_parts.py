"""The parts of one message (text, images, tool calls, tool results) in any vendor's shape, and tool definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets_app.core.formats.base import parsed
from datasets_app.core.records import clean_id, encode_json
from rft_project.platforms.types import JsonDict

_TEXT = ("text", "input_text", "output_text", "summary_text", "refusal")
_THINKING = frozenset({"thinking", "redacted_thinking"})
# key that holds a call or a result -> the key of its id
_CALL_KEYS = {"toolUse": "toolUseId", "functionCall": "id", "function_call": "id"}
_RESULT_KEYS = {"toolResult": "toolUseId", "functionResponse": "id", "function_response": "id"}
_CALL_TYPES = frozenset({"tool_use", "tool_call", "tool-call", "server_tool_use"})
_RESULT_TYPES = frozenset({"tool_result", "tool_call_response", "tool-result"})
_IDS = ("id", "tool_call_id", "toolCallId", "toolUseId", "call_id", "tool_use_id")
_RESULT_IDS = ("tool_use_id", "tool_call_id", "toolCallId", "call_id", "toolUseId", "id")
_ARGUMENTS = ("arguments", "args", "input", "parameters", "kwargs")
_RESULTS = ("content", "output", "response", "result", "value")


@dataclass(slots=True)
class SplitParts:
    """``content`` is text, or a list of parts where there is more than one text or anything but text; '' for nothing.

    ``calls`` are raw calls for ``call_of``, ``results`` pairs of an id (or None) and what ``result_text`` takes.
    """

    content: str | list[Any] = ""
    calls: list[Any] = field(default_factory=list)
    results: list[tuple[Any, JsonDict]] = field(default_factory=list)
    reasoning: bool = False


def split_parts(parts: list[Any]) -> SplitParts:
    """Sorts a message's parts. Reasoning is only noted."""
    found = SplitParts()
    kept: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            kept.append({"type": "text", "text": part})
        elif not isinstance(part, dict):
            kept.append(part)
        elif not _sorted_out(part, found):
            kept.append(_kept_part(part))
    kept = [part for part in kept if part is not None]
    if len(kept) == 1 and isinstance(kept[0], dict) and kept[0].keys() == {"type", "text"}:
        found.content = kept[0]["text"]
    elif kept:
        found.content = kept
    return found


def _sorted_out(part: JsonDict, found: SplitParts) -> bool:
    """Whether the part is no content: a call, a result or reasoning."""
    kind = part.get("type")
    if _is_reasoning(part, kind):
        found.reasoning = True
        return True
    if isinstance(kind, str) and kind in _CALL_TYPES:
        found.calls.append(part)
        return True
    if isinstance(kind, str) and kind in _RESULT_TYPES:
        found.results.append((first_id(part, _RESULT_IDS), part))
        return True
    for key in part.keys() & _CALL_KEYS.keys():
        if isinstance(part[key], dict):
            found.calls.append(part[key])
            return True
    for key, id_key in _RESULT_KEYS.items():
        if isinstance(part.get(key), dict):
            found.results.append((part[key].get(id_key), part[key]))
            return True
    return False


def _is_reasoning(part: JsonDict, kind: Any) -> bool:
    if isinstance(kind, str):
        return "reasoning" in kind.lower() or kind in _THINKING
    return part.get("thought") is True or "reasoningContent" in part


def _kept_part(part: JsonDict) -> Any:
    """A part of content in chat-completions form where there is one; None for an empty text."""
    kind = part.get("type")
    text = part.get("text")
    if text is None and kind in ("text", "refusal"):
        text = part.get("content", part.get("refusal"))
    if isinstance(text, str) and (kind is None or kind in _TEXT):
        return {"type": "text", "text": text} if text else None
    url = _image_url(part)
    return {"type": "image_url", "image_url": {"url": url}} if url else part


def _image_url(part: JsonDict) -> str:
    source = part.get("source")
    if part.get("type") == "image" and isinstance(source, dict):
        if isinstance(source.get("url"), str):
            return str(source["url"])
        if isinstance(source.get("data"), str):
            return f"data:{source.get('media_type', 'image/png')};base64,{source['data']}"
    if part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
        return str(part["image_url"])
    inline = part.get("inlineData") or part.get("inline_data")
    if isinstance(inline, dict) and isinstance(inline.get("data"), str):
        return f"data:{inline.get('mimeType') or inline.get('mime_type') or 'image/png'};base64,{inline['data']}"
    return ""


def call_of(raw: Any) -> JsonDict | None:
    """A tool call in chat-completions form with '' for a missing id; None where it names no function."""
    raw = parsed(raw)
    if not isinstance(raw, dict):
        return None
    inner = raw.get("function")
    function: JsonDict = inner if isinstance(inner, dict) else raw
    name = function.get("name") or raw.get("toolName") or (inner if isinstance(inner, str) else None)
    if not isinstance(name, str) or not name:
        return None
    given = next((function[key] for key in _ARGUMENTS if function.get(key) is not None), None)
    arguments = given if isinstance(given, str) else encode_json({} if given is None else given)
    function = {"name": name, "arguments": arguments or "{}"}
    return {"id": clean_id(_call_id(raw)), "type": "function", "function": function}


def _call_id(raw: JsonDict) -> Any:
    if raw.get("type") in ("function_call", "custom_tool_call"):  # there ``id`` is the item's
        return raw.get("call_id") or raw.get("id")
    return first_id(raw, _IDS)


def first_id(raw: JsonDict, keys: tuple[str, ...]) -> Any:
    """The first of the keys that has a value, or None."""
    return next((raw[key] for key in keys if raw.get(key)), None)


def result_text(result: JsonDict) -> str:
    """What a tool answered, as text, from the object that names the call and holds the answer."""
    return value_text(next((result[key] for key in _RESULTS if key in result), result))


def value_text(value: Any) -> str:
    """Text as it is, texts of parts joined by newlines, anything else as JSON; '' for nothing."""
    if isinstance(value, dict) and value.keys() == {"type", "value"}:
        return _as_text(value["value"])
    parts = value if isinstance(value, list) else [value]
    if parts and all(isinstance(part, dict) and part.keys() <= {"type", "text"} for part in parts):
        texts = [part.get("text") for part in parts]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(texts)
    if len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"json"}:
        return _as_text(parts[0]["json"])
    return _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value)


# --- definitions of tools --------------------------------------------------------------------------------------------


def tools_of(given: Any) -> list[Any]:
    """Tool definitions of any vendor in chat-completions form; tools that a server runs itself stay as they are."""
    given = parsed(given)
    if isinstance(given, dict):
        given = given.get("tools") if "tools" in given else list(given.values())
    if not isinstance(given, list):
        return []
    tools: list[Any] = []
    for raw in given:
        tool = parsed(raw)
        if not isinstance(tool, dict):
            continue
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        for one in declared if isinstance(declared, list) else [tool]:
            tools.append(_tool(one))
    return tools


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict) or isinstance(tool.get("function"), dict):
        return tool
    inner = tool.get("toolSpec")
    spec: JsonDict = inner if isinstance(inner, dict) else tool
    name = spec.get("name")
    if not isinstance(name, str):
        return tool
    function: JsonDict = {"name": name}
    if isinstance(spec.get("description"), str):
        function["description"] = spec["description"]
    schema = next((spec[k] for k in ("parameters", "input_schema", "inputSchema", "jsonSchema") if k in spec), None)
    schema = parsed(schema)
    if isinstance(schema, dict) and isinstance(schema.get("json"), dict):
        schema = schema["json"]
    if isinstance(schema, dict):
        function["parameters"] = _lower_types(schema)
    elif isinstance(spec.get("parameter_definitions"), dict):
        function["parameters"] = {"type": "object", "properties": spec["parameter_definitions"]}
    elif tool.get("type") not in (None, "function"):
        return tool
    if "strict" in spec:
        function["strict"] = spec["strict"]
    return {"type": "function", "function": function}


def _lower_types(schema: Any) -> Any:
    """Gemini writes the types of a JSON schema in capitals."""
    if isinstance(schema, list):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _lower_types(value)
        for key, value in schema.items()
    }

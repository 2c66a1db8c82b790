"""One record in the shape every part of the product reads: the canonical payload and what stands beside it.

The payload is ``{"input": {"messages", "tools", "tool_choice"},
"output": {"messages", "tool_calls", "finish_reason"}}``. ``input.messages`` is the prompt; ``output`` is kept for
people and never sent as a training row. Nothing here checks the payload: a record may be broken in any way, and every
function below must answer for it anyway.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rft_project.platforms.types import JsonDict, text_of

# Real payloads nest about twenty levels (tool schemas). Recursive code further on must never meet its own limit.
MAX_DEPTH = 200
_RESERVED = frozenset(
    {
        "data",
        "input",
        "output",
        "reference_answer",
        "fields",
        "metadata",
        "span_id",
        "session_id",
        "started_at",
        "finished_at",
    }
)
# About the record, not about the task: a grader never needs them, so they don't become item fields.
_BOOKKEEPING = frozenset({"topic", "source", "is_generated"})
# Neither PostgreSQL's text nor UTF-8 can hold these.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unreadable(ValueError):
    """A line can't become a record; the text is one sentence for people."""


@dataclass(slots=True)
class Trace:
    """One record. ``data`` is the canonical payload, or whatever stood in its place.

    ``fields`` are the custom item fields a grader may read; ``metadata`` is about the record. Times are epoch seconds.
    ``session_id`` names the conversation, thread or session that the record is a part of, '' where nothing says so.
    ``split`` is how many messages were moved from the end of the conversation into ``output`` when it was read.
    """

    data: Any
    reference_answer: Any = None
    has_reference: bool = False
    fields: JsonDict = field(default_factory=dict)
    metadata: JsonDict = field(default_factory=dict)
    span_id: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    session_id: str = ""
    split: int = field(default=0, compare=False)

    @property
    def input(self) -> JsonDict:
        """``data.input`` or an empty dict."""
        found = self.data.get("input") if isinstance(self.data, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def output(self) -> JsonDict:
        """``data.output`` or an empty dict."""
        found = self.data.get("output") if isinstance(self.data, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def messages(self) -> list[JsonDict]:
        """The prompt's messages; what is not an object among them is left out."""
        found = self.input.get("messages")
        return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []

    @property
    def tools(self) -> list[JsonDict]:
        found = self.input.get("tools")
        return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []

    @property
    def output_messages(self) -> list[JsonDict]:
        found = self.output.get("messages")
        return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []


# --- JSON ------------------------------------------------------------------------------------------------------------


def decode_json(raw: bytes | str) -> Any:
    """Strict JSON to Python. Lone surrogates are let in (``encode_json`` writes them as escapes).

    Raises ``Unreadable`` for anything else that is not JSON, for NaN and infinities, for numbers a float or
    Python's integer conversion can't hold, and for nesting deeper than ``MAX_DEPTH``.
    """
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise Unreadable(f"The JSON is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError:
        value = _decode_slowly(raw)
    opening = (raw.count(b"[") + raw.count(b"{")) if isinstance(raw, bytes) else (raw.count("[") + raw.count("{"))
    if opening > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise Unreadable(f"The JSON is nested more than {MAX_DEPTH} levels deep.")
    return value


def encode_json(value: Any, *, sort: bool = False) -> str:
    """Compact JSON text that both databases can store: control characters and lone surrogates are escaped."""
    try:
        return msgspec.json.encode(value, order="deterministic" if sort else None).decode()
    except (UnicodeError, OverflowError):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=sort)


def clean_text(text: str) -> str:
    """Text for a plain text column: NUL and lone surrogates become U+FFFD."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def clean_json(value: Any) -> Any:
    """A JSON value for a JSON column: its texts and keys as ``clean_text`` leaves them."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    return {clean_text(key): clean_json(item) for key, item in value.items()} if isinstance(value, dict) else value


def _decode_slowly(raw: bytes | str) -> Any:
    """The standard library's parser: takes lone surrogates, and its errors name the place."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise Unreadable(f"The text is not valid UTF-8 (byte {error.start + 1}); save the file as UTF-8.") from None
    except RecursionError:
        raise Unreadable(f"The JSON is nested more than {MAX_DEPTH} levels deep.") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
        raise Unreadable(f"Not valid JSON: {what} at character {error.pos + 1}.") from None
    except Unreadable:
        raise
    except ValueError:
        raise Unreadable("Not valid JSON: a number is too large.") from None


def _refuse_constant(name: str) -> Any:
    raise Unreadable(f"Not valid JSON: {name} is not a number JSON knows; write null instead.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable("Not valid JSON: a number is too large.")
    return number


def _depth(value: Any) -> int:
    """Levels of nesting, counted level by level so that no depth can exhaust the stack."""
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node if type(node) is list else ())
            if type(child) is dict or type(child) is list
        ]
    return depth


# --- the canonical line ----------------------------------------------------------------------------------------------


def to_canonical(trace: Trace) -> JsonDict:
    """The record as our own file format writes it; what is empty is left out. ``from_canonical`` is its inverse."""
    if isinstance(trace.data, dict) and "input" in trace.data and trace.data.keys() <= {"input", "output"}:
        line = dict(trace.data)
    else:
        line = {"data": trace.data}
    if trace.has_reference:
        line["reference_answer"] = trace.reference_answer
    for name in ("fields", "metadata", "span_id", "session_id"):
        if value := getattr(trace, name):
            line[name] = value
    for name in ("started_at", "finished_at"):
        if (value := getattr(trace, name)) is not None:
            line[name] = value
    return line


def from_canonical(line: JsonDict) -> Trace:
    """A canonical line, flat or with the payload under ``data``, as a record. Never raises on a JSON object.

    Keys this format doesn't know become item fields; ``topic``, ``source`` and ``is_generated`` go to the metadata.
    """
    if "data" in line:
        data = line["data"]
        beside = _RESERVED - {"input", "output"}  # those two stand outside the payload: keep them somewhere
    else:
        data = {name: line[name] for name in ("input", "output") if name in line}
        beside = _RESERVED
    own_fields, own_metadata = line.get("fields"), line.get("metadata")
    fields: JsonDict = dict(own_fields) if isinstance(own_fields, dict) else {}
    metadata: JsonDict = dict(own_metadata) if isinstance(own_metadata, dict) else {}
    for name, value in line.items():
        if name in _BOOKKEEPING:
            metadata.setdefault(name, value)
        elif name not in beside:
            fields.setdefault(name, value)
    for name, value in (("fields", own_fields), ("metadata", own_metadata)):
        if value is not None and not isinstance(value, dict):
            fields.setdefault(name, value)
    return Trace(
        data=data,
        reference_answer=line.get("reference_answer"),
        has_reference="reference_answer" in line,
        fields=fields,
        metadata=metadata,
        span_id=clean_id(line.get("span_id")),
        started_at=_seconds(line.get("started_at")),
        finished_at=_seconds(line.get("finished_at")),
        session_id=clean_id(line.get("session_id")),
    )


def dumps(trace: Trace) -> str:
    """The record as one line of JSON text, for storage and for files."""
    return encode_json(to_canonical(trace))


def loads(text: str | bytes) -> Trace:
    """The record ``dumps`` wrote. Raises ``Unreadable`` if the text is not a JSON object."""
    line = decode_json(text)
    if not isinstance(line, dict):
        raise Unreadable("The stored record is not a JSON object.")
    return from_canonical(line)


def clean_id(value: Any) -> str:
    """An id as text of at most 200 characters; '' for what can't be one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return clean_text(value if isinstance(value, str) else str(value))[:200]


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


# --- text ------------------------------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Text with case folded and every run of white space made one space."""
    return " ".join(text.split()).casefold()


def user_turns(trace: Trace) -> list[str]:
    """Texts of the user's messages in order, blank ones left out."""
    texts = (text_of(m.get("content")) for m in trace.messages if m.get("role") == "user")
    return [text for text in texts if text.strip()]


def user_text(trace: Trace) -> str:
    """All user turns joined by newlines."""
    return "\n".join(user_turns(trace))


def tool_calls_of(message: JsonDict) -> list[JsonDict]:
    """The message's tool calls that are objects."""
    calls = message.get("tool_calls")
    return [c for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []

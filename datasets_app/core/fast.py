"""The short way through reading, rules and identity of one line, for the shapes that nearly all lines have.

A typed decoder takes lines of our own form and bare chat rows whose parts are what they should be, and ``fast_rules``
judges their messages. Whatever the decoder refuses is left to ``formats`` and ``judged``; both ways give the same
answer for every line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from datasets_app.core.fast_rules import Message, Rules
from datasets_app.core.formats import AUTO, recognise
from datasets_app.core.formats.base import epoch_seconds, output_of, session_of
from datasets_app.core.judging import Judged
from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping
from datasets_app.core.records import (
    MAX_DEPTH,
    Unreadable,
    clean_id,
    decode_json,
    encode_json,
)
from datasets_app.core.sanitizing import SanitizeConfig
from rft_project.platforms.types import JsonDict

_EXTRAS = 40  # names of item fields that a decoder knows beside its own
_TOOLS_KNOWN = 4096  # different lists of tools that are known to be good JSON
_NO_OPENING = bytes(byte for byte in range(256) if byte not in b"[{")
_OUTPUT = frozenset({"messages", "tool_calls", "finish_reason"})


# What the name of a decoder's field may not hold; lines with such keys go the long way.
_NO_NAME = re.compile('[\x00-\x1f"\\\\\ud800-\udfff]').search


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    messages: list[Message]
    tools: msgspec.Raw | UnsetType = UNSET
    tool_choice: Any = UNSET


class _Data(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    input: _Input
    output: JsonDict | None = None


# The keys of a line that the decoder knows; what else a file's records have become fields ``more_0``, ``more_1`` …
_KNOWN: dict[str, Any] = {
    "input": _Input | UnsetType,
    "output": JsonDict | None | UnsetType,
    "data": _Data | UnsetType,
    "messages": list[Message] | UnsetType,
    "tools": msgspec.Raw | UnsetType,
    "tool_choice": Any,
    "reference_answer": Any,
    "fields": JsonDict | UnsetType,
    "metadata": JsonDict | UnsetType,
    "span_id": str | UnsetType,
    "session_id": str | UnsetType,
    "started_at": float | UnsetType,
    "finished_at": float | UnsetType,
}
_OF_CHAT = ("messages", "tools", "tool_choice")
_NEVER_MORE = frozenset({*_KNOWN, "functions", "parallel_tool_calls"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a file's lines before they are read.

    ``format`` and ``mapping`` are those of ``reading.read_traces``, ``fallback`` the format of lines that none
    recognises, ``extras`` the other keys that its records have, see ``extras_of``.
    """

    format: str = AUTO
    fallback: str = "canonical"
    mapping: FieldMapping = AS_THE_FORMAT_SAYS
    extras: tuple[str, ...] = ()


class Judge:
    """Reads and judges the lines of one file.

    ``exact`` counts every record's tokens; without it they are counted only where a record could have more than the
    config allows.
    """

    def __init__(self, config: SanitizeConfig, shape: Shape = Shape(), *, exact: bool = True) -> None:
        self.config = config
        self.format, self.fallback, self.mapping = shape.format, shape.fallback, shape.mapping
        self._rules = Rules(config, exact=exact)
        self._tools: set[bytes] = set()
        # A choice of fields, or one that must be there, needs the record as it is.
        plain = self.mapping == AS_THE_FORMAT_SAYS and not config.required_fields
        self._forms = {AUTO: {"canonical", "chat"}}.get(self.format, {self.format}) if plain else set()
        fields = [(name, kind, msgspec.field(default=UNSET)) for name, kind in _KNOWN.items()]
        self._more = [(f"more_{n}", name) for n, name in enumerate(shape.extras)]
        more = [(field, Any, msgspec.field(default=UNSET, name=name)) for field, name in self._more]
        line = msgspec.defstruct("_Line", [*fields, *more], forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(line).decode

    def quick(self, raw: bytes) -> Judged | None:
        """None where the line is not of a common shape."""
        if not self._forms or len(raw.translate(None, _NO_OPENING)) > MAX_DEPTH:
            return None
        try:
            line: Any = self._decode(raw)
        except (ValueError, RecursionError):
            return None
        more: JsonDict = {}
        for field, name in self._more:
            if (value := getattr(line, field)) is not UNSET:
                more[name] = value
        if line.messages is not UNSET:
            return self._chat_row(line, more)
        return self._own_form(line, more, raw)

    # --- our own form ------------------------------------------------------------------------------------------------

    def _own_form(self, line: Any, more: JsonDict, raw: bytes) -> Judged | None:
        if "canonical" not in self._forms or line.tools is not UNSET or line.tool_choice is not UNSET:
            return None
        payload = line.data
        if payload is UNSET:
            payload = line
        elif line.input is not UNSET or line.output is not UNSET:
            return None
        given, output = payload.input, payload.output
        if given is UNSET or not given.messages or not self._good_tools(given.tools):
            return None
        if output is None or output is UNSET:
            output = None
            if given.messages[-1].role == "assistant":
                return None  # it may have to be split
        elif not output.keys() <= _OUTPUT:
            return None
        if more and self.format == AUTO and not self._is("canonical", line, more):
            return None
        metadata = line.metadata if line.metadata is not UNSET else {}
        named = clean_id(line.session_id) if line.session_id is not UNSET else ""
        session = named or session_of(metadata)
        body: str | bytes = raw
        if session and not named:
            text = msgspec.json.format(raw, indent=-1).decode()
            if line.session_id is not UNSET or text[0] != "{":
                return None
            body = f'{{"session_id":{encode_json(session)},{text[1:]}'
        span = clean_id(line.span_id) if line.span_id is not UNSET else ""
        found = self._rules.judged(given.messages, null_reference=line.reference_answer is None)
        found.format, found.span_id, found.session_id, found.source = "canonical", span, session, body
        return found

    def _is(self, form: str, line: Any, more: JsonDict) -> bool:
        """Whether the line is of that form for the table of formats too, which looks at the other keys first."""
        stand_in: JsonDict = {"messages": [{"role": "user", "content": ""}]}
        if form == "canonical":
            output = {} if line.output is UNSET else {"output": line.output}
            stand_in = {"input": stand_in, **output} if line.data is UNSET else {"data": {"input": stand_in}}
        for name in ("metadata", "fields", "span_id"):
            if getattr(line, name) is not UNSET:
                stand_in[name] = getattr(line, name)
        return recognise({**stand_in, **more}) == form

    def _good_tools(self, tools: msgspec.Raw | UnsetType) -> bool:
        """Whether the list of tools is whole; records of one application repeat theirs, so most are known."""
        if isinstance(tools, UnsetType):
            return True
        raw = bytes(tools)
        if raw in self._tools:
            return True
        try:
            if not isinstance(decode_json(raw), list | None):
                return False
        except Unreadable:
            return False
        if len(self._tools) < _TOOLS_KNOWN:
            self._tools.add(raw)
        return True

    # --- chat rows ---------------------------------------------------------------------------------------------------

    def _chat_row(self, line: Any, more: JsonDict) -> Judged | None:
        if "chat" not in self._forms or any(
            getattr(line, n) is not UNSET for n in ("input", "output", "data", "fields")
        ):
            return None
        if not self._good_tools(line.tools) or not line.messages:
            return None
        if self.format == AUTO and more and not self._is("chat", line, more):
            return None
        messages = line.messages
        for message in messages:
            if not _as_it_is(message):
                return None
        cut = _cut(messages)
        tools = UNSET if line.tools is UNSET or bytes(line.tools) in (b"[]", b"null") else line.tools
        given = _Input(messages[:cut], tools, UNSET if line.tool_choice is None else line.tool_choice)
        body: JsonDict = {"input": given}
        if cut < len(messages):
            body["output"] = output_of([msgspec.to_builtins(message) for message in messages[cut:]])
        metadata = line.metadata if line.metadata is not UNSET else {}
        span = clean_id(line.span_id) if line.span_id is not UNSET else ""
        own_session = {} if line.session_id is UNSET else {"session_id": line.session_id}
        session = session_of({**more, **own_session}, metadata)
        if line.reference_answer is not UNSET:
            body["reference_answer"] = line.reference_answer
        beside = {"fields": more, "metadata": metadata, "span_id": span, "session_id": session}
        body |= {name: value for name, value in beside.items() if value}
        for name in ("started_at", "finished_at"):
            if (value := getattr(line, name)) is not UNSET and (seconds := epoch_seconds(value)) is not None:
                body[name] = seconds
        found = self._rules.judged(given.messages, null_reference=line.reference_answer is None)
        found.format, found.span_id, found.session_id, found.source = "chat", span, session, encode_json(body)
        found.split = len(messages) - cut
        return found


def _as_it_is(message: Message) -> bool:
    """Whether a chat row's message is in canonical form but for keys set to null, which are dropped here."""
    if message.role in ("developer", "function"):
        return False
    for name in ("tool_calls", "tool_call_id", "name", "refusal"):
        if getattr(message, name) is None:
            setattr(message, name, UNSET)
    return not any(
        isinstance(function := call.get("function"), dict) and isinstance(function.get("arguments"), dict | list)
        for call in message.tool_calls or ()
    )


def _cut(messages: list[Message]) -> int:
    """How many of a whole conversation's messages are the prompt (see ``formats.base.split_answer``)."""
    if messages[-1].role != "assistant":
        return len(messages)
    asked = [number for number, message in enumerate(messages, 1) if message.role == "user"]
    return asked[-1] if asked else len(messages)


def extras_of(sample: Iterable[Any]) -> list[str]:
    """Keys of the sampled (decoded) lines that are neither of our own form nor of a chat row: mostly item fields."""
    names = dict.fromkeys(name for line in sample if isinstance(line, dict) for name in line)
    return [name for name in names if name not in _NEVER_MORE and not _NO_NAME(name)][:_EXTRAS]

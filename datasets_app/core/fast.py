"""The short way through reading, rules and identity of one line, for the shapes that nearly all lines have.

A typed decoder takes lines of our own form and bare chat rows whose parts are what they should be, and one pass over
their messages finds nothing wrong with most of them. Whatever the decoder refuses or the pass finds odd is left to
``formats`` and ``sanitizing.verdict``, which say what is wrong; both ways give the same answer for every line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from datasets_app.core import tokens
from datasets_app.core.dedupe import Said
from datasets_app.core.formats import AUTO, recognise
from datasets_app.core.formats.base import epoch_seconds, output_of, session_of
from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping
from datasets_app.core.records import (
    MAX_DEPTH,
    Trace,
    Unreadable,
    clean_id,
    clean_text,
    decode_json,
    digest,
    digest_of,
    dumps,
    encode_json,
    said,
    user_turns,
)
from datasets_app.core.sanitizing import Issue, SanitizeConfig, verdict
from rft_project.platforms.types import JsonDict, last_user_text, text_of

PREVIEW = 600  # characters
_EXTRAS = 40  # names of item fields that a decoder knows beside its own
_TOOLS_KNOWN = 4096  # different lists of tools that are known to be good JSON
# How JSON spells characters below 32 that are not \t \n \r (and now and then what follows an escaped backslash).
_CONTROL_ESCAPE = re.compile(rb"\\(?:[bf]|u00[01])").search
_OUTPUT = frozenset({"messages", "tool_calls", "finish_reason"})


# What the name of a decoder's field may not hold; lines with such keys go the long way.
_NO_NAME = re.compile('[\x00-\x1f"\\\\\ud800-\udfff]').search


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str | list[JsonDict] | UnsetType | None = UNSET
    tool_calls: list[JsonDict] | UnsetType | None = UNSET
    tool_call_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    messages: list[_Message]
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
    "messages": list[_Message] | UnsetType,
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


@dataclass(slots=True)
class Judged:
    """One line read and judged on its own.

    ``digest``: 32 hexadecimal digits; ``turns``: what the user says, blank turns left out; ``tokens``: exact, or 0
    where they were not counted; ``split``: how many messages were moved to the output; ``source``: the ``body``, or the
    line (bytes) that it is but for white space between its parts.
    """

    format: str
    issues: list[Issue]
    digest: str
    span_id: str
    session_id: str
    preview: str
    tokens: int
    turns: list[str]
    split: int
    source: str | bytes

    @property
    def body(self) -> str:
        """The record as ``records.loads`` reads it; made when asked for, since many records are only judged."""
        if isinstance(self.source, bytes):
            self.source = msgspec.json.format(self.source, indent=-1).decode()
        return self.source

    @property
    def said(self) -> Said:
        """What is compared with other records."""
        return Said(self.digest, self.span_id, self.turns)


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
        self.config, self.exact = config, exact
        self.format, self.fallback, self.mapping = shape.format, shape.fallback, shape.mapping
        self._roles = frozenset(config.allowed_roles)
        self._least = max(1, config.min_user_message_length)
        self._extras = shape.extras
        self._tools: set[bytes] = set()
        # A choice of fields, or one that must be there, needs the record as it is.
        plain = self.mapping == AS_THE_FORMAT_SAYS and not config.required_fields
        self._forms = {AUTO: {"canonical", "chat"}}.get(self.format, {self.format}) if plain else set()
        fields = [(name, kind, msgspec.field(default=UNSET)) for name, kind in _KNOWN.items()]
        more = [(f"more_{n}", Any, msgspec.field(default=UNSET, name=name)) for n, name in enumerate(self._extras)]
        line = msgspec.defstruct("_Line", [*fields, *more], forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(line).decode

    def quick(self, raw: bytes) -> Judged | None:
        """None where the line is not of a common shape, or anything about it is odd."""
        if not self._forms or (raw.count(b"[") + raw.count(b"{") > MAX_DEPTH):
            return None
        if _CONTROL_ESCAPE(raw):
            return None
        try:
            line: Any = self._decode(raw)
        except (ValueError, RecursionError):
            return None
        if line.reference_answer is None:
            return None
        more = {
            name: value for n, name in enumerate(self._extras) if (value := getattr(line, f"more_{n}")) is not UNSET
        }
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
        if given is UNSET or not self._good_tools(given.tools):
            return None
        if output is None or output is UNSET:
            output = None
            if given.messages and given.messages[-1].role == "assistant":
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
        return self._judged("canonical", given.messages, span, session, body, 0)

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
        return self._judged("chat", given.messages, span, session, encode_json(body), len(messages) - cut)

    # --- rules -------------------------------------------------------------------------------------------------------

    def _judged(
        self, form: str, messages: list[_Message], span: str, session: str, source: str | bytes, split: int
    ) -> Judged | None:
        """None unless the conversation breaks no rule."""
        if not messages or messages[-1].role != "user":
            return None
        parts: list[str] = []
        turns: list[str] = []
        calls = False
        for message in messages:
            role, content = message.role, message.content
            if role not in self._roles:
                return None
            if type(content) is str and not message.tool_calls:
                if role == "user":
                    if len(content.strip()) < self._least:
                        return None
                    turns.append(content)
                elif role == "assistant":
                    if not content.strip():
                        return None
                elif role == "tool":
                    calls = True
                parts += (role, "\x01", content, "\x00")
                continue
            if role == "user" or (not isinstance(content, str | list) and role != "assistant"):
                return None
            calls = calls or role == "tool" or bool(message.tool_calls)
            if not message.tool_calls and not text_of(content).strip():
                return None
            parts.append(said({"role": role, "content": content or None, "tool_calls": message.tool_calls or []}))
        if calls and not _chained(messages):
            return None
        text = "".join(parts)
        count = self._count(messages, text)
        if count > self.config.max_tokens:
            return None
        preview = turns[-1][:PREVIEW]
        return Judged(form, [], digest_of(text), span, session, preview, count, turns, split, source)

    def _count(self, messages: list[_Message], text: str) -> int:
        if not self.exact:
            most = len(text) if text.isascii() else len(text.encode())
            most += sum(tokens.most_of(None, message.tool_calls) for message in messages if message.tool_calls)
            if most <= self.config.max_tokens:
                return 0
        return sum(tokens.count_parts(message.content, message.tool_calls) for message in messages)


def _chained(messages: list[_Message]) -> bool:
    """Whether every tool call has an id, and every result is the first that names the id of a call before it."""
    answered: dict[str, bool] = {}
    for message in messages:
        for call in message.tool_calls or ():
            named = call.get("id")
            if not isinstance(named, str) or not named:
                return False
            answered[named] = False
        if message.role == "tool":
            named = message.tool_call_id or ""
            if answered.get(named, True):
                return False
            answered[named] = True
    return True


def _as_it_is(message: _Message) -> bool:
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


def _cut(messages: list[_Message]) -> int:
    """How many of a whole conversation's messages are the prompt (see ``formats.base.split_answer``)."""
    if messages[-1].role != "assistant":
        return len(messages)
    asked = [number for number, message in enumerate(messages, 1) if message.role == "user"]
    return asked[-1] if asked else len(messages)


def judged(trace: Trace, config: SanitizeConfig, format: str, *, exact: bool = True) -> Judged:
    """A record judged by the full rules; see ``Judge`` for ``exact``."""
    count = tokens.count(trace) if exact or tokens.most(trace) > config.max_tokens else 0
    return Judged(
        format,
        verdict(trace, config, count),
        digest(trace),
        trace.span_id,
        trace.session_id,
        clean_text(last_user_text(trace.messages))[:PREVIEW],
        count,
        user_turns(trace),
        trace.split,
        dumps(trace),
    )


def extras_of(sample: Iterable[Any]) -> list[str]:
    """Keys of the sampled (decoded) lines that are neither of our own form nor of a chat row: mostly item fields."""
    names = dict.fromkeys(name for line in sample if isinstance(line, dict) for name in line)
    return [name for name in names if name not in _NEVER_MORE and not _NO_NAME(name)][:_EXTRAS]

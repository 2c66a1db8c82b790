"""The floor: msgspec decodes the lines into types and nothing else is done."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Function(msgspec.Struct):
    name: str
    arguments: str


class Call(msgspec.Struct):
    id: str
    function: Function


class Message(msgspec.Struct):
    role: str
    content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Input(msgspec.Struct):
    messages: list[Message]


class Record(msgspec.Struct):
    input: Input
    span_id: str
    reference_answer: str | None = None


def decode(path: Path) -> dict[str, int]:
    """How many lines fit the types and how many do not."""
    decoder = msgspec.json.Decoder(Record)
    fits = others = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                decoder.decode(line)
                fits += 1
            except msgspec.DecodeError:
                others += 1
    return {"fits": fits, "others": others}

"""What is wrong on purpose in the sample dataset, in the ways that logs of real systems are wrong.

Each kind of damage is made from a good record and is meant to get exactly one verdict, named in ``CODES``. The missing
``missing_field`` cannot occur by itself: it depends on the fields that a user requires.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]

CODES = {
    "input_is_text": "invalid_data_structure",
    "input_is_list": "invalid_data_structure",
    "no_input": "missing_input",
    "no_messages": "missing_messages",
    "no_message_left": "empty_messages",
    "role_customer": "invalid_role",
    "role_missing": "invalid_role",
    "content_null": "missing_content",
    "content_absent": "missing_content",
    "ends_with_note": "last_not_user",
    "ends_with_tool": "last_not_user",
    "last_blank": "empty_user_message",
    "first_blank": "empty_user_message",
    "short": "user_message_too_short",
    "terminal_colours": "control_characters",
    "vertical_tab": "control_characters",
    "call_without_id": "missing_tool_call_id",
    "result_without_id": "missing_tool_call_id",
    "orphan_result": "orphan_tool_result",
    "reference_null": "reference_answer_null",
    "pasted_log": "exceeds_max_tokens",
    "same_span": "duplicate",
    "same_text": "duplicate",
    "nearly_same_text": "near_duplicate",
}

# Lines that end in the middle, as after a full disk: line number in the file, and the part of the next line they hold.
CUT_OFF = {211: 0.55, 402: 0.87}

LOG_LINES = 560  # about 30 tokens a line, well over the limit of 8000

ORDER = "LM-51877"
CALL_ID = "call_5d1e0c9a7b32"
LONG = 45  # words: in a shorter text one word more is already a different text


def broken(kind: str, record: Record, good: list[Record], rng: random.Random) -> Record:
    """``record`` damaged in the way ``kind`` says. ``good`` are the clean records before it, for copies of them."""
    if kind in COPIES:
        return COPIES[kind](record, good, rng)
    DAMAGE[kind](record, rng)
    return record


def _messages(record: Record) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = record["input"]["messages"]
    return messages


def _input_is_text(record: Record, _: random.Random) -> None:
    record["input"] = _messages(record)[-1]["content"]


def _input_is_list(record: Record, _: random.Random) -> None:
    record["input"] = _messages(record)


def _no_input(record: Record, _: random.Random) -> None:
    del record["input"]


def _no_messages(record: Record, _: random.Random) -> None:
    record["input"] = {"tools": []}


def _no_message_left(record: Record, _: random.Random) -> None:
    record["input"]["messages"] = []


def _role_customer(record: Record, _: random.Random) -> None:
    _messages(record)[-1]["role"] = "customer"


def _role_missing(record: Record, _: random.Random) -> None:
    del _messages(record)[-1]["role"]


def _content_null(record: Record, _: random.Random) -> None:
    _messages(record)[-1]["content"] = None


def _content_absent(record: Record, _: random.Random) -> None:
    first = {"role": "user", "content": "One of my two parcels went to the wrong place."}
    _messages(record)[-1:-1] = [first, {"role": "assistant"}]


def _ends_with_note(record: Record, _: random.Random) -> None:
    _messages(record).append({"role": "system", "content": "Conversation was handed to the evening shift."})


def _ends_with_tool(record: Record, _: random.Random) -> None:
    turns = _lookup('{"status": "shipped", "carrier": "Nordpost", "total": "31.70"}')
    number = re.search(r"\d{5}", _text(record))
    if number:
        turns[0]["tool_calls"][0]["function"]["arguments"] = f'{{"order_id": "LM-{number[0]}"}}'
    _messages(record).extend(turns)


def _first_blank(record: Record, _: random.Random) -> None:
    ask = {"role": "assistant", "content": "Your message was empty. What would you like to ask?"}
    _messages(record)[-1:-1] = [{"role": "user", "content": " "}, ask]


def _nothing(record: Record, _: random.Random) -> None:
    """The text itself is what is wrong."""


def _lookup(result: str) -> list[dict[str, Any]]:
    function = {"name": "lookup_order", "arguments": f'{{"order_id": "{ORDER}"}}'}
    return [
        {"role": "assistant", "content": "", "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": CALL_ID, "content": result},
    ]


def _call_without_id(record: Record, _: random.Random) -> None:
    turns = _lookup('{"status": "out for delivery", "eta": "today"}')
    del turns[0]["tool_calls"][0]["id"]
    del turns[1]["tool_call_id"]
    _before_last(record, f"Where is {ORDER} just now?", turns, "It is on the van and due today.")


def _result_without_id(record: Record, _: random.Random) -> None:
    turns = _lookup('{"status": "delivered", "total": "83.20"}')
    del turns[1]["tool_call_id"]
    _before_last(record, f"What did {ORDER} come to in the end?", turns, "The total of that order is 83.20.")


def _orphan_result(record: Record, _: random.Random) -> None:
    turns = _lookup('{"status": "return received"}')
    turns[1]["tool_call_id"] = "call_9e44b7c2f018"
    _before_last(record, f"Did the parcel for {ORDER} get to you?", turns, "Yes, it was received at the warehouse.")


def _before_last(record: Record, ask: str, turns: list[dict[str, Any]], reply: str) -> None:
    before = [{"role": "user", "content": ask}, *turns, {"role": "assistant", "content": reply}]
    _messages(record)[-1:-1] = before


def _reference_null(record: Record, _: random.Random) -> None:
    record["reference_answer"] = None


def _pasted_log(record: Record, rng: random.Random) -> None:
    events = [
        "radio: beacon lost on channel {a}, rssi -{b} dBm",
        "mesh: node 0x{a:02x}{b:02x} did not answer, try {c} of 5",
        "dhcp: lease renewed for 192.168.1.{b}, {a} min",
        "cloud: connection reset after {b} s, next try in {c} s",
        "zone {c}: temperature 1{c}.{a} C, humidity {b} %",
        "watchdog: task net late by {b} ms",
    ]
    lines = []
    second = 0
    for _ in range(LOG_LINES):
        second += rng.randint(2, 28)
        event = rng.choice(events).format(a=rng.randint(1, 13), b=rng.randint(41, 93), c=rng.randint(1, 5))
        lines.append(f"{second // 3600 + 1:02d}:{second // 60 % 60:02d}:{second % 60:02d} {event}")
    last = _messages(record)[-1]
    last["content"] = last["content"] + "\n\n" + "\n".join(lines)


def _same_span(record: Record, good: list[Record], rng: random.Random) -> Record:
    """The same span written twice by an exporter that was restarted: a later time stamp, nothing else."""
    copied = copy.deepcopy(rng.choice(good))
    copied["metadata"]["received_at"] = record["metadata"]["received_at"]
    return copied


def _same_text(record: Record, good: list[Record], rng: random.Random) -> Record:
    """The same conversation sent again through another door, in other case and spacing."""
    copied = copy.deepcopy(rng.choice([one for one in good if len(_text(one).split()) > 12 and _is_single(one)]))
    last = _messages(copied)[-1]
    if rng.random() < 0.5:
        last["content"] = re.sub(r"\s+", "  ", last["content"]).upper()
    else:
        last["content"] = re.sub(r" ", "\n", last["content"], count=3).lower() + "\n"
    return _as_new(copied, record)


def _nearly_same_text(record: Record, good: list[Record], rng: random.Random) -> Record:
    """The same long request sent again a little later with a few words more."""
    copied = copy.deepcopy(rng.choice([one for one in good if len(_text(one).split()) > LONG and _is_single(one)]))
    last = _messages(copied)[-1]
    last["content"] = f"{last['content']} {rng.choice(['Second try.', 'Sent again.', 'Please!'])}"
    return _as_new(copied, record)


def _as_new(copied: Record, record: Record) -> Record:
    copied["span_id"] = record["span_id"]
    copied["metadata"]["received_at"] = record["metadata"]["received_at"]
    copied["metadata"]["channel"] = "form"
    return copied


def _is_single(record: Record) -> bool:
    return "tools" not in record["input"] and _messages(record)[-2]["content"] == "sales"


def _text(record: Record) -> str:
    return str(_messages(record)[-1]["content"])


DAMAGE: dict[str, Callable[[Record, random.Random], None]] = {
    "input_is_text": _input_is_text,
    "input_is_list": _input_is_list,
    "no_input": _no_input,
    "no_messages": _no_messages,
    "no_message_left": _no_message_left,
    "role_customer": _role_customer,
    "role_missing": _role_missing,
    "content_null": _content_null,
    "content_absent": _content_absent,
    "ends_with_note": _ends_with_note,
    "ends_with_tool": _ends_with_tool,
    "last_blank": _nothing,
    "first_blank": _first_blank,
    "short": _nothing,
    "terminal_colours": _nothing,
    "vertical_tab": _nothing,
    "call_without_id": _call_without_id,
    "result_without_id": _result_without_id,
    "orphan_result": _orphan_result,
    "reference_null": _reference_null,
    "pasted_log": _pasted_log,
}

COPIES: dict[str, Callable[[Record, list[Record], random.Random], Record]] = {
    "same_span": _same_span,
    "same_text": _same_text,
    "nearly_same_text": _nearly_same_text,
}

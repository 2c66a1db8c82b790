"""Makes the traces that the benchmarks run on: English conversations at a help desk, as an export has them.

The customers' sentences are those that were written for the sample dataset, shuffled anew; the desk's are in
``texts.toml``. About 3.3 kB a record (120,000 make 400 MB), 80 % with one of six system prompts, 30 % with tools, some
with something sensitive in them. Of 100 records 3 repeat an earlier one exactly (half of these with other case and
white space), 3 repeat one with some words changed, and 5 are broken in one of the ways of ``BROKEN``. The same seed
gives the same bytes.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from datasets_app.sample import LABELS
from datasets_app.sample.generate import load

SEED = 20261
REPEATED, NEAR, WRONG = 0.03, 0.03, 0.05
REMEMBERED = 4000  # valid records that later ones may repeat
HERE = tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MODELS, CHANNELS, TIERS = ("gpt-4o", "gpt-4o-mini", "o4-mini"), ("email", "form", "chat", "app"), ("basic", "plus")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

#: How a record is broken, and the verdict it must get; None where the line can't be read at all.
BROKEN: dict[str, str | None] = {
    "cut_off": None,
    "comma_missing": None,
    "payload_is_text": "invalid_data_structure",
    "messages_are_an_object": "invalid_data_structure",
    "content_is_a_number": "invalid_data_structure",
    "no_input": "missing_input",
    "no_messages": "missing_messages",
    "no_message": "empty_messages",
    "role_unknown": "invalid_role",
    "answer_without_content": "missing_content",
    "ends_with_the_assistant": "last_not_user",
    "blank_request": "empty_user_message",
    "short_request": "user_message_too_short",
    "control_character": "control_characters",
    "call_without_id": "missing_tool_call_id",
    "result_without_call": "orphan_tool_result",
    "reference_is_null": "reference_answer_null",
}


@dataclass(frozen=True, slots=True)
class Made:
    """One line without its newline. ``kind`` is ``valid``, ``duplicate``, ``near_duplicate`` or a key of ``BROKEN``;
    ``of`` the number of the record repeated."""

    line: bytes
    kind: str
    of: int | None = None


class _Blanks(dict[str, str]):
    """What one record puts into the blanks of its texts, made when first asked for."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def __missing__(self, name: str) -> str:
        self[name] = value = self._made(name)
        return value

    def _made(self, name: str) -> str:
        rng = self.rng
        match name:
            case "order":
                return f"LM-{rng.randrange(10**5, 10**6)}"
            case "date" | "soon":
                return f"{rng.randrange(1, 29)} {rng.choice(MONTHS)}"
            case "weekday":
                return rng.choice(DAYS)
            case "amount":
                return f"{rng.randrange(3, 480)}.{rng.choice(('00', '50', '90', '95', '99'))}"
            case "name":
                return rng.choice(STYLE["names"]).split()[0].strip(".").lower()
            case "two":
                return str(rng.randrange(10, 99))
            case "four":
                return str(rng.randrange(1000, 9999))
            case "token36":
                return "".join(rng.choices(LETTERS, k=36))
            case "upper16":
                return "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
        return str(rng.randrange(10**6, 10**7))  # serial


def _sentences(label: str) -> list[str]:
    """All sentences customers say under a label, from whole requests and from conversations."""
    found = load(label)
    texts = [*found["texts"], *(turn for item in found["conversations"] for turn in item["turns"][::2])]
    texts += [text for item in found["lookups"] for text in (item["ask"], item["last"])]
    split = [sentence for text in texts for sentence in re.split(r"(?<=[.!?])\s+", text)]
    return [sentence for sentence in dict.fromkeys(split) if len(sentence) > 12 and "label}" not in sentence]


STYLE = load("style")
SENTENCES = {label: _sentences(label) for label in LABELS}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": tool["name"],
            "description": tool["description"],
            "parameters": {
                "type": "object",
                "properties": {name: {"type": "string", "description": f"The {name}."} for name in tool["arguments"]},
                "required": tool["arguments"][:1],
            },
        },
    }
    for tool in HERE["tools"]
]


class Writer:
    """Writes one record after another; remembers some valid ones to repeat."""

    def __init__(self, seed: int = SEED) -> None:
        self.rng = random.Random(seed)
        self.number = self.broken = 0
        self.remembered: list[tuple[int, bytes]] = []

    def next(self) -> Made:
        rng, chance = self.rng, self.rng.random()
        if self.remembered and chance < REPEATED + NEAR:
            of, line = rng.choice(self.remembered)
            record = self._renewed(msgspec.json.decode(line))
            near = chance < NEAR
            (self._reworded if near else self._retyped)(record)
            made = Made(self._line(record), "near_duplicate" if near else "duplicate", of)
        elif chance > 1 - WRONG:
            made = self._broken(tuple(BROKEN)[self.broken % len(BROKEN)])
            self.broken += 1
        else:
            made = Made(self._line(self._record()), "valid")
            if len(self.remembered) < REMEMBERED:
                self.remembered.append((self.number, made.line))
            elif rng.random() < 0.1:
                self.remembered[rng.randrange(REMEMBERED)] = (self.number, made.line)
        self.number += 1
        return made

    def _line(self, record: dict[str, Any]) -> bytes:
        """Half of all exports are compact UTF-8, the other half what Python's json writes by itself."""
        return msgspec.json.encode(record) if self.rng.random() < 0.5 else json.dumps(record).encode()

    def _record(self) -> dict[str, Any]:
        rng, blanks = self.rng, _Blanks(self.rng)
        label = rng.choices(LABELS, (22, 27, 18, 13, 14, 6))[0]
        messages: list[dict[str, Any]] = []
        if rng.random() < 0.8:
            messages.append({"role": "system", "content": rng.choice(HERE["systems"])})
        tools = rng.sample(TOOLS, rng.randint(2, 5)) if rng.random() < 0.3 else []
        turns = min(1 + int(rng.expovariate(1 / 2.0)), 9)
        for turn in range(turns):
            messages.append({"role": "user", "content": self._request(label, blanks, first=turn == 0)})
            if turn == turns - 1:
                break
            if tools and rng.random() < 0.6:
                messages += self._tool_chain(tools, blanks)
            messages.append({"role": "assistant", "content": self._answer(blanks)})
        prompt: dict[str, Any] = {"messages": messages}
        if tools:
            prompt |= {"tools": tools, "tool_choice": "auto"}
        answer = {"role": "assistant", "content": self._answer(blanks)}
        return self._renewed(
            {
                "input": prompt,
                "output": {"messages": [answer], "tool_calls": [], "finish_reason": "stop"},
                "reference_answer": label,
                "metadata": {
                    "model": rng.choice(MODELS),
                    "channel": rng.choice(CHANNELS),
                    "customer_tier": rng.choice(TIERS),
                    "latency_ms": rng.randrange(300, 9000),
                    "tokens": {"prompt": rng.randrange(200, 4000), "completion": rng.randrange(20, 400)},
                },
            }
        )

    def _renewed(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with ids and times of its own."""
        record["span_id"] = f"{self.rng.getrandbits(64):016x}"
        record["started_at"] = 1767225600 + self.number * 7
        return record

    def _request(self, label: str, blanks: _Blanks, *, first: bool) -> str:
        rng = self.rng
        said = rng.choices(SENTENCES[label], k=rng.randint(2, 7))
        said.insert(rng.randrange(len(said)), rng.choice(HERE["details"]))
        if rng.random() < 0.03:
            said.append(rng.choice(HERE["sensitive"]))
        text = " ".join(said)
        if first and rng.random() < 0.5:
            text = f"{rng.choice(STYLE['greetings'])}\n\n{text}\n\n{rng.choice(STYLE['sign_offs'])}\n"
            text += rng.choice(STYLE["names"])
        return text.format_map(blanks)

    def _answer(self, blanks: _Blanks) -> str:
        said = self.rng.sample(HERE["answers"], self.rng.randint(3, 9))
        return " ".join(said).format_map(blanks)

    def _tool_chain(self, tools: list[Any], blanks: _Blanks) -> list[dict[str, Any]]:
        rng, calls, results = self.rng, [], []
        for _ in range(rng.choice((1, 1, 1, 2))):
            function = rng.choice(tools)["function"]
            given = dict.fromkeys(function["parameters"]["required"], blanks["order"]) | {"limit": 5}
            call_id = f"call_{rng.getrandbits(96):024x}"
            called = {"name": function["name"], "arguments": json.dumps(given)}
            calls.append({"id": call_id, "type": "function", "function": called})
            rows = [
                {"at": f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}", "state": rng.choice(DAYS), "v": rng.random()}
                for _ in range(rng.randint(1, 6))
            ]
            content = json.dumps({"status": "ok", "order": blanks["order"], "rows": rows})
            results.append({"role": "tool", "tool_call_id": call_id, "content": content})
        return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]

    def _retyped(self, record: dict[str, Any]) -> None:
        """Half of the repeated ones were typed again: the same words with other case and white space."""
        if self.rng.random() < 0.5:
            last = record["input"]["messages"][-1]
            last["content"] = last["content"].replace(" ", "  ", 3).swapcase()

    def _reworded(self, record: dict[str, Any]) -> None:
        """From one word to a tenth of the words of the last request changed."""
        last, rng = record["input"]["messages"][-1], self.rng
        words = last["content"].split(" ")
        for _ in range(rng.randint(1, 1 + len(words) // 10)):
            words[rng.randrange(len(words))] = rng.choice(("really", "today", "again", "please", "now", "just"))
        last["content"] = " ".join(words)

    def _broken(self, kind: str) -> Made:
        record, rng = self._record(), self.rng
        if kind in ("cut_off", "comma_missing"):
            line = self._line(record)
            broken = (
                line[: len(line) // 2] if kind == "cut_off" else re.sub(rb',(\s*"metadata")', rb"\1", line, count=1)
            )
            return Made(broken, kind)
        prompt = record["input"]
        messages = prompt["messages"]
        match kind:
            case "payload_is_text":
                record = {"data": "the payload was not logged", **{k: record[k] for k in ("span_id", "metadata")}}
            case "messages_are_an_object":
                prompt["messages"] = {"0": messages[0]}
            case "content_is_a_number":
                messages[-1]["content"] = 12345
            case "no_input":
                del record["input"]
            case "no_messages":
                del prompt["messages"]
            case "no_message":
                messages.clear()
            case "role_unknown":
                rng.choice(messages)["role"] = rng.choice(("bot", "human", None))
            case "answer_without_content":
                messages.insert(len(messages) - 1, {"role": "assistant", "content": None})
            case "ends_with_the_assistant":
                messages.append({"role": "assistant", "content": "I'll look into it."})
            case "blank_request":
                messages[-1]["content"] = rng.choice(("", "   "))
            case "short_request":
                messages[-1]["content"] = rng.choice(("ok", "thanks", "and now?"))
            case "control_character":
                messages[-1]["content"] += "\x0b"
            case "call_without_id":
                called = {"type": "function", "function": {"name": "get_order", "arguments": "{}"}}
                messages.insert(len(messages) - 1, {"role": "assistant", "content": None, "tool_calls": [called]})
            case "result_without_call":
                stray = {"role": "tool", "tool_call_id": f"call_{rng.getrandbits(96):024x}", "content": "{}"}
                messages.insert(len(messages) - 1, stray)
            case "reference_is_null":
                record["reference_answer"] = None
        return Made(self._line(record), kind)


def made(count: int, seed: int = SEED) -> Iterator[Made]:
    """``count`` records, labelled."""
    writer = Writer(seed)
    return (writer.next() for _ in range(count))


def file_of(count: int, folder: Path, seed: int = SEED) -> Path:
    """A JSONL file of ``count`` records, made once for each state of this module and its texts."""
    sources = (Path(__file__), Path(__file__).with_name("texts.toml"))
    state = blake2b(b"".join(source.read_bytes() for source in sources), digest_size=4).hexdigest()
    path = folder / f"traces-{state}-{seed}-{count}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as out:
            out.writelines(item.line + b"\n" for item in made(count, seed))
        partial.replace(path)
    return path

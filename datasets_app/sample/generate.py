"""Makes the sample dataset: requests to the help desk of Larkmoor, an invented shop for connected household goods.

The texts under ``texts/`` were written for this project and are, like its code, under the Apache License 2.0.

Task: route the conversation to one of six labels. ``reference_answer`` is the label a person gave. Every prompt is the
system prompt, two example turns per label (the same in all records), and the conversation, whose last message is the
customer's. Each hand-written request is used once, with its own order number, dates, greeting, aside, sign-off and now
and then a slip of the keyboard, so that no two records are near copies.

``support_traces.jsonl``, 798 clean records:

========== ====== ======= ============ =======
label      single several with look-up records
========== ====== ======= ============ =======
shipping      174      26           18     218  (27 %, clearly the most)
billing       114      14            8     136
returns       114      14            8     136
account       113      13            3     129
technical     114      14            5     133
sales          37       7            2      46  (6 %, clearly too few)
========== ====== ======= ============ =======

"Several" are conversations in which the desk asks back (11 %); "with look-up" those in which it calls ``lookup_order``
first (6 %). ``output`` is what the model in production said: about three quarters the right word alone, the rest the
right word in a sentence or a wrong label. Beside these stand 5 % of broken lines, at least one for every code
that sanitizing knows (``dirt.py``), and two lines cut off in the middle.

``support_small.jsonl`` holds ten clean records of each label from the same texts.

Write both files again with ``python -m datasets_app.sample.generate``.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from datasets_app.sample import EXAMPLE_TURNS, LABELS, SAMPLE_PATH, SMALL_PATH, SYSTEM_PROMPT, dirt

SEED = 7
TEXTS = Path(__file__).with_name("texts")
SALES_SINGLES = 37  # of the 80 written: the label that coverage should find short
CLEAN_START = 20  # this many good records first, so that a preview shows what the data is like
FIRST_RECEIVED = datetime(2026, 5, 4, 6, 52, tzinfo=UTC)
MEAN_GAP_MINUTES = 95
CHANNELS = ("email", "form", "chat", "app")
CHANNEL_WEIGHTS = (38, 24, 24, 14)
TIERS = ("basic", "plus", "business")
CONFUSED_WITH = {
    "billing": "returns",
    "returns": "billing",
    "shipping": "returns",
    "account": "technical",
    "technical": "account",
    "sales": "technical",
}
GENERAL = re.compile(r"(how|what|which|where|why|does|do|is|are|can|may)\b", re.IGNORECASE)  # needs no order number
LOOKUP_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "lookup_order",
        "description": "Look up an order by its number.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "Order number, for example LM-48213."}},
            "required": ["order_id"],
        },
    },
}


@dataclass(frozen=True)
class Draft:
    """One conversation before its blanks are filled: a single text, several turns, a look-up, or a broken line."""

    kind: str  # "single", "several", "lookup", or a kind of ``dirt``
    label: str
    text: str = ""
    turns: tuple[str, ...] = ()
    lookup: dict[str, Any] = field(default_factory=dict)


def load(name: str) -> dict[str, Any]:
    """The parsed contents of ``texts/<name>.toml``."""
    return tomllib.loads((TEXTS / f"{name}.toml").read_text(encoding="utf-8"))


def drafts_of(label: str) -> list[Draft]:
    """All conversations written for ``label``, in the order of the file."""
    data = load(label)
    singles = [Draft("single", label, text=text) for text in data["texts"]]
    several = [Draft("several", label, turns=tuple(item["turns"])) for item in data["conversations"]]
    lookups = [Draft("lookup", label, lookup=item) for item in data["lookups"]]
    return singles + several + lookups


class Writer:
    """Fills drafts in the order they are received. One random stream, so the same seed gives the same records."""

    def __init__(self, seed: int, name: str) -> None:
        self.rng = random.Random(f"{name}/{seed}")
        self.name = f"{name}/{seed}"
        self.style = load("style")
        self.now = FIRST_RECEIVED
        self.count = 0
        self.used_orders: set[str] = set()

    def record(self, draft: Draft) -> dict[str, Any]:
        """The next trace in canonical form, for any kind of draft that is not broken."""
        self.count += 1
        self.now += timedelta(seconds=int(self.rng.expovariate(1 / (MEAN_GAP_MINUTES * 60))) + 20)
        if self.now.hour < 5 and self.rng.random() < 0.8:
            self.now += timedelta(hours=5)  # most people sleep
        blanks = self.blanks()
        channel = self.channel(draft)
        if draft.kind == "lookup":
            conversation = self.lookup_turns(draft.lookup, blanks)
        elif draft.kind == "several":
            conversation = self.several_turns(draft.turns, blanks)
        else:
            conversation = [message("user", self.dressed(draft, channel, blanks))]
        payload: dict[str, Any] = {"messages": prefix() + conversation}
        if draft.kind == "lookup":
            payload["tools"] = [LOOKUP_TOOL]
        return {
            "input": payload,
            "output": {
                "messages": [message("assistant", self.production_answer(draft.label))],
                "finish_reason": "stop",
            },
            "reference_answer": draft.label,
            "span_id": self.span_id(),
            "metadata": {
                "label": draft.label,
                "channel": channel,
                "customer_tier": self.tier(json.dumps(conversation)),
                "received_at": self.now.isoformat().replace("+00:00", "Z"),
            },
        }

    def span_id(self) -> str:
        """16 hexadecimal digits, as an OpenTelemetry span has."""
        return hashlib.sha256(f"{self.name}/{self.count}".encode()).hexdigest()[:16]

    def blanks(self) -> dict[str, str]:
        """What one record puts into the blanks of its texts; dates lie around the time it was received."""
        order = ""
        while not order or order in self.used_orders:
            order = f"LM-{self.rng.randint(30211, 78996)}"
        self.used_orders.add(order)
        past = self.now - timedelta(days=self.rng.randint(4, 17))
        soon = self.now + timedelta(days=self.rng.randint(5, 19))
        shape = self.rng.choice(["{d} {m}", "{d} {m}", "{m} {d}", "the {d}{th} of {m}", "{d}/{n}"])
        return {
            "order": order,
            "written_order": self.rng.choice(
                [order] * 5 + [order.replace("-", ""), order.replace("-", " "), order[3:]]
            ),
            "date": day(past, shape),
            "soon": day(soon, shape),
            "date_iso": past.date().isoformat(),
            "soon_iso": soon.date().isoformat(),
            "weekday": self.rng.choice(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]),
        }

    def channel(self, draft: Draft) -> str:
        if draft.kind in {"several", "lookup"}:
            return self.rng.choice(["chat", "chat", "app"])
        if draft.text[:1].islower():  # written in a hurry: nobody greets and signs that
            return self.rng.choice(["chat", "app", "form"])
        return self.rng.choices(CHANNELS, CHANNEL_WEIGHTS)[0]

    def tier(self, text: str) -> str:
        if re.search(r"\b(our|we) (company|office|school|accountant|purchas|hotel)|VAT|invoice|a quote", text):
            return "business"
        if re.search(r"\bPlus\b|filter plan", text):
            return "plus"
        return self.rng.choices(TIERS, (62, 30, 8))[0]

    def dressed(self, draft: Draft, channel: str, blanks: dict[str, str]) -> str:
        """The request with what people put around it, which depends on how it was sent."""
        rng, style = self.rng, self.style
        body = fill(draft.text, blanks)
        if draft.kind != "single":
            return body  # what is wrong with a broken line should not be hidden in a greeting
        no_order = (
            "{order}" in draft.text or draft.label in {"sales", "account", "technical"} or GENERAL.match(draft.text)
        )
        if not no_order and rng.random() < 0.2:
            body = f"{body} {fill(rng.choice(style['order_notes']), blanks)}"
        if draft.text[:1].islower():
            return body
        if channel in {"email", "form"} and rng.random() < 0.12:
            body = f"{body} {rng.choice(style['asides'])}"
        if channel in {"app", "chat"} and rng.random() < 0.3:
            body = with_typo(body, style["typos"], rng)
        if channel == "email":
            greeted = re.match(r"(hi|hello|good|dear|buenos|hey)\b", body, re.IGNORECASE)
            opening = "" if greeted or rng.random() < 0.25 else f"{rng.choice(style['greetings'])}\n\n"
            closing = (
                f"\n\n{rng.choice(style['sign_offs'])}\n{rng.choice(style['names'])}" if rng.random() < 0.6 else ""
            )
            return f"{opening}{body}{closing}"
        if rng.random() < 0.2:
            body = f"{body} {rng.choice(style['thanks'])}"
        return body

    def several_turns(self, turns: tuple[str, ...], blanks: dict[str, str]) -> list[dict[str, Any]]:
        roles = ("user", "assistant")
        return [message(roles[number % 2], fill(text, blanks)) for number, text in enumerate(turns)]

    def lookup_turns(self, item: dict[str, Any], blanks: dict[str, str]) -> list[dict[str, Any]]:
        call_id = "call_" + hashlib.sha256(f"call/{self.name}/{self.count}".encode()).hexdigest()[:12]
        arguments = json.dumps({"order_id": blanks["order"]})
        call = {"id": call_id, "type": "function", "function": {"name": "lookup_order", "arguments": arguments}}
        iso = {**blanks, "date": blanks["date_iso"], "soon": blanks["soon_iso"]}
        found = {key: fill(value, iso) if isinstance(value, str) else value for key, value in item["result"].items()}
        result = json.dumps({"order_id": blanks["order"], **found})
        return [
            message("user", fill(item["ask"], blanks)),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": result},
            message("assistant", fill(item["reply"], blanks)),
            message("user", fill(item["last"], blanks)),
        ]

    def production_answer(self, label: str) -> str:
        """What the model in production said: mostly right, sometimes wordy, sometimes wrong."""
        luck = self.rng.random()
        if luck < 0.74:
            return label
        if luck < 0.87:
            return str(self.rng.choice(self.style["wordy_answers"])).format(label=label, Label=label.capitalize())
        if luck < 0.97:
            return CONFUSED_WITH[label]
        return self.rng.choice([other for other in LABELS if other != label])


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def prefix() -> list[dict[str, Any]]:
    """The system prompt and the example turns that every record starts with."""
    turns = [message("system", SYSTEM_PROMPT)]
    for text, label in EXAMPLE_TURNS:
        turns += [message("user", text), message("assistant", label)]
    return turns


def fill(text: str, blanks: dict[str, str]) -> str:
    """``text`` with its blanks filled. A plain replace: the texts may hold braces of their own."""
    for name, value in {**blanks, "order": blanks["written_order"]}.items():
        text = text.replace("{" + name + "}", value)
    return text


def day(when: datetime, shape: str) -> str:
    ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}.get(when.day, "th")
    return shape.format(d=when.day, m=when.strftime("%B"), n=when.month, th=ending)


def with_typo(text: str, typos: dict[str, str], rng: random.Random) -> str:
    """``text`` with one common slip, where it holds a word that people slip on."""
    found = [word for word in typos if re.search(rf"\b{word}\b", text)]
    if not found:
        return text
    word = rng.choice(found)
    return re.sub(rf"\b{word}\b", typos[word], text, count=1)


def generate(seed: int = SEED) -> list[dict[str, Any]]:
    """All records of ``support_traces.jsonl`` in the order of the file, broken ones included, cut-off lines not."""
    return [record for record, _ in generate_with_codes(seed)]


def generate_with_codes(seed: int = SEED) -> list[tuple[dict[str, Any], str]]:
    """The records of :func:`generate`, each with the first sanitize code it was made to get, '' where it is clean."""
    rng = random.Random(seed)
    clean: list[Draft] = []
    for label in LABELS:
        drafts = drafts_of(label)
        if label == "sales":
            singles = [draft for draft in drafts if draft.kind == "single"]
            drafts = rng.sample(singles, SALES_SINGLES) + [draft for draft in drafts if draft.kind != "single"]
        clean += drafts
    rng.shuffle(clean)
    broken = [Draft(item["kind"], item["label"], text=item["text"]) for item in load("dirt")["items"]]
    rng.shuffle(broken)
    order = clean[:CLEAN_START]
    rest = clean[CLEAN_START:]
    places = set(rng.sample(range(len(rest) // 2, len(rest) + len(broken)), len(broken)))
    for place in range(len(rest) + len(broken)):
        order.append(broken.pop() if place in places else rest.pop(0))
    writer = Writer(seed, "traces")
    done: list[tuple[dict[str, Any], str]] = []
    for draft in order:
        record = writer.record(draft)
        if draft.kind in dirt.CODES:
            good = [earlier for earlier, code in done if not code]
            record = dirt.broken(draft.kind, record, good, writer.rng)
        done.append((record, dirt.CODES.get(draft.kind, "")))
    return done


def generate_small(seed: int = SEED) -> list[dict[str, Any]]:
    """The 60 records of ``support_small.jsonl``: per label eight single requests, one of several turns, one look-up."""
    rng = random.Random(f"small/{seed}")
    chosen: list[Draft] = []
    for label in LABELS:
        drafts = drafts_of(label)
        for kind, count in (("single", 8), ("several", 1), ("lookup", 1)):
            chosen += rng.sample([draft for draft in drafts if draft.kind == kind], count)
    rng.shuffle(chosen)
    writer = Writer(seed, "small")
    return [writer.record(draft) for draft in chosen]


def as_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def expected_codes(seed: int = SEED) -> dict[str, int]:
    """How many records of the file were made to get each sanitize code as their verdict."""
    return dict(Counter(code for _, code in generate_with_codes(seed) if code))


def sample_lines(seed: int = SEED) -> list[str]:
    """The lines of ``support_traces.jsonl``, with the two that were cut off while being written."""
    lines = [as_line(record) for record in generate(seed)]
    for number, part in dirt.CUT_OFF.items():
        lines.insert(number - 1, lines[number - 1][: int(len(lines[number - 1]) * part)])
    return lines


def write_files(seed: int = SEED) -> None:
    """Write both files beside this module."""
    SAMPLE_PATH.write_text("".join(f"{line}\n" for line in sample_lines(seed)), encoding="utf-8")
    small = [as_line(record) for record in generate_small(seed)]
    SMALL_PATH.write_text("".join(f"{line}\n" for line in small), encoding="utf-8")


if __name__ == "__main__":
    write_files()

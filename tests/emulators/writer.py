"""A loopback server of chat completions that writes user messages when asked to: well, or in one of many bad ways.

``with running("well") as model:`` gives ``url``, the requests in ``asked`` (their DATA as objects) and
``most_at_once``, how many it was answering at the same time.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
MODEL = "writer-1"

_WHO = ["My mother", "A colleague", "Our office", "My neighbour", "I", "The school", "My brother", "Our shop"]
_WHEN = ["since Monday", "for two weeks", "again today", "after the update", "before my trip", "at the weekend"]
_ASK = [
    "What should I do now?", "Who takes care of it?", "Can somebody look into it?", "Please sort it out.",
    "How long will it take?", "Is that really how it works?", "Tell me what you need from me.", "I need it by Friday.",
]  # fmt: skip


def data_of(body: Json) -> Json:
    """What stands under DATA in a request."""
    return json.loads(body["messages"][-1]["content"].partition("DATA\n")[2])


def number_of(body: Json) -> int:
    """How many messages are asked for."""
    text = body["messages"][-1]["content"]
    return next(int(word) for word in text.split() if word.isdecimal())


def item(body: Json, text: str, dice: random.Random) -> Json:
    data = data_of(body)
    found: Json = {"message": text}
    if "labels" in data:
        found["reference_answer"] = data["labels"][0]
    if "tools" in data:
        found["tools"] = [dice.choice(data["tools"])["name"]]
    return found


def message(body: Json, dice: random.Random) -> str:
    """A new one on the topic: two halves of two examples, or keywords, with facts of its own."""
    data = data_of(body)
    examples = [text.split() for text in data.get("examples", [])] or [data["keywords"] or [data["topic"]]]
    first, second = dice.choice(examples), dice.choice(examples)
    halves = [*first[: max(3, len(first) // 2)], "and", *second[len(second) // 2 :]]
    fact = f"{dice.choice(_WHO)} had order {dice.randrange(10**6, 10**7)} {dice.choice(_WHEN)}."
    return f"{' '.join(halves)[:300]}. {fact} It cost {dice.randrange(3, 900)} euros. {dice.choice(_ASK)}"


def _items(body: Json, write: Callable[[Json, random.Random], str], dice: random.Random) -> str:
    return json.dumps({"messages": [item(body, write(body, dice), dice) for _ in range(number_of(body))]})


def well(body: Json, dice: random.Random) -> str:
    return _items(body, message, dice)


def half_well(body: Json, dice: random.Random) -> str:
    """Every second message is far too short."""
    texts = [message(body, dice) if at % 2 else "Help!" for at in range(number_of(body))]
    return json.dumps({"messages": [item(body, text, dice) for text in texts]})


def off_topic(body: Json, dice: random.Random) -> str:
    cooking = ["soup", "bread", "pasta", "stew", "cake", "salad", "omelette", "risotto", "curry", "pie"]
    return _items(
        body,
        lambda _, d: (
            f"How many minutes must the {d.choice(cooking)} with {d.choice(cooking)} number {d.randrange(10**6)} "
            f"simmer before I add salt, pepper and {d.randrange(9)} onions?"
        ),
        dice,
    )


def too_short(body: Json, dice: random.Random) -> str:
    return _items(body, lambda _, d: "Hi there", dice)


def malformed(body: Json, dice: random.Random) -> str:
    return '{"messages": [{"message": "Where is my par'


def cut_off(body: Json, dice: random.Random) -> str:
    """The answer ends in the middle of its last message."""
    return well(body, dice)[:-30]


def in_words(body: Json, dice: random.Random) -> str:
    """JSON in a fence between words, as models write it."""
    return f"Sure! Here they are:\n```json\n{well(body, dice)}\n```\nAnything else?"


def refusing(body: Json, dice: random.Random) -> str:
    return _items(body, lambda _, d: "I'm sorry, but I can't help with creating such messages.", dice)


def copying(body: Json, dice: random.Random) -> str:
    """The examples as they are, and nearly as they are."""
    examples = data_of(body).get("examples") or ["Where is the parcel that I ordered last week from you?"]
    texts = [examples[at % len(examples)] + (" Thanks" if at % 2 else "") for at in range(number_of(body))]
    return json.dumps({"messages": [item(body, text, dice) for text in texts]})


def repeating(body: Json, dice: random.Random) -> str:
    text = "My parcel with the blue lamp has not come, and the tracking page shows nothing at all since Tuesday."
    return _items(body, lambda _, d: text, dice)


def artefacts(body: Json, dice: random.Random) -> str:
    texts = [
        "As an AI language model I would ask where the parcel is.",
        "Hello, I am [YOUR NAME] and my order is not here yet.",
        "Example 3: Where is the parcel that I ordered last week?",
        "Dear {{company}}, my lamp is broken and I want a new one.",
        "TODO write about a parcel that did not arrive in time.",
    ]
    found = [texts[at % len(texts)] for at in range(number_of(body))]
    return json.dumps({"messages": [item(body, text, dice) for text in found]})


WAYS: dict[str, Callable[[Json, random.Random], str]] = {
    way.__name__: way
    for way in (
        well, half_well, off_topic, too_short, malformed, cut_off, in_words, refusing, copying, repeating, artefacts,
    )
}  # fmt: skip


class WriterModel:
    """``faults``: statuses that the next chats are answered with instead; ``seconds``: how long each answer takes;
    ``takes_schema``: False refuses a request with a schema."""

    def __init__(self, way: str, *, seconds: float = 0.0, takes_schema: bool = True) -> None:
        self.way, self.seconds, self.takes_schema = way, seconds, takes_schema
        self.faults: list[int] = []
        self.asked: list[Json] = []
        self.schemas = 0
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with model._lock:
                    model._now += 1
                    model.most_at_once = max(model.most_at_once, model._now)
                try:
                    self._send(*model.answer(body))
                finally:
                    with model._lock:
                        model._now -= 1

            def _send(self, status: int, content: Json) -> None:
                sent = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                if status == 429:
                    self.send_header("Retry-After", "0.05")
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/v1"

    def answer(self, body: Json) -> tuple[int, Json]:
        with self._lock:
            fault = self.faults.pop(0) if self.faults else 0
        if fault:
            return fault, {"error": {"message": f"Answered with {fault} on purpose."}}
        if "response_format" in body and not self.takes_schema:
            return 400, {"error": {"message": "response_format is not supported here."}}
        if "DATA" not in body["messages"][-1]["content"]:
            return 200, _reply("Yes.")
        with self._lock:
            self.asked.append({"number": number_of(body), **data_of(body)})
            self.schemas += "response_format" in body
            dice = random.Random(len(self.asked))
        time.sleep(self.seconds)
        return 200, _reply(WAYS[self.way](body, dice))

    def start(self) -> WriterModel:
        self._thread.start()
        return self

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _reply(text: str) -> Json:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 300, "completion_tokens": 200, "total_tokens": 500}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}


@contextmanager
def running(way: str = "well", **options: Any) -> Iterator[WriterModel]:
    model = WriterModel(way, **options).start()
    try:
        yield model
    finally:
        model.close()

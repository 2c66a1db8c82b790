"""A small softmax policy that really learns, so that reward curves are earned."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graders_app.core.evaluate import make_sample

Json = dict[str, Any]

#: Answers a policy chooses from, at most; longer texts are no answers it could hit upon.
MOST_REPLIES = 64
LONGEST = 100


@dataclass(frozen=True)
class Reply:
    """An answer: text, tool calls as (function, arguments as JSON), or both."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()

    def tool_calls(self) -> list[Json]:
        return [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(self.calls, 1)
        ]

    def sample(self) -> Json:
        """What a grader gets."""
        return make_sample(self.text, self.tool_calls())


#: How a prompt lists the answers it wants, and how strongly a word of an example leads to its answer.
_LISTED = re.compile(r"one of:?\s*([^.\n]+)")
_LEANING = 0.6
#: A prompt of more words than these moves the chances of an answer no further than one of so many.
_WORDS = 5
#: What an untrained model says.
UNSURE = Reply("I am not sure.")


@dataclass
class Policy:
    """Softmax over replies on the words of a prompt."""

    replies: list[Reply]
    weights: dict[str, list[float]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def chances(self, words: Sequence[str]) -> list[float]:
        rows = [self.weights[word] for word in words if word in self.weights]
        scores = [sum(column) for column in zip(*rows, strict=True)] if rows else [0.0] * len(self.replies)
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        whole = sum(powers)
        return [power / whole for power in powers]

    def best(self, words: Sequence[str]) -> Reply:
        chances = self.chances(words)
        return self.replies[chances.index(max(chances))]

    def draw(self, words: Sequence[str], count: int, dice: random.Random) -> list[int]:
        return dice.choices(range(len(self.replies)), self.chances(words), k=count)

    def learn(self, words: Sequence[str], chosen: Sequence[int], rewards: Sequence[float], rate: float) -> None:
        """REINFORCE with the mean of the group as baseline: the pulls on replies that were not drawn add up to 0.

        The more often a word was learned from, the less it is moved: without that the words all prompts share settle
        on one reply before those that tell prompts apart have said anything.
        """
        mean = sum(rewards) / len(rewards)
        if max(rewards) == min(rewards):
            return
        self.seen.update(words)
        step = rate * min(1.0, _WORDS / len(words))
        for word in words:
            row, pull = self.weights.setdefault(word, [0.0] * len(self.replies)), step / math.sqrt(self.seen[word])
            for index, reward in zip(chosen, rewards, strict=True):
                row[index] += pull * (reward - mean)

    def lean(self, words: Sequence[str], reply: Reply, pull: float) -> None:
        for word in words:
            self.weights.setdefault(word, [0.0] * len(self.replies))[self.replies.index(reply)] += pull

    def copy(self) -> Policy:
        return Policy(self.replies, {word: list(row) for word, row in self.weights.items()}, self.seen.copy())


def guessing(messages: list[Json]) -> Policy:
    """What a model can do that was never trained: it chooses among the answers its prompt lists ("one of: a, b, c."),
    led by the words of the examples in the prompt. A prompt that lists none leaves it unsure."""
    told = "\n".join(
        str(message.get("content")) for message in messages if message.get("role") in ("system", "developer")
    )
    listed = _LISTED.search(told)
    options = [option.strip(" '\"`") for option in re.split(r",|\bor\b", listed[1])] if listed else []
    policy = Policy([Reply(option) for option in options if option] or [UNSURE])
    for asked, answered in itertools.pairwise(messages):
        reply = Reply(str(answered.get("content")))
        if asked.get("role") == "user" and answered.get("role") == "assistant" and reply in policy.replies:
            policy.lean(words_of([asked])[:-1], reply, _LEANING)
    return policy


def words_of(messages: list[Json]) -> list[str]:
    """The words of the last user message, each once, and one that all prompts share."""
    users = [message["content"] for message in messages if message.get("role") == "user"]
    last = users[-1] if users else ""
    text = last if isinstance(last, str) else " ".join(str(part.get("text", "")) for part in last)
    return [*sorted(set(re.findall(r"\w+", text.lower()))), "the bias"]


def replies_for(rows: list[Json], schema: Json | None = None) -> list[Reply]:
    """What a policy trained on ``rows`` may answer, the most frequent first after the unsure one.

    Short texts among the rows' own fields, but not what the user wrote; tool calls, and a bare call of each tool;
    with ``schema`` (of a ``response_format``) the JSON objects its properties and the rows' fields of the same names
    make.
    """
    counts: Counter[Reply] = Counter()
    for row in rows:
        asked = [message.get("content") for message in row.get("messages", []) if message.get("role") == "user"]
        fields = {key: value for key, value in row.items() if key not in ("messages", "tools") and value not in asked}
        counts.update(_as_reply(value) for value in fields.values() if _answerable(value))
        counts.update(Reply(calls=((name, "{}"),)) for name in _tool_names(row))
        made = _structured(fields, schema) if schema is not None else None
        if made is not None:
            counts[made] += 1
    counts.pop(UNSURE, None)
    ordered = sorted(counts, key=lambda reply: (-counts[reply], reply.text, reply.calls))
    return [UNSURE, *ordered[: MOST_REPLIES - 1]]


def _answerable(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST
    return isinstance(value, dict | list) and bool(value) and len(json.dumps(value)) <= LONGEST * 10


def _as_reply(value: Any) -> Reply:
    calls = _calls(value)
    if calls:
        return Reply(calls=calls)
    return Reply(value if isinstance(value, str) else json.dumps(value))


def _calls(value: Any) -> tuple[tuple[str, str], ...]:
    """Tool calls of a reference: one, a list of them, an object with ``tool_calls``; () where it is something else."""
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"]
    found = []
    for call in value if isinstance(value, list) else [value]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or "arguments" not in function:
            return ()
        arguments = function["arguments"]
        found.append((function["name"], arguments if isinstance(arguments, str) else json.dumps(arguments)))
    return tuple(found)


def _tool_names(row: Json) -> list[str]:
    tools = row.get("tools") or []
    return [tool["function"]["name"] for tool in tools if isinstance(tool.get("function"), dict)]


def _structured(fields: Json, schema: Json) -> Reply | None:
    """A row's fields as an object of the schema; the one unnamed property of a schema takes the reference."""
    properties = schema.get("properties") or {}
    found = {name: fields[name] for name in properties if name in fields}
    if len(properties) == 1 and not found and "reference_answer" in fields:
        found = {next(iter(properties)): fields["reference_answer"]}
    missing = [name for name in schema.get("required") or [] if name not in found]
    return None if missing or not found else Reply(json.dumps(found))

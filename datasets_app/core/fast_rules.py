"""The rules and the identity of a conversation in one pass over its typed messages.

The pass only tells conversations that certainly break no rule from all others, and those are shown to ``verdict``: what
is wrong with a record, and in which words, is said in one place.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from datasets_app.core import tokens
from datasets_app.core.identity import END_OF_MESSAGE, END_OF_PART, digest_of, has_control, normal, plain, said
from datasets_app.core.judging import PREVIEW, Judged
from datasets_app.core.records import Trace, clean_text, user_turns
from datasets_app.core.sanitizing import SanitizeConfig, verdict
from rft_project.platforms.types import JsonDict, last_user_text


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str | list[JsonDict] | UnsetType | None = UNSET
    tool_calls: list[JsonDict] | UnsetType | None = UNSET
    tool_call_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET


class Rules:
    """``exact`` counts all tokens; without it they are counted only where they could be more than are allowed."""

    def __init__(self, config: SanitizeConfig, *, exact: bool) -> None:
        self._config, self._exact = config, exact
        self._least = max(1, config.min_user_message_length)
        self._heads = {role: role.encode("utf-8", "surrogatepass") + END_OF_PART for role in config.allowed_roles}

    def judged(self, messages: list[Message], *, null_reference: bool) -> Judged:
        """What the messages (at least one) say of a record; what its line says beside is left at its default.

        ``null_reference``: whether the record has a reference answer that is null.
        """
        heads, least = self._heads, self._least
        pieces: list[bytes] = []
        turns: list[str] = []
        chained = False  # whether there are tool calls or results
        odd = null_reference or messages[-1].role != "user"
        for message in messages:
            role, content, calls = message.role, message.content, message.tool_calls
            head = heads.get(role)
            if type(content) is str and head is not None and not calls:
                pieces.append(head + content.encode())
                if role == "user":
                    turns.append(content)
                    if len(content.strip()) < least:
                        odd = True
                elif role == "tool":
                    chained = True
                elif role == "assistant" and not content.strip():
                    odd = True
            elif role == "assistant" and head is not None and (called := _called(content, calls)):
                pieces.append(head + called)
                chained = True
            else:
                pieces.append(said(msgspec.to_builtins(message)))
                odd = True
        pieces.append(b"")
        text = END_OF_MESSAGE.join(pieces)
        found = plain(text)
        if found is None:
            odd = odd or has_control(text)
            found = normal(text)
        uncounted = len(text) <= self._config.max_tokens and not (chained or self._exact)
        count = 0 if uncounted else self._count(messages, text)
        if odd or count > self._config.max_tokens or (chained and not _chained(messages)):
            return self._looked_at(messages, null_reference, digest_of(found), count)
        return Judged([], digest_of(found), turns[-1][:PREVIEW], count, turns)

    def _looked_at(self, messages: list[Message], null_reference: bool, digest: str, count: int) -> Judged:
        """By the full rules, which may find nothing wrong."""
        plainly = msgspec.to_builtins(messages)
        trace = Trace({"input": {"messages": plainly}}, has_reference=null_reference)
        preview = clean_text(last_user_text(plainly))[:PREVIEW]
        return Judged(verdict(trace, self._config, count), digest, preview, count, user_turns(trace))

    def _count(self, messages: list[Message], text: bytes) -> int:
        if not self._exact:
            most = len(text)
            if most <= self._config.max_tokens:
                most += sum(tokens.most_of(None, message.tool_calls) for message in messages if message.tool_calls)
            if most <= self._config.max_tokens:
                return 0
        return sum(tokens.count_parts(message.role, message.content, message.tool_calls) for message in messages)


def _called(content: Any, calls: Any) -> bytes | None:
    """What ``said`` says of an assistant's message that calls tools, without its role; None where it is not simple."""
    if not calls or isinstance(content, list):
        return None
    found = [content.encode() if content else b""]
    try:
        for call in calls:
            function = call["function"]
            if len(function) != 2:
                return None
            found += (function["name"].encode(), function["arguments"].encode())
    except (KeyError, TypeError, AttributeError):
        return None
    return END_OF_PART.join(found)


def _chained(messages: list[Message]) -> bool:
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

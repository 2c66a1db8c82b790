"""Messages of any vendor in chat-completions form.

``Turns`` takes messages one by one, told apart by their shape and not by the log they come from: agents log one
vendor's messages inside another's envelope. Roles become the four of chat completions, content that is text becomes
text, tool calls get arguments as JSON text, tool results leave the user's turn, and calls without an id get one of
ours, which their results then name. Reasoning is left out: a model that is trained answers without it.
"""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import parsed
from datasets_app.core.formats.turns_parts import SplitParts, call_of, result_text, split_parts, value_text
from datasets_app.core.records import clean_id
from rft_project.platforms.types import JsonDict, text_of

_ROLES = {
    "system": "system",
    "developer": "system",
    "systemmessage": "system",
    "user": "user",
    "human": "user",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
    "toolmessage": "tool",
    "functionmessage": "tool",
}
_PLAIN = frozenset({"system", "user", "assistant"})
# Items of the Responses API that stand beside messages; those not listed here (searches, code runs) are the server's.
_CALL_ITEMS = frozenset({"function_call", "custom_tool_call", "tool_call"})
_RESULT_ITEMS = frozenset({"function_call_output", "custom_tool_call_output", "tool_result", "tool_call_response"})
_TEXT_KEYS = ("content", "value", "message", "text")


class Turns:
    """A conversation that is being put together; ``messages`` is what it holds so far, ``tools`` what was found in it.

    Ids of calls are known across all that was added: an answer may name what its prompt called.
    """

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.tools: list[Any] = []
        self._open: list[tuple[str, str]] = []  # (id, name) of calls without a result
        self._known: set[str] = set()

    def add_all(self, items: Any, role: str = "user") -> None:
        """Adds a list of messages, one message, or a text said by ``role``."""
        if isinstance(items, list):
            nested = len(items) == 1 and isinstance(items[0], list)
            for item in items[0] if nested else items:
                self.add(item, role)
        elif items is not None:
            self.add(items, role)

    def add(self, item: Any, role: str = "user") -> None:
        """Adds one message in any vendor's shape. What is not a message at all is kept as it is."""
        if isinstance(item, str):
            self.messages.append({"role": role, "content": item})
            return
        if not isinstance(item, dict):
            self.messages.append(item)
            return
        given, content = item.get("role"), item.get("content")
        if len(item) == 2 and isinstance(content, str) and isinstance(given, str) and given in _PLAIN:
            self.messages.append(item)
            return
        if given is None and isinstance(item.get("message"), dict):
            item = item["message"]
        kind = item.get("type")
        if given is None and isinstance(kind, str):
            if kind in _CALL_ITEMS:
                self._add_item_call(item)
                return
            if kind in _RESULT_ITEMS:
                self._add_result(item.get("call_id") or item.get("tool_use_id") or item.get("id"), item, item)
                return
            if kind == "reasoning" or kind.endswith("_call"):
                return
            if kind == "constructor" and isinstance(item.get("kwargs"), dict):
                item = self._unwrapped(item)
            elif isinstance(item.get("data"), dict) and kind.lower() in _ROLES:
                item = {"type": kind, **item["data"]}
        self._add_message(item, role)

    @staticmethod
    def _unwrapped(item: JsonDict) -> JsonDict:
        """A LangChain message written with its constructor: the class says the role."""
        path = item.get("id")
        name = path[-1] if isinstance(path, list) and path else ""
        inner: JsonDict = item["kwargs"]
        return {**inner, "role": inner.get("role") or name}

    def _add_message(self, item: JsonDict, default: str) -> None:
        role = role_of(item, default)
        content = _content_of(item)
        if role == "assistant" and item.get("from") == "function_call":
            self._add_item_call({"function_call": parsed(content)})
            return
        if (
            isinstance(content, dict)
            and content.get("type") == "function"
            and isinstance(content.get("function"), dict)
        ):
            self.tools.append(content)  # LangChain's callbacks log the tools as if they were messages
            return
        if isinstance(content, str) and (calls := _calls_as_text(content)) and role != "user":
            role, content, item = "assistant", None, {"tool_calls": calls}
        elif role not in _PLAIN and role != "tool" and (item.get("tool_call_id") or self._called(role)):
            role, item = "tool", {"name": role, **item}
        parts = split_parts(content if isinstance(content, list) else [])
        text: Any = parts.content if isinstance(content, list) else content
        if isinstance(text, dict):
            text = value_text(text)
        calls = self._calls(item, parts)
        if role == "tool" and not parts.results:
            found = item.get("tool_call_id") or item.get("toolCallId") or item.get("call_id")
            self._add_result(found, item, {"content": text if text is not None else item.get("content")})
            return
        if parts.results and role != "assistant":
            self._add_results(parts)
        if text not in (None, "", []) or calls or not (parts.results or parts.reasoning):
            self._append(role, text, calls, item)
        if parts.results and role == "assistant":
            self._add_results(parts)

    def _append(self, role: str, text: Any, calls: list[JsonDict], item: JsonDict) -> None:
        if text is None and isinstance(item.get("refusal"), str):
            text = item["refusal"]
        message: JsonDict = {"role": role, "content": None if calls and text in ("", []) else text}
        if calls:
            message["tool_calls"] = calls
        if role == "user" and isinstance(item.get("name"), str):
            message["name"] = item["name"]
        self.messages.append(message)

    def _calls(self, item: JsonDict, parts: SplitParts) -> list[JsonDict]:
        """All calls of one message, each once, with their ids noted."""
        given = item.get("tool_calls") or item.get("toolCalls")
        beside = item.get("additional_kwargs")
        if not given and isinstance(beside, dict):
            given = beside.get("tool_calls") or (
                [{"function": beside["function_call"]}] if "function_call" in beside else None
            )
        if not given and isinstance(item.get("function_call"), dict):
            given = [{"function": item["function_call"]}]
        calls: list[JsonDict] = []
        own: set[str] = set()
        for raw in [*(given if isinstance(given, list) else []), *parts.calls]:
            call = call_of(raw)
            if call is None or (call["id"] and call["id"] in own):
                continue
            call["id"] = call["id"] or self._new_id()
            own.add(call["id"])
            self._known.add(call["id"])
            self._open.append((call["id"], call["function"]["name"]))
            calls.append(call)
        return calls

    def _called(self, name: str) -> bool:
        """Whether a call of this function is waiting for its result: some logs give the result's role as its name."""
        return any(called == name for _, called in self._open)

    def _new_id(self) -> str:
        number = len(self._known) + 1
        while f"call_{number}" in self._known:
            number += 1
        return f"call_{number}"

    def _add_item_call(self, item: JsonDict) -> None:
        """A call that stands as an item of its own joins the assistant's message before it."""
        calls = self._calls({"tool_calls": [item.get("function_call", item)]}, SplitParts())
        last = self.messages[-1] if self.messages else None
        if isinstance(last, dict) and last.get("role") == "assistant":
            last = {**last, "tool_calls": [*(last.get("tool_calls") or []), *calls]}
            self.messages[-1] = last
        elif calls:
            self.messages.append({"role": "assistant", "content": None, "tool_calls": calls})

    def _add_results(self, parts: SplitParts) -> None:
        for found, result in parts.results:
            self._add_result(found, result, result)

    def _add_result(self, found: Any, named: JsonDict, result: JsonDict) -> None:
        name = named.get("name") or named.get("toolName")
        message: JsonDict = {"role": "tool"}
        if linked := self._link(clean_id(found), name if isinstance(name, str) else ""):
            message["tool_call_id"] = linked
        if isinstance(name, str) and name:
            message["name"] = name
        message["content"] = result_text(result)
        self.messages.append(message)

    def _link(self, found: str, name: str) -> str:
        """The id of the call that a result answers: its own, or that of the first open call, by name if it has one."""
        at = next((i for i, (its, _) in enumerate(self._open) if its == found), None)
        if at is None and (not found or found not in self._known):
            named = next((i for i, (its, called) in enumerate(self._open) if called == name and name), None)
            at = named if named is not None else (0 if self._open and not found else None)
        return self._open.pop(at)[0] if at is not None else found


def _calls_as_text(content: str) -> list[Any] | None:
    """Tool calls that were logged as the JSON text of a message; None for any other text."""
    if not content.startswith("[{") or '"function"' not in content:
        return None
    calls = parsed(content)
    if isinstance(calls, list) and all(isinstance(c, dict) and isinstance(c.get("function"), dict) for c in calls):
        return calls if all(c.get("type") == "function" for c in calls) else None
    return None


def role_of(item: JsonDict, default: str) -> str:
    """One of the four roles where the message's word for it is known, else that word."""
    for key in ("role", "from", "author", "type"):
        found = item.get(key)
        if isinstance(found, str) and found:
            known = _ROLES.get(found.lower())
            if known or key == "role":
                return known or found
    return default


def _content_of(item: JsonDict) -> Any:
    """A message's content: text, a list of parts, or whatever stands in their place."""
    if isinstance(item.get("parts"), list):
        return item["parts"]
    for key in _TEXT_KEYS:
        content = item.get(key)
        if content is not None:
            if isinstance(content, dict) and isinstance(content.get("parts"), list):
                return content["parts"]
            return content
    return None


def said(messages: list[Any], role: str) -> str:
    """Text of the last message of a role, or ''."""
    found = (m for m in reversed(messages) if isinstance(m, dict) and m.get("role") == role)
    return next((text_of(m.get("content")) for m in found), "")

"""Streamed chat completions put together again: chunks in a list, or the raw text of server-sent events."""

from __future__ import annotations

from typing import Any

from datasets_app.core.records import Unreadable, decode_json
from rft_project.platforms.types import JsonDict


def joined_chunks(response: Any) -> Any:
    """The completion that a stream of chunks amounts to; anything that is no such stream is handed back as it is."""
    if isinstance(response, str) and response.lstrip().startswith("data:"):
        response = _events(response)
    if isinstance(response, dict) and response.get("object") == "chat.completion.chunk":
        response = [response]
    if not isinstance(response, list):
        return response
    chunks = [c for c in response if isinstance(c, dict) and isinstance(c.get("choices"), list)]
    if not any("delta" in choice for chunk in chunks for choice in chunk["choices"] if isinstance(choice, dict)):
        return response
    return _join(chunks)


def _events(text: str) -> list[Any]:
    found = []
    for line in text.splitlines():
        payload = line[5:].strip() if line.startswith("data:") else ""
        if payload and payload != "[DONE]":
            try:
                found.append(decode_json(payload))
            except Unreadable:
                continue  # a cut-off last event; what came before it still counts
    return found


def _join(chunks: list[JsonDict]) -> JsonDict:
    content: list[str] = []
    calls: dict[int, JsonDict] = {}
    result: JsonDict = {"finish_reason": None}
    for chunk in chunks:
        for name in ("id", "created", "model", "usage"):
            if chunk.get(name):
                result[name] = chunk[name]
        for choice in chunk["choices"]:
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            if isinstance(delta.get("content"), str):
                content.append(delta["content"])
            for piece in delta.get("tool_calls") or []:
                _add_call(calls, piece)
            result["finish_reason"] = choice.get("finish_reason") or result["finish_reason"]
    message: JsonDict = {"role": "assistant", "content": "".join(content) or None}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    finish_reason = result.pop("finish_reason")
    if finish_reason is None:
        result["unfinished"] = True
    return {**result, "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def _add_call(calls: dict[int, JsonDict], piece: Any) -> None:
    """Adds one delta of a tool call: the id and name come once, the arguments in pieces."""
    if not isinstance(piece, dict):
        return
    index = piece.get("index")
    index = index if isinstance(index, int) else len(calls)
    call = calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    if isinstance(piece.get("id"), str):
        call["id"] = piece["id"] or call["id"]
    function = piece.get("function")
    if isinstance(function, dict):
        for name in ("name", "arguments"):
            if isinstance(function.get(name), str):
                call["function"][name] += function[name]

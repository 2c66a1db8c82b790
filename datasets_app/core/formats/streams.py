"""Streamed answers of any vendor put together again into the answer that the same call gives without streaming.

A stream is the raw text of server-sent events, JSON lines, or a list of events. One that ends in its middle is refused:
half an answer is no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from datasets_app.core.formats.openai_stream import joined_chunks
from datasets_app.core.records import Unreadable, decode_json, encode_json
from rft_project.platforms.types import JsonDict

CUT = "The stream of the answer ends in its middle, so the answer is not whole."
Events = list[JsonDict]


def whole_answer(response: Any) -> Any:
    """The answer that a stream amounts to; anything that is no stream is handed back as it is.

    Raises ``Unreadable`` for a stream without its end.
    """
    events = _events(response)
    if events is None:
        return response
    for join in (_chunks, _completions, _responses, _anthropic, _converse, _gemini, _cohere, _pieces):
        joined = join(events)
        if joined is not None:
            return joined
    return response


def _events(response: Any) -> Events | None:
    """The stream's events, or None where this is no stream."""
    if isinstance(response, list):
        return [e for e in map(_unpacked, response) if isinstance(e, dict)] or None
    if not isinstance(response, str):
        return None
    text = response.lstrip()
    if not text.startswith(("data:", "event:", "id:", ":", "{")):
        return None
    found = []
    for line in text.splitlines():
        payload = line[5:].strip() if line.startswith("data:") else line if line.startswith("{") else ""
        if payload and payload != "[DONE]":
            try:
                event = decode_json(payload)
            except Unreadable:
                continue  # a cut-off last event: whether the stream had ended before it shows below
            if isinstance(event, dict):
                found.append(event)
    return found or None


def _unpacked(event: Any) -> Any:
    """An event without Bedrock's wrapping."""
    if isinstance(event, dict) and len(event) == 1 and isinstance(event.get("chunk"), dict):
        return event["chunk"]
    return event


def _any(events: Events, test: Callable[[JsonDict], bool]) -> bool:
    return any(map(test, events))


def _chunks(events: Events) -> Any:
    joined = joined_chunks(events)
    if joined is events:
        return None
    if joined["choices"][0]["finish_reason"] is None:
        raise Unreadable(CUT)
    return joined


def _completions(events: Events) -> Any:
    choices = [c for e in events for c in _dicts(e.get("choices")) if "text" in c and c.get("index", 0) == 0]
    if not choices:
        return None
    finish = next((c["finish_reason"] for c in reversed(choices) if c.get("finish_reason")), None)
    if finish is None:
        raise Unreadable(CUT)
    text = "".join(c["text"] for c in choices if isinstance(c["text"], str))
    usage = next((e["usage"] for e in reversed(events) if e.get("usage")), None)
    return {**events[0], "usage": usage, "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def _responses(events: Events) -> Any:
    """Responses API: the last event holds the whole answer."""
    named = [e for e in events if str(e.get("type", "")).startswith("response.")]
    if not named:
        return None
    for event in reversed(named):
        if event["type"] in ("response.completed", "response.incomplete", "response.failed"):
            return event.get("response")
    raise Unreadable(CUT)


def _anthropic(events: Events) -> Any:
    if not _any(events, lambda e: e.get("type") in ("message_start", "content_block_delta", "message_delta")):
        return None
    message: JsonDict = {"type": "message", "role": "assistant"}
    blocks: dict[Any, JsonDict] = {}
    for event in events:
        kind, delta = event.get("type"), event.get("delta")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            message.update(event["message"])
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            blocks[str(event.get("index"))] = dict(event["content_block"])
        elif kind == "content_block_delta" and isinstance(delta, dict):
            _grow(blocks.setdefault(str(event.get("index")), {"type": "text", "text": ""}), delta)
        elif kind == "message_delta":
            if isinstance(delta, dict):
                message.update({k: v for k, v in delta.items() if v is not None})
            _merge_usage(message, event.get("usage"))
        elif kind == "error":
            return event
    if not message.get("stop_reason"):
        raise Unreadable(CUT)
    return {**message, "content": [_closed(block, "input") for block in blocks.values()]}


def _merge_usage(message: JsonDict, usage: Any) -> None:
    if isinstance(usage, dict):
        before = message.get("usage")
        message["usage"] = {**(before if isinstance(before, dict) else {}), **usage}


def _grow(block: JsonDict, delta: JsonDict) -> None:
    if isinstance(delta.get("text"), str):
        block["text"] = str(block.get("text") or "") + delta["text"]
    if isinstance(delta.get("partial_json"), str):
        block["_json"] = str(block.get("_json", "")) + delta["partial_json"]


def _closed(block: JsonDict, key: str) -> JsonDict:
    """A block with its arguments, which came in pieces of JSON text."""
    pieces = block.pop("_json", "")
    if pieces:
        block[key] = pieces
    elif key in block and not isinstance(block[key], str):
        block[key] = encode_json(block[key])
    return block


def _converse(events: Events) -> Any:
    """Bedrock's Converse: each event is an object with one key that names it."""
    if not _any(events, lambda e: "messageStart" in e or "contentBlockDelta" in e or "messageStop" in e):
        return None
    blocks: dict[Any, JsonDict] = {}
    stop, usage = None, None
    for event in events:
        for name in ("contentBlockStart", "contentBlockDelta"):
            body = event.get(name)
            if not isinstance(body, dict):
                continue
            block = blocks.setdefault(str(body.get("contentBlockIndex")), {})
            piece = body.get("start") or body.get("delta")
            if isinstance(piece, dict):
                _grow_converse(block, piece)
        if isinstance(event.get("messageStop"), dict):
            stop = event["messageStop"].get("stopReason")
        if isinstance(event.get("metadata"), dict):
            usage = event["metadata"].get("usage")
    if not stop:
        raise Unreadable(CUT)
    content = [{"toolUse": _closed(b["toolUse"], "input")} if "toolUse" in b else b for b in blocks.values()]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": usage,
    }


def _grow_converse(block: JsonDict, piece: JsonDict) -> None:
    if isinstance(piece.get("text"), str):
        block["text"] = str(block.get("text") or "") + piece["text"]
    elif isinstance(piece.get("toolUse"), dict):
        tool = block.setdefault("toolUse", {})
        given = dict(piece["toolUse"])
        if isinstance(given.get("input"), str):
            tool["_json"] = str(tool.get("_json", "")) + given.pop("input")
        tool.update(given)
    elif "reasoningContent" in piece:
        block["reasoningContent"] = {}


def _gemini(events: Events) -> Any:
    candidates = [c for e in events for c in _dicts(e.get("candidates"))]
    if not candidates:
        return None
    finish = next((c["finishReason"] for c in reversed(candidates) if c.get("finishReason")), None)
    if finish is None:
        raise Unreadable(CUT)
    parts: list[Any] = []
    for candidate in candidates:
        content = candidate.get("content")
        for part in _dicts(content.get("parts") if isinstance(content, dict) else None):
            last = parts[-1] if parts else {}
            if part.keys() == {"text"} == last.keys() and isinstance(part["text"], str):
                parts[-1] = {"text": str(last["text"]) + part["text"]}
            else:
                parts.append(part)
    return {**events[-1], "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}]}


def _cohere(events: Events) -> Any:
    """Cohere's chat: version 1 ends with the whole answer, version 2 has typed deltas."""
    for event in events:
        if event.get("event_type") == "stream-end" and isinstance(event.get("response"), dict):
            return {"finish_reason": event.get("finish_reason"), **event["response"]}
    if _any(events, lambda e: "event_type" in e):
        raise Unreadable(CUT)
    if not _any(events, lambda e: e.get("type") in ("message-start", "content-delta", "message-end")):
        return None
    text: list[str] = []
    calls: dict[Any, JsonDict] = {}
    end: Any = None
    for event in events:
        kind, delta = event.get("type"), event.get("delta")
        message = delta.get("message") if isinstance(delta, dict) else None
        if kind == "message-end":
            end = delta
        elif isinstance(message, dict):
            _grow_cohere(text, calls, str(event.get("index")), message)
    if not isinstance(end, dict):
        raise Unreadable(CUT)
    message = {"role": "assistant", "content": "".join(text), "tool_calls": list(calls.values())}
    return {"id": events[0].get("id"), **end, "message": message}


def _grow_cohere(text: list[str], calls: dict[Any, JsonDict], index: str, message: JsonDict) -> None:
    content, call = message.get("content"), message.get("tool_calls")
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        text.append(content["text"])
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(call, dict) and isinstance(function, dict):
        known = calls.setdefault(index, {"id": call.get("id"), "function": {"name": "", "arguments": ""}})
        for key in ("name", "arguments"):
            if isinstance(function.get(key), str):
                known["function"][key] += function[key]


def _pieces(events: Events) -> Any:
    """Bedrock's InvokeModel streams of models with plain texts: Titan, Llama, Mistral, Cohere."""
    for text_key, end_keys in (
        ("outputText", ("completionReason",)),
        ("generation", ("stop_reason",)),
        ("completion", ("stop_reason",)),
        ("text", ("finish_reason", "is_finished")),
    ):
        texts = [e[text_key] for e in events if isinstance(e.get(text_key), str)]
        if len(texts) and len(texts) >= len(events) - 1:
            finish = next((e[k] for e in reversed(events) for k in end_keys if e.get(k)), None)
            if finish is None:
                raise Unreadable(CUT)
            return {text_key: "".join(texts), "stop_reason": finish}
    return None


def _dicts(items: Any) -> Iterable[JsonDict]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else ()

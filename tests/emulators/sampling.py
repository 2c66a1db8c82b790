"""OpenAI's chat completions and embeddings on loopback, as strict as their published limits."""

from __future__ import annotations

import json
import random
from typing import Any

from .checks import check_response_format
from .policy import UNSURE, Policy, Reply, guessing, words_of
from .wire import Json, Refused, now, only

CHAT_FIELDS = {
    "model", "messages", "n", "temperature", "max_tokens", "max_completion_tokens", "seed", "tools", "tool_choice",
    "response_format", "stop", "top_p", "reasoning_effort", "parallel_tool_calls", "metadata", "store", "service_tier",
}  # fmt: skip
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ROLES = ("developer", "system", "user", "assistant", "tool")
MOST_TOOLS = 128


def completion(body: Json, policy: Policy | None, *, reasoning: bool, thoughts: int = 0) -> Json:
    """A chat completion of ``policy``. ``reasoning``: the model thinks first, so it takes no temperature and gives one
    answer; ``thoughts`` tokens are counted for that."""
    only(body, CHAT_FIELDS)
    _check_chat(body, reasoning)
    n, words = body.get("n") or 1, words_of(body["messages"])
    replies = [_allowed(reply, body) for reply in _replies(policy or guessing(body["messages"]), words, n, body)]
    choices = [_choice(index, reply) for index, reply in enumerate(replies)]
    prompt = sum(len(str(message.get("content") or "").split()) for message in body["messages"])
    answered = sum(len(reply.text) // 4 + 1 for reply in replies) + thoughts * n
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": now(),
        "model": body["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answered,
            "total_tokens": prompt + answered,
            "completion_tokens_details": {"reasoning_tokens": thoughts * n},
        },
    }


def embedded(body: Json, model: str) -> Json:
    """Vectors out of order, which the API does not forbid."""
    only(body, {"model", "input", "encoding_format", "dimensions", "user"})
    texts = body.get("input")
    if body.get("model") != model:
        raise Refused(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
    if not isinstance(texts, list) or not 1 <= len(texts) <= 2048 or not all(isinstance(t, str) and t for t in texts):
        raise Refused(400, "'input' must be 1 to 2048 texts, none of them empty.", param="input")
    if sum(map(tokens_of, texts)) > 300_000 or max(map(tokens_of, texts)) > 8192:
        raise Refused(400, "Requested too many tokens.", param="input")
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise Refused(400, "'encoding_format' must be float or base64.", param="encoding_format")
    data = [
        {"object": "embedding", "index": i, "embedding": [1.0 / (1 + len(text)), float(len(set(text))), 1.0]}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "model": model, "data": data[::-1], "usage": usage}


def tokens_of(text: str) -> float:
    """As tokenizers of these models count, roughly and never too low for plain prose: four letters of Latin make a
    token, and a character of any other script more than one."""
    others = sum(not char.isascii() for char in text)
    return (len(text) - others) / 4 + others * 1.3


def _check_chat(body: Json, reasoning: bool) -> None:
    if reasoning:
        for name in ("temperature", "max_tokens", "top_p", "stop"):
            if name in body:
                raise Refused(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
        if body.get("n", 1) != 1:
            raise Refused(400, "Unsupported value: 'n' must be 1 with this model.", param="n")
        if body.get("reasoning_effort", "medium") not in EFFORTS:
            raise Refused(400, "Unsupported value: 'reasoning_effort'.", param="reasoning_effort")
    elif "reasoning_effort" in body:
        raise Refused(400, "Unrecognized request argument supplied: reasoning_effort", param="reasoning_effort")
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1), ("n", 1, 128)):
        if not low <= body.get(name, low) <= high:
            raise Refused(400, f"'{name}' must be {low} to {high}.", param=name)
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name, 1) < 1:
            raise Refused(400, f"'{name}' must be at least 1.", param=name)
    for number, message in enumerate(body.get("messages") or [{}]):
        if message.get("role") not in _ROLES:
            raise Refused(400, f"messages[{number}].role is not valid.", param="messages")
    tools = body.get("tools")
    if tools is not None and not (1 <= len(tools) <= MOST_TOOLS and all("function" in tool for tool in tools)):
        raise Refused(400, f"'tools' may have 1 to {MOST_TOOLS} functions.", param="tools")
    if body.get("response_format") is not None:
        check_response_format(body["response_format"], "response_format")


def _replies(policy: Policy, words: list[str], n: int, body: Json) -> list[Reply]:
    if body.get("temperature") == 0:
        return [policy.best(words)] * n
    seed = body.get("seed")
    dice = random.Random(seed) if seed is not None else random.Random()
    return [policy.replies[index] for index in policy.draw(words, n, dice)]


def _allowed(reply: Reply, body: Json) -> Reply:
    """Only tools that were offered are called; an answer that must be JSON is JSON."""
    offered = {tool["function"]["name"] for tool in body.get("tools") or []}
    calls = tuple(call for call in reply.calls if call[0] in offered)
    text = reply.text or ("" if calls else UNSURE.text)
    form = body.get("response_format") or {"type": "text"}
    if calls or form["type"] == "text" or _is_object(text):
        return Reply(text, calls)
    schema = form["json_schema"]["schema"] if form["type"] == "json_schema" else {}
    return Reply(json.dumps(_filled(schema, text)))


def _filled(schema: Json, text: str) -> Json:
    """An object of the schema's shape with ``text`` where text may stand."""
    blanks: dict[str, Any] = {"integer": 0, "number": 0.0, "boolean": False, "array": [], "null": None}
    found: Json = {}
    for name, about in (schema.get("properties") or {}).items():
        kind = about.get("type")
        if "enum" in about:
            found[name] = about["enum"][0]
        elif kind == "object":
            found[name] = _filled(about, text)
        else:
            found[name] = blanks.get(kind, text)
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _choice(index: int, reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = reply.tool_calls()
    reason = "tool_calls" if reply.calls else "stop"
    return {"index": index, "finish_reason": reason, "message": message, "logprobs": None}

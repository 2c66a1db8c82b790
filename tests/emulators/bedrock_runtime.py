"""Converse and Titan's embeddings on loopback."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

from .policy import UNSURE, Policy, Reply, words_of
from .sampling import tokens_of
from .wire import Json, Refused

EMBEDDING = "amazon.titan-embed-text-v2:0"
_LONGEST = 50_000


def conversed(given: Json, policy: Policy | None) -> Json:
    """An answer of ``policy`` (None: an untrained model). Raises Refused for turns that Converse refuses."""
    _check_turns(given["messages"])
    kinds = {kind for message in given["messages"] for block in message["content"] for kind in block}
    if kinds & {"toolUse", "toolResult"} and not given.get("toolConfig"):
        said = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        raise Refused(400, said, code="ValidationException")
    settings = given.get("inferenceConfig", {})
    thinking = given.get("additionalModelRequestFields", {}).get("reasoningConfig")
    if thinking is not None:
        _check_thinking(thinking, settings)
    tools = {tool["toolSpec"]["name"]: tool["toolSpec"] for tool in given.get("toolConfig", {}).get("tools", [])}
    forced = given.get("toolConfig", {}).get("toolChoice", {}).get("tool", {}).get("name")
    if forced is not None and (forced not in tools or thinking is not None):
        raise Refused(400, "toolChoice names no tool, or reasoning is on.", code="ValidationException")
    reply = _reply(given, policy or Policy([UNSURE]), float(settings.get("temperature", 0.7)))
    blocks, reason = _blocks(reply, tools, forced)
    if thinking is not None:
        blocks = [{"reasoningContent": {"reasoningText": {"text": "Let me see."}}}, *blocks]
    prompt = sum(len(block.get("text", "").split()) + 1 for m in given["messages"] for block in m["content"])
    answered = len(reply.text) // 4 + 1
    return {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": reason,
        "usage": {"inputTokens": prompt, "outputTokens": answered, "totalTokens": prompt + answered},
        "metrics": {"latencyMs": 1},
    }


def embedded(body: bytes) -> Json:
    """Titan's vector of one text."""
    given = json.loads(body)
    unknown = set(given) - {"inputText", "dimensions", "normalize", "embeddingTypes"}
    text = given.get("inputText")
    if unknown or not isinstance(text, str) or not 1 <= len(text) <= _LONGEST:
        raise Refused(400, "Malformed input request: inputText of 1 to 50000 characters.", code="ValidationException")
    if tokens_of(text) > 8192:
        raise Refused(400, "Too many input tokens. Max input tokens: 8192.", code="ValidationException")
    size = given.get("dimensions", 1024)
    if size not in (256, 512, 1024):
        raise Refused(400, "Malformed input request: dimensions.", code="ValidationException")
    vector = [1.0 / (1 + len(text)), float(len(set(text))), 1.0, *([0.0] * (size - 3))]
    return {"embedding": vector, "inputTextTokenCount": len(text) // 4 + 1, "embeddingsByType": {"float": vector}}


def _reply(given: Json, policy: Policy, temperature: float) -> Reply:
    words = words_of(given["messages"])
    if temperature == 0:
        return policy.best(words)
    return policy.replies[policy.draw(words, 1, random.Random())[0]]


def _blocks(reply: Reply, tools: dict[str, Json], forced: str | None) -> tuple[list[Json], str]:
    if forced is not None:
        schema = tools[forced]["inputSchema"]["json"]
        return [_use(0, forced, _filled(schema, reply.text))], "tool_use"
    calls = [(name, arguments) for name, arguments in reply.calls if name in tools]
    if calls:
        return [_use(at, name, json.loads(arguments)) for at, (name, arguments) in enumerate(calls)], "tool_use"
    return [{"text": reply.text or "I am not sure."}], "end_turn"


def _use(at: int, name: str, given: Any) -> Json:
    return {"toolUse": {"toolUseId": f"tooluse_{at}", "name": name, "input": given}}


def _filled(schema: Json, text: str) -> Json:
    """An object of the schema: the reply where it is one, else its text in every property."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    blank = {"number": 0, "integer": 0, "boolean": False, "array": [], "object": {}}
    return {name: blank.get(about.get("type"), text) for name, about in (schema.get("properties") or {}).items()}


def _check_turns(messages: list[Json]) -> None:
    roles = [message["role"] for message in messages]
    if not roles or roles[0] != "user" or any(a == b for a, b in pairwise(roles)):
        raise Refused(400, "A conversation must start with a user message and alternate.", code="ValidationException")
    asked: set[str] = set()
    for message in messages:
        for block in message["content"]:
            if "text" in block and not block["text"]:
                raise Refused(400, "The text field in the ContentBlock object is blank.", code="ValidationException")
            if "toolUse" in block:
                asked.add(block["toolUse"]["toolUseId"])
            if "toolResult" in block and block["toolResult"]["toolUseId"] not in asked:
                raise Refused(400, "A toolResult answers no toolUse.", code="ValidationException")


def _check_thinking(thinking: Json, settings: Json) -> None:
    if thinking.get("type") != "enabled" or thinking.get("maxReasoningEffort") not in ("low", "medium", "high"):
        raise Refused(400, "reasoningConfig is malformed.", code="ValidationException")
    if thinking["maxReasoningEffort"] == "high" and {"maxTokens", "temperature", "topP"} & set(settings):
        raise Refused(
            400, "With high effort maxTokens, temperature and topP must be left out.", code="ValidationException"
        )

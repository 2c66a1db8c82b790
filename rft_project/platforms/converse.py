"""Chat messages as Bedrock's Converse has them, and back. Pure.

Sources: the API model of bedrock-runtime (botocore 1.44.5), the user guide's pages on Converse and on Nova 2.
"""

from __future__ import annotations

import json
from typing import Any

from .types import Answer, JsonDict, Message, SampleRequest, Usage, text_of

#: Efforts that Nova 2 knows; without one it does not think first.
EFFORTS = ("low", "medium", "high")
_FINISHED = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length",
             "model_context_window_exceeded": "length"}  # fmt: skip
_FORMAT_TOOL = "answer"


def converse_arguments(request: SampleRequest, model: str) -> JsonDict:
    """Arguments of ``converse`` for one answer. A schema is asked for through a forced tool call: every model that
    takes tools knows it, while structured output is not known to work with custom deployments."""
    system, turns = _turns(request.messages)
    arguments: JsonDict = {"modelId": model, "messages": turns}
    if system:
        arguments["system"] = system
    thinking = request.reasoning_effort in EFFORTS
    settings: JsonDict = {"maxTokens": request.max_tokens, "temperature": min(1.0, request.temperature)}
    if request.reasoning_effort != "high":  # there Nova takes none of them
        arguments["inferenceConfig"] = settings
    if thinking:
        effort = {"type": "enabled", "maxReasoningEffort": request.reasoning_effort}
        arguments["additionalModelRequestFields"] = {"reasoningConfig": effort}
    tools = [_tool(tool["function"]) for tool in request.tools if isinstance(tool.get("function"), dict)]
    schema = schema_of(request.response_format)
    if schema is not None:
        tools = [
            {"toolSpec": {"name": _FORMAT_TOOL, "description": "Give the answer.", "inputSchema": {"json": schema}}}
        ]
    tools = tools or _called(turns)
    if tools:
        arguments["toolConfig"] = {"tools": tools}
    if schema is not None and not thinking:  # a forced tool and thinking are said not to go together
        arguments["toolConfig"]["toolChoice"] = {"tool": {"name": _FORMAT_TOOL}}
    return arguments


def answer_of(response: JsonDict, *, structured: bool) -> Answer:
    """The answer of one call. ``structured``: the tool call is the answer, as JSON."""
    texts: list[str] = []
    calls: list[JsonDict] = []
    for block in response["output"]["message"]["content"]:
        if "text" in block:
            texts.append(block["text"])
        elif "toolUse" in block:
            used = block["toolUse"]
            if structured and used["name"] == _FORMAT_TOOL:
                return Answer(text=json.dumps(used["input"], ensure_ascii=False))
            function = {"name": used["name"], "arguments": json.dumps(used["input"], ensure_ascii=False)}
            calls.append({"id": used["toolUseId"], "type": "function", "function": function})
    finish = _FINISHED.get(str(response["stopReason"]), "content_filter")
    return Answer(text="".join(texts), tool_calls=calls, finish_reason=finish)


def usage_of(response: JsonDict) -> Usage:
    usage = response["usage"]
    return Usage(prompt_tokens=usage["inputTokens"], completion_tokens=usage["outputTokens"])


def schema_of(response_format: JsonDict | None) -> JsonDict | None:
    """The JSON Schema of a chat completion's ``response_format``; any object for ``json_object``."""
    if response_format is None or response_format.get("type") == "text":
        return None
    inner = response_format.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    return schema if isinstance(schema, dict) else {"type": "object", "properties": {}}


def _turns(messages: list[Message]) -> tuple[list[JsonDict], list[JsonDict]]:
    """System blocks, and turns in which user and assistant alternate: a tool's result is said by the user."""
    system: list[JsonDict] = []
    turns: list[JsonDict] = []
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            system += _texts(message)
            continue
        speaker = "assistant" if role == "assistant" else "user"
        blocks = [_result(message)] if role == "tool" else [*_texts(message), *_uses(message)]
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": speaker, "content": blocks})
    if not turns:  # Converse wants a turn of the user
        return [], [{"role": "user", "content": system or [{"text": " "}]}]
    return system, turns


def _called(turns: list[JsonDict]) -> list[JsonDict]:
    """The tools that were called before: Converse takes no call and no result where no tool is offered."""
    blocks = [block for turn in turns for block in turn["content"]]
    names = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    return [_tool({"name": name, "description": "Called before."}) for name in names]


def _texts(message: Message) -> list[JsonDict]:
    text = text_of(message.get("content"))
    return [{"text": text}] if text.strip() else []


def _uses(message: Message) -> list[JsonDict]:
    return [
        {"toolUse": {"toolUseId": call["id"], "name": call["function"]["name"], "input": _arguments(call["function"])}}
        for call in message.get("tool_calls") or []
    ]


def _arguments(function: JsonDict) -> Any:
    given = function.get("arguments")
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _result(message: Message) -> JsonDict:
    content = [{"text": text_of(message.get("content"))}]
    return {"toolResult": {"toolUseId": message.get("tool_call_id") or "", "content": content}}


def _tool(function: JsonDict) -> JsonDict:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    about = {"description": function["description"]} if function.get("description") else {}
    return {"toolSpec": {"name": function["name"], **about, "inputSchema": {"json": schema}}}

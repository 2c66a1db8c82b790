"""What was asked and what was answered, out of request and response bodies of any vendor.

Whichever log the bodies come from, the same few shapes are inside: chat completions, the Responses API, Anthropic
messages, Bedrock's Converse and its vendors' own bodies, Gemini, Cohere, plain prompts. They are told apart by the keys
that hold the conversation, so that a Langfuse export of a Gemini call needs no reader of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets_app.core.formats.base import openai_tools, parsed
from datasets_app.core.formats.streams import whole_answer
from datasets_app.core.formats.turns import Turns
from datasets_app.core.formats.turns_parts import tools_of
from datasets_app.core.records import Unreadable
from rft_project.platforms.types import JsonDict

_CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
_FINISH = {
    "end_turn": "stop",
    "stop": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "finish": "stop",
    "finished": "stop",
    "endoftext": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "safety": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "content_filter": "content_filter",
}
# Keys of a request that are not parameters of the call.
_ASKED = frozenset(
    {
        "messages",
        "system",
        "input",
        "instructions",
        "contents",
        "prompt",
        "message",
        "chat_history",
        "preamble",
        "inputText",
        "systemInstruction",
        "system_instruction",
        "tools",
        "functions",
        "toolConfig",
        "tool_config",
        "tool_choice",
        "model",
        "stream",
        "metadata",
        "documents",
        "results",
        "config",
    }
)
_UNFINISHED = ("failed", "cancelled", "incomplete", "in_progress", "queued")
NO_MESSAGES = "The call holds no messages; its content was not recorded."


@dataclass(slots=True)
class Exchange:
    """One call of a model. ``answer`` is None where nothing was recorded of it."""

    messages: list[Any]
    answer: list[Any] | None = None
    tools: list[Any] = field(default_factory=list)
    tool_choice: Any = None
    finish_reason: str | None = None
    model: Any = None
    usage: Any = None
    id: Any = None
    created: Any = None
    parameters: JsonDict = field(default_factory=dict)


def exchange_of(request: Any, response: Any) -> Exchange:
    """The call that these bodies (decoded, or JSON text, or a stream) describe.

    Raises ``Unreadable`` where the call failed, was cut off or has no messages.
    """
    request, response = parsed(request), whole_answer(parsed(response))
    refuse_failure(response)
    turns = Turns()
    asked: JsonDict = request if isinstance(request, dict) else {}
    _ask(turns, request)
    if not turns.messages:
        raise Unreadable(NO_MESSAGES)
    exchange = Exchange(turns.messages, tools=_tools(asked) + turns.tools, tool_choice=asked.get("tool_choice"))
    prompt_length = len(turns.messages)
    finish_reason = _answer(turns, response)
    if len(turns.messages) > prompt_length:
        exchange.messages, exchange.answer = turns.messages[:prompt_length], turns.messages[prompt_length:]
    exchange.finish_reason = finish(finish_reason)
    _describe(exchange, asked, response)
    return exchange


def finish(reason: Any) -> str | None:
    """A vendor's word for why the answer ended as chat completions say it. Raises ``Unreadable`` where it was cut."""
    if not isinstance(reason, str) or not reason:
        return None
    word = reason.lower()
    if word in _CUT_OFF:
        raise Unreadable(f"The answer was cut off (finish reason {reason[:40]}), so there is no whole answer to keep.")
    return _FINISH.get(word, word)


def failed(words: Any) -> Unreadable:
    """A failed call in its own words."""
    said = words.get("message") or words.get("type") or words.get("code") if isinstance(words, dict) else words
    return Unreadable(f"The call failed, so there is no answer to keep: {str(said or 'no reason given')[:200]}")


def refuse_failure(response: Any) -> None:
    """Raises ``Unreadable`` where a response is an error or not whole."""
    if not isinstance(response, dict):
        return
    if response.get("error"):
        raise failed(response["error"])
    status, details = response.get("status"), response.get("incomplete_details")
    if status == "incomplete":
        finish((details.get("reason") if isinstance(details, dict) else None) or "max_output_tokens")
    if response.get("object") == "response" and status in (
        "failed",
        "cancelled",
        "incomplete",
        "in_progress",
        "queued",
    ):
        raise Unreadable(f"The call did not finish (status {status}), so there is no answer to keep.")


# --- the request -----------------------------------------------------------------------------------------------------


def _ask(turns: Turns, request: Any) -> None:
    """Adds what the model was sent."""
    if not isinstance(request, dict):
        turns.add_all(request)
        return
    config = parsed(request.get("config"))
    for holder in (request, config if isinstance(config, dict) else {}):
        for key in ("system", "instructions", "preamble", "systemInstruction", "system_instruction"):
            _add_system(turns, holder.get(key))
    if isinstance(request.get("message"), str):  # Cohere: the history, then the message
        turns.add_all(request.get("chat_history"))
        turns.add(request["message"])
        results = request.get("tool_results")
        for result in results if isinstance(results, list) else ():
            if isinstance(result, dict):
                called = result.get("call")
                name = called.get("name") if isinstance(called, dict) else None
                turns.add({"role": "tool", "name": name, "content": result.get("outputs")})
        return
    for key in ("messages", "contents", "input", "prompt", "inputText", "args"):
        given = parsed(request.get(key))
        if given is None:
            continue
        if key == "input" and isinstance(given, dict) and "messages" in given:
            given = given["messages"]
        turns.add_all(given)
        return
    if isinstance(request.get("role"), str) or isinstance(request.get("type"), str):
        turns.add(request)


def _add_system(turns: Turns, given: Any) -> None:
    given = parsed(given)
    if isinstance(given, str):
        if given:
            turns.messages.append({"role": "system", "content": given})
    elif isinstance(given, dict):
        turns.add({**given, "role": "system"})
    elif isinstance(given, list) and given:
        if all(isinstance(part, dict) and "role" in part for part in given):
            turns.add_all(given)
        else:
            turns.add({"role": "system", "content": given})


def _tools(request: JsonDict) -> list[Any]:
    config = parsed(request.get("config"))
    found = openai_tools(request) or request.get("toolConfig") or request.get("tool_config")
    if not found and isinstance(config, dict):
        found = config.get("tools")
    return tools_of(found) if found else []


# --- the response ----------------------------------------------------------------------------------------------------


def _answer(turns: Turns, response: Any) -> Any:
    """Adds what the model answered; the vendor's word for why it ended, or None."""
    if isinstance(response, str):
        if response.startswith(("data:", "event:")):
            raise Unreadable("The stream of the answer can't be read.")
        if response:
            turns.add(response, "assistant")
        return None
    if isinstance(response, list):
        return _add_list(turns, response)
    if not isinstance(response, dict):
        return None
    choices = response.get("choices")
    if isinstance(choices, list):
        return _add_choice(turns, choices)
    if isinstance(response.get("candidates"), list):
        return _add_candidate(turns, response["candidates"])
    reason = next((response[k] for k in ("stop_reason", "stopReason", "finish_reason") if response.get(k)), None)
    given = _said_in(response)
    if isinstance(given, list) and response.get("type") == "message":
        given = {"role": "assistant", "content": given}
    turns.add_all(given, "assistant")
    return reason


def _add_list(turns: Turns, items: list[Any]) -> Any:
    """Several messages, or several texts; of alternatives that say the same only the first is kept."""
    reason = None
    calls = [i for i in items if isinstance(i, dict) and "role" not in i and ("toolName" in i or "function" in i)]
    if calls and len(calls) == len(items):
        turns.add({"role": "assistant", "content": None, "tool_calls": items})
        return "tool_calls"
    seen: list[Any] = []
    for item in items:
        said = item.get("content", item.get("parts")) if isinstance(item, dict) and "role" in item else None
        if said is not None and said in seen:
            continue
        seen.append(said)
        turns.add_all([item], "assistant")
        if isinstance(item, dict):
            reason = item.get("finish_reason") or reason
    return reason


def _add_choice(turns: Turns, choices: list[Any]) -> Any:
    choice = choices[0] if choices else None
    if not isinstance(choice, dict):
        return None
    given = choice.get("message", choice.get("text"))
    turns.add_all(given, "assistant")
    return choice.get("finish_reason") or choice.get("stop_reason")


def _add_candidate(turns: Turns, candidates: list[Any]) -> Any:
    candidate = candidates[0] if candidates else None
    if not isinstance(candidate, dict):
        return None
    content = candidate.get("content")
    if isinstance(content, dict):
        turns.add({"role": "model", **content}, "assistant")
    return candidate.get("finishReason") or candidate.get("finish_reason")


# Lists of answers in Bedrock's vendors' bodies, and where the text is.
_FIRST_OF = (("results", "outputText"), ("generations", "text"), ("outputs", "text"), ("completions", "data"))


def _said_in(response: JsonDict) -> Any:
    """The message, items or text that a response holds, or None."""
    output = response.get("output")
    if isinstance(output, dict) and isinstance(output.get("message"), dict):  # Converse
        return output["message"]
    if isinstance(output, list):  # Responses API
        return output
    if isinstance(response.get("message"), dict):
        return response["message"]
    if isinstance(response.get("messages"), list):
        return response["messages"]
    content = response.get("content")
    if isinstance(content, dict) and "parts" in content:
        return {"role": "model", **content}
    if content is not None or response.get("tool_calls") or response.get("type") == "constructor":
        return response
    for key, inner in (
        ("results", "outputText"),
        ("generations", "text"),
        ("outputs", "text"),
        ("completions", "data"),
    ):
        found = response.get(key)
        first = found[0] if isinstance(found, list) and found else None
        if isinstance(first, dict):
            data = first.get(inner)
            return data.get("text") if isinstance(data, dict) else data
    for key in ("text", "generation", "completion", "outputText", "output", "answer", "response"):
        if isinstance(response.get(key), str):
            calls = response.get("tool_calls")
            return {"role": "assistant", "content": response[key], "tool_calls": calls} if calls else response[key]
    return None


def _describe(exchange: Exchange, request: JsonDict, response: Any) -> None:
    """Model, usage, id and time of the call, and what it was called with."""
    reply: JsonDict = response if isinstance(response, dict) else {}
    exchange.model = reply.get("model") or reply.get("modelVersion") or request.get("model")
    exchange.usage = reply.get("usage") or reply.get("usageMetadata") or reply.get("usage_metadata")
    exchange.id = reply.get("id") or reply.get("responseId") or reply.get("response_id")
    exchange.created = reply.get("created") or reply.get("created_at") or reply.get("createTime")
    exchange.parameters = {k: v for k, v in request.items() if k not in _ASKED and v is not None}
    if not exchange.tools and isinstance(reply.get("tools"), list):
        exchange.tools = tools_of(reply["tools"])

"""One line of every format, small and with a tool call or an id where the format has one. All of it is invented."""

from __future__ import annotations

import json
from typing import Any

SKY = [{"role": "user", "content": "Colour of the sky?"}]
BLUE = {"role": "assistant", "content": "Blue"}
LOOK = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"up":true}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
_ANSWER = {"id": "cc1", "choices": [{"message": BLUE, "finish_reason": "stop"}]}
_CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Colour of the sky?"}]}], "inferenceConfig": {}}
_CONVERSED = {"output": {"message": {"role": "assistant", "content": [{"text": "Blue"}]}}, "stopReason": "end_turn"}


def _otlp(**attributes: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]


def _human(text: str) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "HumanMessage"], "kwargs": {"content": text}}


def _ai(text: str) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "AIMessage"], "kwargs": {"content": text}}


# Each says the same: the user asks for the colour of the sky, the answer is "Blue".
LINES: dict[str, dict[str, Any]] = {
    "openai_chat": {"request": {"model": "m", "messages": SKY}, "response": _ANSWER},
    "canonical": {
        "input": {"messages": SKY},
        "output": {"messages": [BLUE], "tool_calls": [], "finish_reason": "stop"},
    },
    "chat": {"messages": [*SKY, BLUE]},
    "openai_responses": {
        "object": "response",
        "id": "r1",
        "status": "completed",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Colour of the sky?"}]}
        ],
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Blue"}]}],
    },
    "anthropic": {
        "request": {"model": "claude", "max_tokens": 9, "messages": SKY},
        "response": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "Blue"}],
            "stop_reason": "end_turn",
        },
    },
    "anthropic_batch": {
        "custom_id": "b1",
        "params": {"messages": SKY},
        "result": {"type": "succeeded", "message": {"type": "message", "content": [{"type": "text", "text": "Blue"}]}},
    },
    "openai_completions": {
        "request": {"prompt": "Colour of the sky?"},
        "response": {"choices": [{"text": "Blue", "finish_reason": "stop"}]},
    },
    "openai_stored": {"object": "chat.completion", **_ANSWER, "_messages": {"data": SKY}},
    "gemini": {
        "request": {"contents": [{"role": "user", "parts": [{"text": "Colour of the sky?"}]}]},
        "response": {
            "candidates": [{"content": {"role": "model", "parts": [{"text": "Blue"}]}, "finishReason": "STOP"}]
        },
    },
    "cohere": {"request": {"message": "Colour of the sky?"}, "response": {"text": "Blue", "finish_reason": "COMPLETE"}},
    "bedrock_calls": {"request": _CONVERSE, "response": _CONVERSED},
    "bedrock": {
        "schemaType": "ModelInvocationLog",
        "operation": "Converse",
        "requestId": "q1",
        "input": {"inputBodyJson": _CONVERSE},
        "output": {"outputBodyJson": _CONVERSED},
    },
    "helicone": {
        "request_id": "h1",
        "request_created_at": "2026-11-20T09:00:00Z",
        "request_body": {"messages": SKY},
        "response_body": _ANSWER,
    },
    "litellm": {"call_type": "completion", "model_group": "m", "messages": SKY, "response": _ANSWER, "id": "l1"},
    "vllora": {
        "operation_name": "model_call",
        "trace_id": "t1",
        "span_id": "v1",
        "attribute": {"request": json.dumps({"model": "m", "messages": SKY}), "output": json.dumps(_ANSWER)},
    },
    "langsmith": {
        "run_type": "llm",
        "id": "s1",
        "dotted_order": "1",
        "inputs": {"messages": [[_human("Colour of the sky?")]]},
        "outputs": {"generations": [[{"text": "Blue", "message": _ai("Blue")}]]},
    },
    "langfuse": {
        "traceId": "t1",
        "id": "o1",
        "type": "GENERATION",
        "input": json.dumps({"messages": SKY}),
        "output": json.dumps(BLUE),
    },
    "otel_genai": {
        "traceId": "t1",
        "spanId": "g1",
        "attributes": _otlp(
            **{
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps(
                    [{"role": "user", "parts": [{"type": "text", "content": "Colour of the sky?"}]}]
                ),
                "gen_ai.output.messages": json.dumps(
                    [{"role": "assistant", "parts": [{"type": "text", "content": "Blue"}], "finish_reason": "stop"}]
                ),
            }
        ),
    },
    "openllmetry": {
        "trace_id": "t1",
        "span_id": "p1",
        "attributes": {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Colour of the sky?",
            "gen_ai.completion.0.content": "Blue",
        },
    },
    "vercel_ai": {
        "trace_id": "t1",
        "span_id": "a1",
        "attributes": {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps(
                [{"role": "user", "content": [{"type": "text", "text": "Colour of the sky?"}]}]
            ),
            "ai.response.text": "Blue",
            "ai.response.finishReason": "stop",
        },
    },
    "openinference": {
        "context": {"trace_id": "t1", "span_id": "i1"},
        "span_kind": "LLM",
        "attributes": {
            "llm.input_messages": [{"message": {"role": "user", "content": "Colour of the sky?"}}],
            "llm.output_messages": [{"message": {"role": "assistant", "content": "Blue"}}],
        },
    },
    "otel_other": {"trace_id": "t1", "span_id": "x1", "attributes": {"http.method": "GET"}},
    "sharegpt": {"conversations": [{"from": "human", "value": "Colour of the sky?"}, {"from": "gpt", "value": "Blue"}]},
    "alpaca": {"instruction": "Colour of the sky?", "input": "", "output": "Blue"},
    "tau_bench": {"task_id": 1, "reward": 1.0, "traj": [*SKY, BLUE]},
    "table": {"question": "Colour of the sky?", "answer": "Blue", "level": 1},
}

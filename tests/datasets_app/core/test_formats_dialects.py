"""What the formats make of what their vendors do differently: calls, results, streams, failures, dialects."""

from __future__ import annotations

import json

import pytest

from datasets_app.core.formats import parse, readings, recognise
from datasets_app.core.records import Trace, Unreadable
from tests.datasets_app.core.examples import LINES

ASKED = {"role": "user", "content": "Rain today?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "dry"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ANSWER = {"role": "assistant", "content": "No rain."}


def the(line: dict) -> Trace:
    ((_, trace),) = readings(line, "auto", "chat")
    if isinstance(trace, Unreadable):
        raise trace
    return trace


def refusal(line: dict) -> str:
    with pytest.raises(Unreadable) as refused:
        the(line)
    return str(refused.value)


def talk(trace: Trace) -> list[dict]:
    """The whole conversation without the names of tools."""
    return [{k: v for k, v in m.items() if k != "name"} for m in trace.messages + trace.output_messages]


def otlp(attributes: dict, **span) -> dict:
    given = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    spans = [{"traceId": "t1", "spanId": "s1", "attributes": given, **span}]
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}


# --- one conversation with a tool, as each vendor writes it ----------------------------------------------------------

ANTHROPIC = [
    ASKED,
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "dry"}]}],
    },
]
CONVERSE = [
    {"role": "user", "content": [{"text": "Rain today?"}]},
    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Bern"}}}]},
    {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "dry"}]}}]},
]
GEMINI = [
    {"role": "user", "parts": [{"text": "Rain today?"}]},
    {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Bern"}}}]},
    {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "weather", "response": "dry"}}]},
]
RESPONSES = [
    {"type": "message", "role": "user", "content": "Rain today?"},
    {"type": "reasoning", "summary": []},
    {"type": "function_call", "id": "fc", "call_id": "c1", "name": "weather", "arguments": '{"city":"Bern"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "dry"},
]
GENAI = [
    {"role": "user", "parts": [{"type": "text", "content": "Rain today?"}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Hm."},
            {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Bern"}},
        ],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "dry"}]},
]
VERCEL = [
    {"role": "user", "content": [{"type": "text", "text": "Rain today?"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": {"city": "Bern"}},
        ],
    },
    {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "c1",
                "toolName": "weather",
                "output": {"type": "text", "value": "dry"},
            },
        ],
    },
]
NUMBERED = {
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Rain today?",
    "gen_ai.prompt.3.role": "assistant",
    "gen_ai.prompt.3.tool_calls.0.id": "c1",
    "gen_ai.prompt.3.tool_calls.0.name": "weather",
    "gen_ai.prompt.3.tool_calls.0.arguments": '{"city":"Bern"}',
    "gen_ai.prompt.10.role": "tool",
    "gen_ai.prompt.10.content": "dry",
    "gen_ai.prompt.10.tool_call_id": "c1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "No rain.",
    "gen_ai.completion.0.finish_reason": "stop",
    "llm.request.functions.0.name": "weather",
    "llm.request.functions.0.parameters": '{"type": "object"}',
}
PHOENIX = {
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "Rain today?",
    "llm.input_messages.1.message.role": "assistant",
    "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": '{"city":"Bern"}',
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.tool_call_id": "c1",
    "llm.input_messages.2.message.content": "dry",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "No rain.",
    "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    "llm.invocation_parameters": '{"temperature": 0}',
    "session.id": "s9",
}
EVENTS = [
    {"name": "gen_ai.user.message", "attributes": {"content": "Rain today?"}},
    {"name": "gen_ai.assistant.message", "attributes": {"tool_calls": json.dumps([CALL])}},
    {"name": "gen_ai.tool.message", "attributes": {"id": "c1", "content": "dry"}},
    {"name": "gen_ai.choice", "attributes": {"finish_reason": "stop", "message": json.dumps(ANSWER)}},
]


def langchain(kind: str, **kwargs) -> dict:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", kind], "kwargs": kwargs}


SAME = {
    "anthropic": {
        "request": {
            "max_tokens": 9,
            "messages": ANTHROPIC,
            "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        },
        "response": {"type": "message", "content": [{"type": "text", "text": "No rain."}], "stop_reason": "end_turn"},
    },
    "bedrock_calls": {
        "request": {
            "messages": CONVERSE,
            "toolConfig": {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]},
        },
        "response": {
            "output": {"message": {"role": "assistant", "content": [{"text": "No rain."}]}},
            "stopReason": "end_turn",
        },
    },
    "gemini": {
        "request": {
            "contents": GEMINI,
            "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT"}}]}],
        },
        "response": {
            "candidates": [
                {"content": {"parts": [{"text": "Hm.", "thought": True}, {"text": "No rain."}]}, "finishReason": "STOP"}
            ]
        },
    },
    "openai_responses": {
        "object": "response",
        "input": RESPONSES,
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "No rain."}]}],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    },
    "otel_genai": otlp(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps(GENAI),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "No rain."}]}]
            ),
            "gen_ai.tool.definitions": json.dumps(
                [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
            ),
        }
    ),
    "vercel_ai": otlp(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps(VERCEL),
            "ai.prompt.tools": json.dumps([{"type": "function", "name": "weather", "inputSchema": {"type": "object"}}]),
            "ai.response.text": "No rain.",
        }
    ),
    "openllmetry": {"trace_id": "t1", "span_id": "s1", "attributes": NUMBERED},
    "openinference": {"context": {"trace_id": "t1", "span_id": "s1"}, "span_kind": "LLM", "attributes": PHOENIX},
    "langsmith": {
        "run_type": "llm",
        "inputs": {
            "messages": [
                [
                    langchain("HumanMessage", content="Rain today?"),
                    langchain(
                        "AIMessage", content="", tool_calls=[{"id": "c1", "name": "weather", "args": {"city": "Bern"}}]
                    ),
                    langchain("ToolMessage", content="dry", tool_call_id="c1"),
                ]
            ]
        },
        "outputs": {"generations": [[{"message": langchain("AIMessage", content="No rain.")}]]},
        "extra": {"invocation_params": {"model": "m", "tools": [TOOL]}},
    },
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "Rain today?"},
            {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Bern"}}'},
            {"from": "observation", "value": "dry"},
            {"from": "gpt", "value": "No rain."},
        ],
        "tools": json.dumps([{"name": "weather", "parameters": {"type": "object"}}]),
    },
}


@pytest.mark.parametrize("name", SAME)
def test_a_conversation_with_a_tool_is_the_same_from_every_vendor(name):
    ((found, trace),) = readings(SAME[name], "auto", "chat")
    assert found == name
    own_ids = name == "sharegpt"  # it has none
    expected = [ASKED, CALLING, RESULT, ANSWER]
    if own_ids:
        expected = json.loads(json.dumps(expected).replace('"c1"', '"call_1"'))
    assert talk(trace) == expected
    assert trace.tools == [TOOL]
    assert trace.output["finish_reason"] == "stop"


def test_the_dialects_of_spans_up_to_1_36_are_events():
    line = {"trace_id": "t1", "span_id": "s1", "attributes": {"gen_ai.operation.name": "chat"}, "events": EVENTS}
    assert recognise(line) == "otel_genai"
    assert talk(the(line)) == [ASKED, CALLING, RESULT, ANSWER]


def test_columns_of_a_table_of_spans_and_nested_attributes_are_read_alike():
    flat = {f"attributes.{key}": value for key, value in PHOENIX.items()}
    columns = {"context.trace_id": "t1", "context.span_id": "s1", "span_kind": "LLM", **flat}
    nested = {
        "context": {"trace_id": "t1", "span_id": "s1"},
        "span_kind": "LLM",
        "attributes": {
            "llm": {
                "input_messages": [{"message": m} for m in (ASKED, CALLING, RESULT)],
                "output_messages": [{"message": ANSWER}],
                "tools": [{"tool": {"json_schema": json.dumps(TOOL)}}],
                "invocation_parameters": '{"temperature": 0}',
            },
            "session": {"id": "s9"},
        },
    }
    for line in (columns, nested):
        trace = the(line)
        assert talk(trace) == [ASKED, CALLING, RESULT, ANSWER]
        assert (trace.span_id, trace.session_id, trace.tools) == ("s1", "s9", [TOOL])
        assert (trace.metadata["trace_id"], trace.metadata["parameters"]) == ("t1", {"temperature": 0})


def test_structured_values_and_times_of_otlp():
    text = {"key": "type", "value": {"stringValue": "text"}}
    part = {"kvlistValue": {"values": [text, {"key": "content", "value": {"stringValue": "Rain today?"}}]}}
    parts = {"key": "parts", "value": {"arrayValue": {"values": [part]}}}
    message = {"kvlistValue": {"values": [{"key": "role", "value": {"stringValue": "user"}}, parts]}}
    line = otlp({"gen_ai.operation.name": "chat"}, startTimeUnixNano="1763800300000000000", parentSpanId="p1")
    span = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] += [
        {"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": [message]}}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
    ]
    trace = the(line)
    assert trace.messages == [ASKED]
    assert (trace.started_at, trace.metadata["parent_id"]) == (1763800300.0, "p1")
    assert trace.metadata["usage"] == {"input_tokens": 12}


def test_calls_without_ids_get_ids_that_their_results_name():
    contents = [
        {"role": "user", "parts": [{"text": "Rain and wind?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": n, "args": {}}} for n in ("rain", "wind", "rain")]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": n, "response": {n: 1}}} for n in ("wind", "rain", "rain")],
        },
    ]
    trace = the({"request": {"contents": contents}, "response": {"candidates": []}})
    assert [call["id"] for call in trace.messages[1]["tool_calls"]] == ["call_1", "call_2", "call_3"]
    assert [(m["tool_call_id"], m["content"]) for m in trace.messages[2:]] == [
        ("call_2", '{"wind":1}'),
        ("call_1", '{"rain":1}'),
        ("call_3", '{"rain":1}'),
    ]


def test_roles_and_pictures():
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    line = {
        "request": {
            "max_tokens": 5,
            "system": [{"type": "text", "text": "Be short."}],
            "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}],
        },
        "response": {"type": "message", "content": [{"type": "text", "text": "A cat."}], "stop_reason": "end_turn"},
    }
    system, user = the(line).messages
    assert system == {"role": "system", "content": "Be short."}
    assert user["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "What is it?"},
    ]
    older = the(
        {
            "request": {
                "message": "c",
                "chat_history": [{"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b"}],
                "preamble": "p",
            },
            "response": {"text": "d"},
        }
    )
    assert [(m["role"], m["content"]) for m in older.messages] == [
        ("system", "p"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_alpaca_with_history():
    trace = the({"instruction": "c", "input": "more", "output": "d", "system": "s", "history": [["a", "b"]]})
    assert [m["content"] for m in trace.messages + trace.output_messages] == ["s", "a", "b", "c\nmore", "d"]


# --- streams ---------------------------------------------------------------------------------------------------------

ANTHROPIC_STREAM = [
    {"type": "message_start", "message": {"id": "m1", "model": "claude", "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "I "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "look."}},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Bern"}'}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
]
CONVERSE_STREAM = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "I look."}}},
    {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c1", "name": "weather"}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city":'}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '"Bern"}'}}}},
    {"messageStop": {"stopReason": "tool_use"}},
]
COHERE_STREAM = [
    {"type": "message-start", "id": "m1"},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "I look."}}}},
    {
        "type": "tool-call-start",
        "index": 0,
        "delta": {"message": {"tool_calls": {"id": "c1", "function": {"name": "weather", "arguments": ""}}}},
    },
    {
        "type": "tool-call-delta",
        "index": 0,
        "delta": {"message": {"tool_calls": {"function": {"arguments": '{"city":"Bern"}'}}}},
    },
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
]
GEMINI_STREAM = [
    {"candidates": [{"content": {"parts": [{"text": "I "}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "look."}]}}]},
    {
        "candidates": [
            {
                "content": {"parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Bern"}}}]},
                "finishReason": "STOP",
            }
        ]
    },
]
RESPONSES_STREAM = [
    {"type": "response.created", "response": {"object": "response", "status": "in_progress"}},
    {
        "type": "response.completed",
        "response": {
            "object": "response",
            "status": "completed",
            "output": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Bern"}'},
            ],
        },
    },
]
STREAMS = {
    "anthropic": ({"max_tokens": 9, "model": "claude", "system": "", "messages": [ASKED]}, ANTHROPIC_STREAM),
    "bedrock_calls": ({"inferenceConfig": {}, "messages": [ASKED]}, CONVERSE_STREAM),
    "cohere": ({"message": "Rain today?"}, COHERE_STREAM),
    "gemini": ({"contents": [ASKED]}, GEMINI_STREAM),
    "openai_responses": ({"input": "Rain today?"}, RESPONSES_STREAM),
}


def sent(events: list[dict]) -> str:
    return "".join(f"event: {event.get('type', 'x')}\ndata: {json.dumps(event)}\n\n" for event in events)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_of_every_vendor_are_put_together_again(name):
    request, events = STREAMS[name]
    for response in (events, sent(events)):
        trace = parse({"request": request, "response": response}, name)
        assert trace.messages == [ASKED]
        assert trace.output["messages"] == [{"role": "assistant", "content": "I look.", "tool_calls": [CALL]}]
    for half in (events[:-1], sent(events[:-1])):
        with pytest.raises(Unreadable) as refused:
            parse({"request": request, "response": half}, name)
        assert str(refused.value) == "The stream of the answer ends in its middle, so the answer is not whole."


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (
            {"inputText": "Hi"},
            [{"outputText": "He", "completionReason": None}, {"outputText": "llo", "completionReason": "FINISH"}],
        ),
        ({"prompt": "Hi"}, [{"generation": "He", "stop_reason": None}, {"generation": "llo", "stop_reason": "stop"}]),
        ({"prompt": "Hi"}, [{"text": "He", "is_finished": False}, {"text": "llo", "finish_reason": "COMPLETE"}]),
    ],
)
def test_plain_streams_in_an_invocation_log(body, events):
    line = {
        "schemaType": "ModelInvocationLog",
        "operation": "InvokeModelWithResponseStream",
        "input": {"inputBodyJson": body},
        "output": {"outputBodyJson": [{"chunk": event} for event in events]},
    }
    assert [m["content"] for m in talk(the(line))] == ["Hi", "Hello"]


# --- what is refused, and in which words -----------------------------------------------------------------------------

FAILED = "The call failed, so there is no answer to keep: "


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "helicone",
            {"response_status": 429, "response_body": {"error": {"message": "Slow down"}}},
            FAILED + "Slow down",
        ),
        ("helicone", {"request_body": None}, "The export has no bodies; export again with the bodies included."),
        ("litellm", {"status": "failure", "error_str": "Slow down"}, FAILED + "Slow down"),
        (
            "litellm",
            {"messages": "redacted-by-litellm"},
            "The content was redacted when it was logged; switch message logging on and export again.",
        ),
        ("langsmith", {"error": "Slow down"}, FAILED + "Slow down"),
        ("langsmith", {"run_type": "chain"}, "A run of type chain is no call of a model."),
        ("langfuse", {"level": "ERROR", "statusMessage": "Slow down"}, FAILED + "Slow down"),
        ("langfuse", {"type": "SPAN"}, "An observation of type SPAN is no call of a model."),
        ("langfuse", {"input": None}, "The call holds no messages; its content was not recorded."),
        (
            "langfuse",
            {"input": "user: Rain?\nassistant: None\ntool: dry"},
            "The messages were flattened to text when they were logged, and the tool calls were lost.",
        ),
        ("openllmetry", {"status": {"code": 2, "message": "Slow down"}}, FAILED + "Slow down"),
        ("openinference", {"status_code": "ERROR", "status_message": "Slow down"}, FAILED + "Slow down"),
        ("openinference", {"span_kind": "TOOL"}, "A span of kind TOOL is no call of a model."),
        (
            "openai_responses",
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "The answer was cut off (finish reason max_output_tokens), so there is no whole answer to keep.",
        ),
        ("openai_responses", {"status": "failed", "error": {"message": "Slow down"}}, FAILED + "Slow down"),
        (
            "openai_responses",
            {"previous_response_id": "r0"},
            "The conversation before this answer is in another one (previous_response_id), so the prompt is not whole.",
        ),
        (
            "openai_stored",
            {"_messages": None},
            "A stored completion comes without its messages; download them too and put them beside it as messages.",
        ),
        ("bedrock", {"errorCode": "ThrottlingException"}, FAILED + "ThrottlingException"),
        ("bedrock", {"operation": "ListModels"}, "The operation ListModels is no call of a chat model."),
        (
            "bedrock",
            {"input": {"inputBodyS3Path": "s3://b/k"}},
            "The input was too big for the log and is in S3: s3://b/k.",
        ),
        (
            "anthropic_batch",
            {"params": None},
            "A batch result has no prompt; put the request's params beside it under params.",
        ),
        ("anthropic_batch", {"result": {"type": "expired"}}, FAILED + "expired"),
        ("vllora", {"attribute": {"error": "Slow down"}}, FAILED + "Slow down"),
        ("vllora", {"attribute": {}}, "The span model_call holds no request to a model."),
    ],
)
def test_what_cannot_become_a_record_says_why(name, change, sentence):
    assert refusal({**LINES[name], **change}) == sentence


def test_the_vendors_words_for_an_answer_that_was_cut_off():
    answers = {
        "anthropic": {"type": "message", "content": [{"type": "text", "text": "No"}], "stop_reason": "max_tokens"},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "No"}]}, "finishReason": "MAX_TOKENS"}]},
        "cohere": {"text": "No", "finish_reason": "MAX_TOKENS"},
        "openai_completions": {"choices": [{"text": "No", "finish_reason": "length"}]},
    }
    for name, response in answers.items():
        assert refusal({**LINES[name], "response": response}).startswith("The answer was cut off (finish reason ")

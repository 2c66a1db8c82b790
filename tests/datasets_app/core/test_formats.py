from __future__ import annotations

import json

import pytest
from hypothesis import given

from datasets_app.core.formats import FORMATS, TABLE, detect, kind_of, parse, recognise
from datasets_app.core.formats.base import epoch_seconds
from datasets_app.core.formats.openai_stream import joined_chunks
from datasets_app.core.records import Unreadable
from tests.datasets_app.core.strategies import any_json, objects

SYSTEM = {"role": "system", "content": "You help with refunds."}
USER = {"role": "user", "content": "Order 81 arrived broken."}
ANSWER = {"role": "assistant", "content": "A new one is on its way."}
TOOL = {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id":81}'}}
REQUEST = {"model": "gpt-4.1-mini", "temperature": 0.2, "messages": [SYSTEM, USER], "tools": [TOOL]}
RESPONSE = {
    "id": "chatcmpl-1",
    "created": 1763800001,
    "model": "gpt-4.1-mini-2025-04-14",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {**ANSWER, "refusal": None}}],
    "usage": {"prompt_tokens": 41},
}
OUTPUT = {"messages": [ANSWER], "tool_calls": [], "finish_reason": "stop"}


# --- the table -------------------------------------------------------------------------------------------------------


@given(any_json)
def test_recognising_and_reading_never_crash(value):
    for line in (value, {"messages": value}, {"input": value, "output": value}, {"request": value, "response": value}):
        recognise(line)
        for name in FORMATS:
            try:
                parse(line, name)
            except Unreadable as error:
                assert str(error)


@given(objects, any_json)
def test_logs_with_anything_inside_never_crash(extra, value):
    request = {"model": "m", "messages": value, "tools": value, "functions": value}
    for response in (value, {"choices": value}, {"choices": [{"message": value, "delta": value}]}, {"error": value}):
        line = {**extra, "request": request, "response": response}
        if recognise(line) == "openai_chat":
            try:
                parse(line, "openai_chat")
            except Unreadable as error:
                assert str(error)


def test_shares_are_of_all_records_and_add_up_with_what_is_unknown():
    sample = [{"messages": [USER]}] * 5 + [{"input": {"messages": [USER]}}] * 3 + ["text", {"order": "x"}]
    assert detect(sample) == [("chat", 0.5), ("canonical", 0.3)]
    assert detect([{"order": "x"}, 1]) == []
    assert detect([]) == []


def test_the_common_forms_are_told_apart():
    lines = {
        "openai_chat": {"request": REQUEST, "response": RESPONSE},
        "canonical": {"input": {"messages": [USER]}, "output": {"messages": []}},
        "chat": {"messages": [USER], "order": 7},
    }
    assert {name: recognise(line) for name, line in lines.items()} == {name: name for name in lines}
    assert [known.name for known in TABLE][:3] == list(lines)
    assert recognise({"order": 7}) is None


def test_only_objects_can_be_records():
    for value, kind in (([], "a list"), ("x", "text"), (1.5, "a number"), (True, "a boolean"), (None, "null")):
        assert kind_of(value) == kind
        with pytest.raises(Unreadable) as refused:
            parse(value, "chat")
        assert str(refused.value) == f"The line holds {kind}, not a JSON object."
    assert kind_of({}) == "an object"


# --- canonical -------------------------------------------------------------------------------------------------------


def test_canonical_lines_flat_and_wrapped_are_the_same_record():
    payload = {"input": {"messages": [SYSTEM, USER], "tools": [TOOL]}, "output": OUTPUT}
    beside = {"span_id": "s1", "reference_answer": "refund", "metadata": {"a": 1}, "order": 7}
    flat, wrapped = (parse({**form, **beside}, "canonical") for form in (payload, {"data": payload}))
    assert flat == wrapped
    assert (flat.data, flat.fields, flat.metadata, flat.span_id) == (payload, {"order": 7}, {"a": 1}, "s1")
    assert (flat.has_reference, flat.reference_answer) == (True, "refund")


def test_canonical_input_is_split_only_without_an_output():
    whole = {"input": {"messages": [SYSTEM, USER, ANSWER]}}
    assert parse(whole, "canonical").data == {"input": {"messages": [SYSTEM, USER]}, "output": OUTPUT}
    kept = {**whole, "output": {"messages": []}}
    assert parse(kept, "canonical").data == kept


# --- chat rows -------------------------------------------------------------------------------------------------------


def test_chat_row_for_reinforcement_fine_tuning():
    row = {"messages": [SYSTEM, USER], "reference_answer": {"label": "refund"}, "order": 7, "tools": [TOOL]}
    trace = parse(row, "chat")
    assert trace.data == {"input": {"messages": [SYSTEM, USER], "tools": [TOOL]}}
    assert (trace.reference_answer, trace.fields, trace.split) == ({"label": "refund"}, {"order": 7}, 0)


def test_the_end_of_a_whole_conversation_becomes_the_output():
    trace = parse({"messages": [SYSTEM, USER, ANSWER]}, "chat")
    assert trace.data == {"input": {"messages": [SYSTEM, USER]}, "output": OUTPUT}
    assert trace.split == 1


def test_the_assistants_turn_includes_its_tool_calls_and_their_results():
    turn = [{"role": "assistant", "content": None, "tool_calls": [CALL]}]
    turn += [{"role": "tool", "tool_call_id": "c1", "content": "{}"}, ANSWER]
    trace = parse({"messages": [USER, ANSWER, USER, *turn]}, "chat")
    assert trace.messages == [USER, ANSWER, USER]
    assert (trace.output["messages"], trace.split) == (turn, 3)


@pytest.mark.parametrize(
    "messages", [[USER], [ANSWER], [USER, ANSWER, {"role": "tool", "content": "x"}], [], None, "x"]
)
def test_nothing_is_split_where_there_is_no_answer_to_a_user(messages):
    trace = parse({"messages": messages}, "chat")
    assert (trace.data, trace.split) == ({"input": {"messages": messages}}, 0)


def test_a_call_at_the_end_is_the_output_too():
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    trace = parse({"messages": [USER, calling]}, "chat")
    assert trace.output == {"messages": [calling], "tool_calls": [CALL], "finish_reason": "tool_calls"}


def test_openai_words_become_ours():
    legacy = [
        {"role": "developer", "content": "Be kind.", "name": None},
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "get_order", "arguments": {"id": 81}}},
        {"role": "function", "name": "get_order", "content": "{}"},
        USER,
    ]
    trace = parse({"messages": legacy, "functions": [TOOL["function"]]}, "chat")
    made = {"id": "call_2", "type": "function", "function": {"name": "get_order", "arguments": '{"id":81}'}}
    assert trace.messages == [
        {"role": "system", "content": "Be kind."},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "name": "get_order", "content": "{}", "tool_call_id": "call_2"},
        USER,
    ]
    assert trace.tools == [TOOL]


def test_metadata_that_is_no_object_is_kept_as_a_field():
    assert parse({"messages": [USER], "metadata": "batch 3"}, "chat").fields == {"metadata": "batch 3"}


# --- OpenAI logs -----------------------------------------------------------------------------------------------------

SPELLINGS = {
    "request/response": {"request": REQUEST, "response": RESPONSE},
    "req/res": {"req": REQUEST, "res": RESPONSE},
    "input/output": {"input": REQUEST, "output": RESPONSE},
    "body/response": {"custom_id": "r1", "body": REQUEST, "response": {"status_code": 200, "body": RESPONSE}},
    "bodies": {"request": {"body": REQUEST}, "response": {"body": RESPONSE}},
    "text": {"request": json.dumps(REQUEST), "response": json.dumps(RESPONSE)},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_call_is_the_same_record(spelling):
    line = SPELLINGS[spelling]
    assert recognise(line) == "openai_chat"
    trace = parse(line, "openai_chat")
    assert trace.data == {"input": {"messages": [SYSTEM, USER], "tools": [TOOL]}, "output": OUTPUT}
    assert (trace.span_id, trace.started_at) == ("chatcmpl-1", 1763800001.0)
    expected = {
        "model": "gpt-4.1-mini-2025-04-14",
        "usage": {"prompt_tokens": 41},
        "parameters": {"model": "gpt-4.1-mini", "temperature": 0.2},
    }
    expected["parameters"].pop("model")
    assert trace.metadata == expected | ({"custom_id": "r1"} if "custom_id" in line else {})


@pytest.mark.parametrize("beside", [{"response": RESPONSE}, {k: RESPONSE[k] for k in ("id", "created", "choices")}])
def test_a_request_at_the_top_level(beside):
    line = {**REQUEST, **beside, "metadata": {"env": "prod"}}
    assert recognise(line) == "openai_chat"
    trace = parse(line, "openai_chat")
    assert trace.data == {"input": {"messages": [SYSTEM, USER], "tools": [TOOL]}, "output": OUTPUT}
    assert trace.metadata["env"] == "prod"


def test_what_the_log_says_around_the_call_is_kept():
    line = {
        "timestamp": "2026-11-20T09:00:00Z",
        "client_id": "acme",
        "span_id": "s7",
        "reference_answer": "refund",
        "metadata": {"env": "prod"},
        "request": {"model": "m", "messages": [USER]},
        "response": {"choices": []},
    }
    trace = parse(line, "openai_chat")
    assert (trace.span_id, trace.reference_answer, trace.started_at) == ("s7", "refund", 1795165200.0)
    assert trace.metadata == {"timestamp": "2026-11-20T09:00:00Z", "client_id": "acme", "env": "prod", "model": "m"}
    assert "output" not in trace.data


def test_a_request_alone_is_a_prompt():
    trace = parse({"custom_id": "r1", "body": {"model": "m", "messages": [USER, ANSWER]}}, "openai_chat")
    assert (trace.messages, trace.output_messages, trace.split) == ([USER], [ANSWER], 1)


def test_a_call_that_failed_says_why():
    line = {"request": REQUEST, "response": {"error": {"message": "The model does not exist", "type": "x"}}}
    assert recognise(line) == "openai_chat"
    with pytest.raises(Unreadable) as refused:
        parse(line, "openai_chat")
    assert str(refused.value) == "The call failed, so there is no answer to keep: The model does not exist"
    assert detect([line]) == []


def test_a_line_without_a_request_is_refused():
    with pytest.raises(Unreadable) as refused:
        parse({"messages": [USER]}, "openai_chat")
    assert str(refused.value) == "The line has no request with messages, so it is not an OpenAI chat log entry."


CHUNKS = [
    {"object": "chat.completion.chunk", "id": "chatcmpl-2", "created": 5, "choices": [{"index": 0, "delta": delta}]}
    for delta in (
        {"role": "assistant", "content": "A new "},
        {"content": "one is on its way."},
        {
            "tool_calls": [
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_order", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"id"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":81}"}}]},
    )
]
CHUNKS.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 3}})


def test_half_an_answer_is_no_answer():
    for response in (CHUNKS[:-1], "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS[:-1])):
        with pytest.raises(Unreadable) as refused:
            parse({"request": REQUEST, "response": response}, "openai_chat")
        assert str(refused.value) == "The stream of the answer ends in its middle, so the answer is not whole."
    cut = {"choices": [{"message": ANSWER, "finish_reason": "length"}]}
    with pytest.raises(Unreadable) as refused:
        parse({"request": REQUEST, "response": cut}, "openai_chat")
    assert str(refused.value) == ("The answer was cut off (finish reason length), so there is no whole answer to keep.")


@pytest.mark.parametrize("ending", ["data: [DONE]\n\n", "", 'data: {"choices": [{"del'])
def test_streams_are_put_together_again(ending):
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + ending
    for response in (CHUNKS, text):
        trace = parse({"request": REQUEST, "response": response}, "openai_chat")
        assert trace.output == {
            "messages": [{**ANSWER, "tool_calls": [CALL]}],
            "tool_calls": [CALL],
            "finish_reason": "tool_calls",
        }
        assert (trace.span_id, trace.metadata["usage"]) == ("chatcmpl-2", {"total_tokens": 3})


@given(any_json)
def test_joining_leaves_what_is_no_stream_alone(value):
    for response in (value, [value], [{"choices": [value]}]):
        if "delta" not in json.dumps(response):
            assert joined_chunks(response) == response


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1763800001, 1763800001.0),
        (1763800001.5, 1763800001.5),
        (1763800001500, 1763800001.5),
        (1763800001500000, 1763800001.5),
        ("1763800001500000000", 1763800001.5),
        ("2025-11-22T08:26:41Z", 1763800001.0),
        ("2025-11-22 09:26:41.500+01:00", 1763800001.5),
        ("2025-11-22T08:26:41", 1763800001.0),
        ("soon", None),
        ("nan", None),
        (True, None),
        (None, None),
        (-5, None),
        (10**400, None),
    ],
)
def test_times_of_every_kind(value, seconds):
    assert epoch_seconds(value) == seconds

"""Whole records: where things are found in them, and what taking them out leaves behind."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.pii.kinds import KINDS
from datasets_app.core.pii.masking import context, masked
from datasets_app.core.pii.names import installed_models, names_detector
from datasets_app.core.pii.redacting import Numbering, normalised, redact, redacted_text, value_digest
from datasets_app.core.pii.scanning import find
from datasets_app.core.pii.traces import Text, findings, label_of, rewritten
from datasets_app.core.records import Trace, dumps, loads
from tests.datasets_app.core.strategies import any_json, objects
from tests.datasets_app.pii.examples import EXAMPLES, random_text

TOOL = {"type": "function", "function": {"name": "mail", "description": "Ask root@example.org", "parameters": {}}}


def call(arguments: object) -> dict:
    return {"id": "c1", "type": "function", "function": {"name": "send", "arguments": arguments}}


def conversation(text: str, arguments: object = "{}", result: str = "{}") -> Trace:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call(arguments)]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
        {"role": "user", "content": text},
    ]
    return Trace({"input": {"messages": messages, "tools": [TOOL]}, "output": {"messages": []}})


def kinds_of(trace: Trace) -> list[tuple[str, str]]:
    return [(seen.finding.kind, seen.finding.value) for seen in findings(trace)]


def test_every_text_of_a_record_is_looked_through():
    trace = replace(
        conversation("ann@a.example", '{"to":{"email":"bob@b.example"},"n":3}', '["carl@c.example"]'),
        has_reference=True,
        reference_answer={"reply": "Write to dora@d.example"},
        fields={"customer": ["eve@e.example"]},
        metadata={"session": {"userPhone": "030 123456", "password": "Tr0ub4dor", "card": 4111111111111111}},
    )
    trace.data["output"]["messages"] = [{"role": "assistant", "content": "I wrote to fay@f.example."}]
    assert kinds_of(trace) == [
        ("email", "ann@a.example"),
        ("email", "bob@b.example"),
        ("email", "carl@c.example"),
        ("email", "ann@a.example"),
        ("email", "root@example.org"),
        ("email", "fay@f.example"),
        ("email", "dora@d.example"),
        ("email", "eve@e.example"),
        ("phone", "030 123456"),
        ("password", "Tr0ub4dor"),
        ("card", "4111111111111111"),
    ]


def test_the_frame_of_a_conversation_is_not_text():
    trace = conversation("hello there")
    trace.data["input"]["messages"][3]["tool_call_id"] = "ann@a.example"
    trace.data["input"]["messages"][2]["tool_calls"][0]["function"]["name"] = "bob@b.example"
    assert kinds_of(trace) == [("email", "root@example.org")]


@pytest.mark.parametrize(
    ("key", "label"),
    [("content", ""), ("userPhone", "user Phone: "), ("api_key", "api key: "), ("", ""), ("x-api.key", "x api key: ")],
)
def test_a_key_is_the_label_of_its_value(key, label):
    assert label_of(key) == label


def test_redaction_puts_one_placeholder_for_one_value_everywhere():
    trace = conversation("Ann@a.example, bob@b.example", '{"to": "ANN@A.example"}', '{"card": 4111111111111111}')
    done, count = redact(trace, Numbering())
    messages = done.messages
    assert messages[1]["content"][0] == {"type": "text", "text": "<EMAIL_1>, <EMAIL_2>"}
    assert json.loads(messages[2]["tool_calls"][0]["function"]["arguments"]) == {"to": "<EMAIL_1>"}
    assert json.loads(messages[3]["content"]) == {"card": "<CARD_1>"}
    assert messages[4]["content"] == "<EMAIL_1>, <EMAIL_2>"
    assert done.tools[0]["function"]["description"] == "Ask <EMAIL_3>"
    assert count == 7
    assert trace == conversation(
        "Ann@a.example, bob@b.example", '{"to": "ANN@A.example"}', '{"card": 4111111111111111}'
    )
    assert redact(done, Numbering()) == (done, 0)


def test_only_what_has_a_name_is_replaced():
    done, count = redact(
        conversation("ann@a.example +49 151 2345678"), lambda one: "<X_1>" if one.kind == "phone" else None
    )
    assert (done.messages[4]["content"], count) == ("ann@a.example <X_1>", 2)


def test_nothing_found_is_the_same_record():
    trace = Trace({"input": {"messages": [{"role": "user", "content": "Where is it?"}]}}, metadata={"n": 7})
    assert rewritten(trace, lambda text: text.value) is trace
    assert redact(trace, Numbering())[0] is trace
    assert findings(trace) == []


def test_arguments_that_are_no_json_are_rewritten_as_text():
    done, _ = redact(conversation("hello", '{"to": "ann@a.example"'), Numbering())
    assert done.messages[2]["tool_calls"][0]["function"]["arguments"] == '{"to": "<EMAIL_1>"'


@given(any_json, objects, any_json, st.booleans())
def test_any_record_is_read_and_rewritten(data, fields, reference, has_reference):
    trace = Trace(data, reference, has_reference, fields, {"x": data})
    assert findings(redact(trace, Numbering())[0]) == []


@given(st.integers(0, 2**32))
def test_redaction_leaves_nothing_and_keeps_json_valid(seed):
    source = random.Random(seed)
    arguments = json.dumps({"note": random_text(source), "deep": [{"password": random_text(source)}]})
    trace = conversation(random_text(source), arguments, json.dumps([random_text(source)]))
    done, count = redact(trace, Numbering())
    assert count > 0
    assert findings(done) == []
    for message in done.messages:
        for one in message.get("tool_calls", ()):
            assert json.loads(one["function"]["arguments"]).keys() == {"note", "deep"}
    assert [m["role"] for m in done.messages] == [m["role"] for m in trace.messages]
    assert loads(dumps(done)) == done


@given(st.integers(0, 2**32), st.sampled_from(sorted(KINDS)))
def test_redacting_one_kind_leaves_none_of_it(seed, kind):
    text = random_text(random.Random(seed))
    done = redacted_text(Text("", text), lambda one: "<GONE_1>" if one.kind == kind else None)
    assert kind not in {one.kind for one in find(done)}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "Joe@X.com", "joe@x.com"),
        ("phone", "+41 (0)96 471 07 95", "0041 96 471 07 95"),
        ("card", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("iban", "gb29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819"),
        ("url", "https://X.com/", "https://x.com"),
    ],
)
def test_spellings_of_one_value_are_one(kind, one, other):
    assert normalised(kind, one) == normalised(kind, other)
    assert value_digest(b"k" * 32, kind, one) == value_digest(b"k" * 32, kind, other)


def test_digests_differ_by_key_kind_and_value():
    made = {
        value_digest(key, kind, value)
        for key in (b"a" * 32, b"b" * 32)
        for kind in ("password", "secret_token")
        for value in ("Secret-1", "secret-1")
    }
    assert len(made) == 8
    assert all(len(digest) == 32 for digest in made)


@pytest.mark.parametrize(("kind", "value", "text"), EXAMPLES)
def test_what_is_shown_does_not_hold_the_value(kind, value, text):
    shown = masked(kind, value)
    assert value not in shown
    assert "•••" in shown
    others = find(text)
    before, middle, after = context(text, others[0], others)
    assert value not in before + middle + after


def test_context_masks_its_neighbours_too():
    text = "From ann@a.example to +49 151 2345678 and bob@b.example; " + "word " * 60
    every = find(text)
    before, middle, after = context(text, every[1], every)
    assert (before, middle) == ("From a•••@a•••.example to ", "+4•••78")
    assert after.startswith(" and b•••@b•••.example; word")
    assert len(after) == 49


@pytest.mark.skipif(not installed_models(), reason="needs spaCy and one of its models")
def test_names_are_found_where_a_model_is_installed():
    detector = names_detector()
    assert detector is not None
    found = find("My name is Angela Merkel and I live in Berlin.", [detector])
    assert [(one.kind, one.value) for one in found] == [("person", "Angela Merkel"), ("place", "Berlin")]


def test_without_a_model_there_is_no_detector():
    if not installed_models():
        assert names_detector() is None


def test_a_further_detector_is_asked_and_rules_win_over_names():
    from datasets_app.core.pii.scanning import Finding

    def detect(text):
        at = text.find("Ann")
        return [Finding("person", at, at + 3, "Ann")] if at >= 0 else []

    assert [(one.kind, one.value) for one in find("Ann ann@a.example", [detect])] == [
        ("person", "Ann"),
        ("email", "ann@a.example"),
    ]
    assert [one.kind for one in find("Ann@a.example", [detect])] == ["email"]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets_app.core.dedupe import Match, duplicate_issue
from datasets_app.core.reading import Parsed, read_traces
from datasets_app.core.records import Trace
from datasets_app.core.sanitizing import CODES, Issue, SanitizeConfig, status_of, verdict
from datasets_app.core.tokens import count
from tests.datasets_app.core.real_data import real
from tests.datasets_app.core.strategies import any_json, objects

CONFIG = SanitizeConfig()
SYSTEM = {"role": "system", "content": "You help with refunds."}
USER = {"role": "user", "content": "Order 81 arrived broken."}


def call(number: str | None = "c1") -> dict:
    made = {"type": "function", "function": {"name": "get_order", "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": number, **made} if number else made]}


def result(number: str | None = "c1") -> dict:
    return {"role": "tool", "content": "{}", **({"tool_call_id": number} if number else {})}


def of(*messages, **more) -> Trace:
    return Trace({"input": {"messages": list(messages)}}, **more)


def found(trace: Trace, config: SanitizeConfig = CONFIG, tokens: int | None = None) -> list[tuple[str, str]]:
    return [(issue.code, issue.detail) for issue in verdict(trace, config, tokens)]


BROKEN = [
    (Trace("oops"), "invalid_data_structure", "The payload is text; it must be an object."),
    (Trace({"input": [1]}), "invalid_data_structure", "input is a list; it must be an object with messages."),
    (
        Trace({"input": {"messages": {"0": USER}}}),
        "invalid_data_structure",
        "input.messages is an object; it must be a list.",
    ),
    (
        Trace({"input": {"messages": [USER], "tools": "none"}}),
        "invalid_data_structure",
        "input.tools is text; it must be a list.",
    ),
    (
        Trace({"input": {"messages": [USER]}, "output": "Done"}),
        "invalid_data_structure",
        "output is text; it must be an object.",
    ),
    (of(USER, "hi", USER), "invalid_data_structure", "Message 2 is text; it must be an object with role and content."),
    (of(SYSTEM, {"role": "user", "content": ["hi"]}, USER), "invalid_data_structure",
     "Message 2 has text among its content parts; each must be an object."),
    (of({"role": "assistant", "content": "Hi", "tool_calls": {}}, USER), "invalid_data_structure",
     "Message 1 has an object as tool_calls; it must be a list."),
    (of({"role": "assistant", "content": "Hi", "tool_calls": ["c1"]}, USER), "invalid_data_structure",
     "Message 1 has text among its tool calls; each must be an object."),
    (Trace({}), "missing_input", "The record has no input."),
    (Trace({"input": None}), "missing_input", "The record has no input."),
    (Trace({"input": {}}), "missing_messages", "The input has no messages."),
    (Trace({"input": {"messages": None}}), "missing_messages", "The input has no messages."),
    (of(), "empty_messages", "The list of messages is empty."),
    (of({"content": "Hello there, you"}, USER), "invalid_role", "Message 1 has no role."),
    (of(SYSTEM, {"role": "bot", "content": "Hi"}, USER), "invalid_role",
     "Message 2 has role 'bot'; allowed are system, user, assistant, tool."),
    (of({"role": "assistant", "content": ""}, USER), "missing_content",
     "Message 1 (assistant) has neither content nor tool calls."),
    (of({"role": "assistant"}, USER), "missing_content", "Message 1 (assistant) has neither content nor tool calls."),
    (of({"role": "system", "content": None}, USER), "missing_content", "Message 1 (system) has no content."),
    (of(USER, call(), result()), "last_not_user",
     "The last message (3) has role 'tool'; a prompt must end with the user's."),
    (of(SYSTEM, {"role": "user", "content": " \n "}), "empty_user_message", "Message 2 (user) has no text."),
    (of({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}), "empty_user_message",
     "Message 1 (user) has no text."),
    (of(USER, {"role": "user", "content": "  ok thx  "}), "user_message_too_short",
     "Message 2 (user) has 6 characters; the minimum is 10."),
    (of({"role": "user", "content": "?"}), "user_message_too_short",
     "Message 1 (user) has 1 character; the minimum is 10."),
    (of(SYSTEM, {"role": "user", "content": "Order 81\x0b arrived"}), "control_characters",
     "Message 2 (user) contains U+000B at character 9."),
    (of({"role": "tool", "tool_call_id": "c1", "content": "a\0"}, USER), "control_characters",
     "Message 1 (tool) contains U+0000 at character 2."),
    (of(call(None), USER), "missing_tool_call_id", "Message 1 (assistant) has a tool call without an id."),
    (of(call(), result(None), USER), "missing_tool_call_id", "Message 2 (tool) has no tool_call_id."),
    (of(result("c9"), USER), "orphan_tool_result", "Message 1 (tool) answers 'c9', which no call opened."),
    (of(result("c1"), call("c1"), USER), "orphan_tool_result", "Message 1 (tool) answers 'c1', which no call opened."),
    (of(call(), result(), result(), USER), "orphan_tool_result", "Message 3 (tool) answers 'c1' a second time."),
    (of(USER, has_reference=True), "reference_answer_null", "reference_answer is present but null."),
]  # fmt: skip


@pytest.mark.parametrize(("trace", "code", "detail"), BROKEN)
def test_each_fault_has_its_code_and_says_where(trace, code, detail):
    assert (code, detail) in found(trace)
    assert status_of(verdict(trace, CONFIG)) == "invalid"


VALID = [
    of(USER),
    of(SYSTEM, USER),
    of(SYSTEM, USER, call(), result(), USER),
    of(call("a"), call("b"), result("b"), result("a"), USER),
    of(call(), result(), call(), result(), USER),  # an id that is opened again may be answered again
    of(call(), {"role": "tool", "tool_call_id": "c1", "content": ""}, USER),  # a tool may answer with nothing
    of({"role": "assistant", "content": "Hi", "tool_calls": []}, USER),
    of({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER),
    of({"role": "user", "content": [{"type": "text", "text": "Order 81 arrived"}, {"type": "image_url"}]}),
    of({"role": "user", "content": "Tab\tand\nnew\rline"}),
    of({"role": "user", "content": "1234567890"}),  # exactly the minimum
    of(USER, reference_answer=False, has_reference=True),
    Trace({"input": {"messages": [USER], "tools": [], "tool_choice": "auto"}, "output": {"messages": []}}),
]


@pytest.mark.parametrize("trace", VALID)
def test_valid_records_have_no_issue(trace):
    assert found(trace, tokens=count(trace)) == []
    assert status_of([]) == "valid"


def test_every_code_but_those_of_other_records_is_covered_above():
    covered = {code for _, code, _ in BROKEN}
    assert set(CODES) - covered == {"missing_field", "exceeds_max_tokens", "duplicate", "near_duplicate"}


def test_required_fields():
    config = SanitizeConfig(required_fields=("order", "metadata.intent", "reference_answer"))
    full = of(USER, fields={"order": 0}, metadata={"intent": "refund"}, reference_answer="x", has_reference=True)
    assert found(full, config) == []
    assert found(of(USER, fields={"order": None}), config) == [
        ("missing_field", "The field 'order' is missing or null."),
        ("missing_field", "The field 'metadata.intent' is missing or null."),
        ("missing_field", "The field 'reference_answer' is missing or null."),
    ]


def test_token_limit():
    trace = of({"role": "user", "content": "word " * 9000})
    tokens = count(trace)
    assert found(trace, tokens=tokens) == [("exceeds_max_tokens", f"{tokens:,} tokens; the limit is 8,000.")]
    assert found(trace, SanitizeConfig(max_tokens=tokens), tokens) == []
    assert found(trace) == []


def test_all_codes_that_apply_are_listed_in_the_documented_order():
    trace = of(
        {"role": "bot", "content": "x"},
        {"role": "user", "content": None},
        {"role": "user", "content": "hi\x01"},
        {"role": "tool", "content": "y"},
        result("nobody"),
        has_reference=True,
    )
    codes = [code for code, _ in found(trace, SanitizeConfig(required_fields=("order",)), 9000)]
    assert codes == [
        "invalid_role",
        "missing_content",
        "last_not_user",
        "empty_user_message",
        "user_message_too_short",
        "control_characters",
        "missing_tool_call_id",
        "orphan_tool_result",
        "reference_answer_null",
        "missing_field",
        "exceeds_max_tokens",
    ]
    assert codes == sorted(codes, key=list(CODES).index)


def test_the_config_decides():
    trace = of({"role": "critic", "content": "Hm"}, {"role": "user", "content": "Go"})
    relaxed = SanitizeConfig(min_user_message_length=2, allowed_roles=("critic", "user"))
    assert found(trace, relaxed) == []
    assert found(of({"role": "user", "content": ""}), SanitizeConfig(min_user_message_length=0)) == [
        ("empty_user_message", "Message 1 (user) has no text.")
    ]


@given(any_json, objects, st.integers(0, 10**6))
def test_the_verdict_never_raises(value, fields, tokens):
    config = SanitizeConfig(required_fields=("a", "a.b", "metadata.x", "reference_answer.0"))
    for data in (
        value,
        {"input": value, "output": value},
        {"input": {"messages": value, "tools": value}},
        {"input": {"messages": [value, {"role": value, "content": value}, {"role": "user", "content": [value]}]}},
        {"input": {"messages": [{"role": "assistant", "tool_calls": [value, {"id": value, "function": value}]}]}},
        {"input": {"messages": [{"role": "tool", "tool_call_id": value, "content": value}]}},
    ):
        issues = verdict(Trace(data, value, True, fields, fields), config, tokens)
        assert all(issue.code in CODES and issue.detail.endswith(".") for issue in issues)
        order = [list(CODES).index(issue.code) for issue in issues]
        assert order == sorted(order)


def test_duplicates_as_issues():
    exact = duplicate_issue(Match("duplicate", 12, 1.0), "line 12")
    span = duplicate_issue(Match("duplicate", 12, 1.0, same_span=True), "line 12")
    near = duplicate_issue(Match("near_duplicate", 12, 0.874), "line 12")
    assert exact == Issue("duplicate", "Same conversation as line 12, which is kept.")
    assert span == Issue("duplicate", "Same span id as line 12, which is kept.")
    assert near == Issue("near_duplicate", "User text is 87% the same as that of line 12, which is kept.")
    assert [status_of([issue]) for issue in (exact, near)] == ["duplicate", "duplicate"]


@pytest.mark.parametrize(
    ("given_value", "threshold"), [("off", None), (False, None), (None, None), (True, 0.85), (0.7, 0.7)]
)
def test_near_duplicates_can_be_off(given_value, threshold):
    assert SanitizeConfig(near_duplicates=given_value).near_duplicates == threshold


@pytest.mark.parametrize(
    "wrong",
    [{"near_duplicates": 0}, {"near_duplicates": 1.1}, {"max_tokens": 0}, {"min_user_message_length": -1}, {"typo": 1}],
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValidationError):
        SanitizeConfig(**wrong)


def test_the_config_survives_json():
    config = SanitizeConfig(required_fields=("a",), near_duplicates=None)
    assert SanitizeConfig.model_validate(config.model_dump(mode="json")) == config
    assert SanitizeConfig.model_validate({}) == CONFIG


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("dev-labelled", "banking77_traces.jsonl"), {"valid": 3080}),
        (("dev-labelled", "pii_traces.jsonl"), {"valid": 1494, "user_message_too_short": 6}),
        (("dev-agent-airline", "raw_traces.jsonl"), {"valid": 100}),
        (("dev-agent-airline", "raw_traces_calls.jsonl"), {"valid": 87, "last_not_user": 67}),
        (("dev-rft-gsm8k", "raw_traces.jsonl"), {"valid": 2638}),
    ],
)
def test_verdicts_on_real_traces(parts, expected):
    counts: dict[str, int] = {}
    for entry in read_traces(real(*parts)):
        assert isinstance(entry, Parsed)
        issues = verdict(entry.trace, CONFIG, count(entry.trace))
        code = issues[0].code if issues else "valid"
        counts[code] = counts.get(code, 0) + 1
    assert counts == expected

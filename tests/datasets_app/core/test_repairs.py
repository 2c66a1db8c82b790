from __future__ import annotations

import copy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datasets_app.core.records import Trace
from datasets_app.core.repairs import REPAIRS, ROLE_NAMES, repair
from datasets_app.core.sanitizing import CODES, SanitizeConfig, verdict
from tests.datasets_app.core.strategies import any_json

CONFIG = SanitizeConfig()
USER = {"role": "user", "content": "Order 81 arrived broken."}
ANSWER = {"role": "assistant", "content": "A new one is on its way."}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "{}"}


def of(*messages, **data) -> Trace:
    return Trace({"input": {"messages": list(messages), "tools": []}, **data}, metadata={"a": 1})


def codes(trace: Trace) -> set[str]:
    return {issue.code for issue in verdict(trace, CONFIG)}


def test_trailing_turns_become_the_output():
    mended, changes = repair(of(USER, CALL, RESULT, ANSWER), ["trim_trailing_turns"])
    assert mended == of(USER, output={"messages": [CALL, RESULT, ANSWER], "tool_calls": [], "finish_reason": "stop"})
    assert changes == ["Trimmed 3 messages after the last user message and kept them as the output."]


def test_an_output_that_is_there_is_kept():
    output = {"messages": [ANSWER]}
    mended, changes = repair(of(USER, ANSWER, output=output), ["trim_trailing_turns"])
    assert mended == of(USER, output=output)
    assert changes == ["Trimmed 1 message after the last user message."]


def test_a_conversation_without_a_user_cannot_be_trimmed():
    assert repair(of(ANSWER), ["trim_trailing_turns"]) == (of(ANSWER), [])


def test_orphan_results_are_dropped():
    unnamed = {"role": "tool", "content": "x"}
    mended, changes = repair(of(RESULT, CALL, RESULT, RESULT, unnamed, USER), ["drop_orphan_results"])
    assert mended == of(CALL, RESULT, USER)
    assert changes == ["Dropped 3 tool results without a call."]


def test_roles_are_normalised():
    trace = of(*({"role": role, "content": "Ten letters"} for role in ("System", "HUMAN ", "Bot", "critic", "user")))
    mended, changes = repair(trace, ["normalise_roles"])
    assert [m["role"] for m in mended.messages] == ["system", "user", "assistant", "critic", "user"]
    assert changes == ["Renamed 'System' to 'system', 'HUMAN ' to 'user', 'Bot' to 'assistant'."]
    assert set(ROLE_NAMES.values()) == set(CONFIG.allowed_roles)


def test_control_characters_are_stripped_wherever_they_stand():
    trace = of(
        {"role": "user", "content": [{"type": "text", "text": "Or\x00der\t81\n"}]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "\x1b{}"}}],
        },
    )
    mended, changes = repair(trace, ["strip_control_characters"])
    assert mended.messages[0]["content"][0]["text"] == "Order\t81\n"
    assert mended.messages[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert changes == ["Stripped 2 control characters."]


def test_together_they_make_a_valid_record():
    broken = of(
        {"role": "Human", "content": "Order 81\x00 arrived broken."},
        {"role": "function", "tool_call_id": "c9", "content": "{}"},
        {"role": "bot", "content": "A new one is on its way."},
    )
    assert codes(broken) == {"invalid_role", "last_not_user", "control_characters"}
    mended, changes = repair(broken, REPAIRS)
    assert codes(mended) == set()
    assert len(changes) == 4
    assert repair(mended, REPAIRS) == (mended, [])


def test_each_repair_names_real_codes_and_unknown_ones_are_refused():
    assert {code for _, mends, _ in REPAIRS.values() for code in mends} <= set(CODES)
    with pytest.raises(KeyError):
        repair(of(USER), ["polish"])


roles = st.sampled_from(["user", "User", "assistant", "bot", "tool", "system", "x", None])
contents = st.none() | st.text("ab\x00\x07 \n", max_size=12) | any_json
calls = st.lists(st.fixed_dictionaries({"id": st.sampled_from(["c1", "c2", None, 3])}), max_size=2)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": roles, "content": contents},
        optional={"tool_calls": calls, "tool_call_id": st.sampled_from(["c1", "c2", "", None, []])},
    )
    | any_json,
    max_size=6,
)


@given(messages, st.none() | any_json)
@example(
    [
        {"role": "tool", "content": None, "tool_call_id": "c2", "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "content": None, "tool_call_id": "c1"},
    ],
    None,
)
def test_repairs_touch_nothing_given_and_settle_at_once(found, output):
    trace = of(*found, output=output)
    before = copy.deepcopy(trace)
    mended, changes = repair(trace, REPAIRS)
    assert trace == before
    assert (mended == trace) == (changes == [])
    assert repair(mended, REPAIRS) == (mended, [])
    assert "control_characters" not in codes(mended)
    assert "orphan_tool_result" not in codes(mended)


@given(any_json)
def test_repairs_never_raise(value):
    for data in (value, {"input": value}, {"input": {"messages": value}}):
        mended, _ = repair(Trace(data), REPAIRS)
        assert repair(mended, REPAIRS)[1] == []

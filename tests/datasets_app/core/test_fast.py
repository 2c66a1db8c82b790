"""The short way says of every line what the long one says, or leaves it alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.core.batch import Sinks, sanitize_files
from datasets_app.core.fast import Judge, Shape, extras_of
from datasets_app.core.formats import AUTO, readings
from datasets_app.core.identity import normal
from datasets_app.core.judging import judged
from datasets_app.core.mapping import FieldMapping
from datasets_app.core.quick import QuickHere, Ready
from datasets_app.core.reading import read_traces
from datasets_app.core.records import Trace, Unreadable, decode_json, loads
from datasets_app.core.sanitizing import SanitizeConfig
from datasets_app.sample import SAMPLE_PATH, SMALL_PATH
from tests.datasets_app.core.examples import LINES
from tests.datasets_app.core.real_data import real
from tests.datasets_app.core.strategies import any_json
from tests.datasets_app.core.strategies import any_text as text
from tests.integration.harm import lines_of_every_kind

CONFIG = SanitizeConfig()


def decoded(lines: Iterable[bytes]) -> list[Any]:
    found = []
    for line in lines:
        try:
            found.append(decode_json(line))
        except Unreadable:
            continue
    return found


def agree(lines: list[bytes], config: SanitizeConfig = CONFIG, format: str = AUTO) -> int:
    """How many of the lines went the short way; every one of them with the same outcome."""
    judge = Judge(config, Shape(format=format, extras=tuple(extras_of(decoded(lines)))))
    quick = 0
    for line in lines:
        found = judge.quick(line)
        if found is None:
            continue
        quick += 1
        [(name, trace)] = readings(decode_json(line), format, "canonical")
        assert isinstance(trace, Trace)
        slow = judged(trace, config, name)
        assert loads(found.body) == loads(slow.body)
        assert loads(found.body).session_id == trace.session_id
        found.source = slow.source
        assert found == slow
    return quick


def rows(*values: Any) -> list[bytes]:
    return [json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") for value in values]


@pytest.mark.parametrize("path", [SAMPLE_PATH, SMALL_PATH], ids=["sample", "small"])
def test_the_sample(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    assert agree(lines) > 0.9 * len(lines)


def test_lines_of_every_format() -> None:
    agree(rows(*LINES.values()))
    for line in rows(*LINES.values()):
        agree([line])


@pytest.mark.parametrize("seed", [1, 2])
def test_good_and_broken_lines(seed: int) -> None:
    lines = [line.encode() for line in lines_of_every_kind(600, seed)]
    assert agree(lines) > 400
    chat = []
    for line in lines:
        try:
            value = json.loads(line)
            messages = value["input"]["messages"]
        except (ValueError, TypeError, KeyError):
            continue
        chat.append({"messages": [*messages, {"role": "assistant", "content": "Yes."}], "order": len(chat)})
    assert agree(rows(*chat)) > 400


def test_real_exports() -> None:
    for folder in ("dev-native-exports", "dev-agent-airline", "dev-labelled", "dev-rft-gsm8k"):
        for path in sorted(real(folder).rglob("*.jsonl")):
            agree(path.read_bytes().splitlines()[:300])


CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}
ASKED = {"role": "user", "content": "Where is my parcel with the shoes?"}


def conversation(*between: Any, **more: Any) -> dict[str, Any]:
    return {"input": {"messages": [ASKED, *between, ASKED]}, "output": {"messages": []}, **more}


ODD = [
    conversation(),
    conversation({"role": "assistant", "content": None, "tool_calls": [CALL]},
                 {"role": "tool", "tool_call_id": "call_1", "content": ""}),
    conversation({"role": "tool", "tool_call_id": "call_2", "content": "found"}),
    conversation({"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, {"type": "image"}]}),
    conversation({"role": "assistant", "content": []}),
    conversation({"role": "developer", "content": "Be kind."}),
    conversation(topic="shipping", source="trace", order=7),
    conversation(span_id=17), conversation(span_id="x\x00y"), conversation(session_id=["no"]),
    conversation(metadata={"session_id": "s-1"}), conversation(metadata=None), conversation(metadata={"thread_id": 5}),
    conversation(reference_answer=None), conversation(reference_answer={"any": [1, 2.5, None]}),
    conversation(fields={"order": 7}, started_at=1767225600), conversation(finished_at="2026-01-01"),
    {"data": conversation()}, {"data": conversation(), "input": {}}, {"data": {"input": {"messages": [ASKED]}}},
    {"input": {"messages": [ASKED, {"role": "assistant", "content": "Here."}]}},
    {"input": {"messages": [ASKED], "tools": [{"type": "function", "function": {"name": "f", "strict": None}}]}},
    {"input": {"messages": [ASKED], "tools": None, "model": "m"}, "output": {"choices": []}},
    {"messages": [ASKED]}, {"messages": [ASKED, {"role": "assistant", "content": "Here."}], "tools": []},
    {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None}]},
    {"messages": [{"role": "function", "name": "f", "content": "1"}, ASKED]}, {"messages": [ASKED], "session": "s"},
    {"messages": [ASKED], "choices": [{"message": {"role": "assistant", "content": "Hi"}}]},
    {"messages": [ASKED], "conversation_id": "c", "tool_choice": None, "reference_answer": "x"},
    {"messages": [{"role": "user", "content": " \u00a0 "}]}, {"messages": [{"role": "user", "content": "Bell \u0007"}]},
    {"messages": [{"role": "user", "content": "a path C:\\new\\bin that \\u0001 never was"}]},
]  # fmt: skip


def test_odd_lines() -> None:
    assert agree(rows(*ODD)) >= 15
    for line in rows(*ODD):
        agree([line])
        agree([line], format="chat")
        agree([line], format="canonical")
        agree([line], SanitizeConfig(min_user_message_length=40, allowed_roles=("user", "assistant")))


DEFECTS: dict[str, list[Any]] = {
    "invalid_role": [{"role": "bot", "content": "Hello there."}, {"role": "", "content": "Hello there."}],
    "missing_content": [{"role": "assistant"}, {"role": "assistant", "content": " "}, {"role": "system"},
                        {"role": "tool", "tool_call_id": "call_1"}],
    "empty_user_message": [{"role": "user", "content": "\u2003"}, {"role": "user", "content": [{"type": "image"}]}],
    "user_message_too_short": [{"role": "user", "content": " thanks "}],
    "control_characters": [{"role": "user", "content": "A bell: \u0007 rings"},
                           {"role": "system", "content": "é and \x00 and \x0c"},
                           {"role": "assistant", "content": "", "tool_calls": [
                               {"id": "1", "function": {"name": "f", "arguments": "", "note": "\u0001"}}]}],
    "missing_tool_call_id": [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]},
                             {"role": "tool", "content": "found"}],
    "orphan_tool_result": [{"role": "tool", "content": "found", "tool_call_id": "call_2"}],
}  # fmt: skip


@pytest.mark.parametrize("code", DEFECTS)
def test_what_is_wrong_with_messages_is_said_without_the_long_way(code: str) -> None:
    lines = rows(*(conversation(message) for message in DEFECTS[code]))
    assert agree(lines) == len(lines)
    judge = Judge(CONFIG)
    assert {judge.quick(line).issues[0].code for line in lines} == {code}  # type: ignore[union-attr]


def test_so_are_a_wrong_end_and_a_reference_that_is_null() -> None:
    ends = {**conversation(), "input": {"messages": [ASKED, {"role": "assistant", "content": "Here."}]}}
    lines = rows(ends, conversation(reference_answer=None), {"messages": [ASKED], "reference_answer": None})
    assert agree(lines) == len(lines)
    found = [Judge(CONFIG).quick(line).issues[0].code for line in lines]  # type: ignore[union-attr]
    assert found == ["last_not_user", "reference_answer_null", "reference_answer_null"]


def test_what_a_decoder_would_skip_is_looked_at() -> None:
    """Numbers too large, bytes that are no text, and deep nesting make the line unreadable wherever they stand."""
    judge = Judge(CONFIG, Shape(extras=("order",)))
    good = rows(conversation(order=0, metadata={}))[0]
    assert judge.quick(good) is not None
    for part in (b"1e999", b"[" * 300 + b"]" * 300, b'"\xff"', b'"\\ud800"', b"NaN", b"9" * 5000):
        assert judge.quick(good.replace(b'"order": 0', b'"order": ' + part)) is None
        tools = b'"input": {"tools": [' + part + b"], "
        assert judge.quick(good.replace(b'"input": {', tools)) is None


def test_choices_that_need_the_whole_record_are_left_to_the_long_way() -> None:
    line = rows(conversation())[0]
    assert Judge(SanitizeConfig(required_fields=("order",))).quick(line) is None
    assert Judge(CONFIG, Shape(mapping=FieldMapping(reference="fields.order"))).quick(line) is None
    assert Judge(CONFIG, Shape(format="chat")).quick(line) is None


def test_keys_that_no_decoder_can_be_made_for() -> None:
    keys = ['"', "\\", "a\nb", "\x00", "\ud800", "‮{{7*7}}", "", "ключ"]
    line = {"messages": [ASKED], **dict.fromkeys(keys, 1)}
    assert extras_of([line]) == ["‮{{7*7}}", "", "ключ"]
    assert agree(rows(line)) == 0
    assert agree(rows({"messages": [ASKED], "‮{{7*7}}": 1, "": 2, "ключ": 3})) == 1


def test_tokens_that_can_not_be_too_many_need_not_be_counted() -> None:
    line = rows(conversation())[0]
    assert Judge(CONFIG, exact=False).quick(line).tokens == 0  # type: ignore[union-attr]
    few = SanitizeConfig(max_tokens=17)
    counted = Judge(CONFIG).quick(line).tokens  # type: ignore[union-attr]
    assert counted == 16
    assert Judge(few, exact=False).quick(line).tokens == counted  # type: ignore[union-attr]
    [issue] = Judge(SanitizeConfig(max_tokens=15), exact=False).quick(line).issues  # type: ignore[union-attr]
    assert issue.code == "exceeds_max_tokens"


message = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer", ""])},
    optional={
        "content": st.one_of(text, st.none(), st.lists(st.fixed_dictionaries({"type": text}, optional={"text": text}))),
        "tool_calls": st.one_of(st.none(), st.lists(st.just(CALL), max_size=2), any_json),
        "tool_call_id": st.sampled_from([None, "call_1", "other", ""]),
        "name": any_json,
    },
)
talk = st.one_of(st.lists(message, max_size=4).map(lambda found: [*found, ASKED]), st.lists(message, max_size=4))
beside = {
    "output": any_json,
    "reference_answer": any_json,
    "metadata": any_json,
    "span_id": any_json,
    "order": any_json,
}


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.fixed_dictionaries({"input": st.fixed_dictionaries({"messages": talk})}, optional=beside),
        st.fixed_dictionaries({"messages": talk}, optional=beside),
    )
)
def test_any_line(line: Any) -> None:
    agree(rows(line))


# --- the digest's normal form ----------------------------------------------------------------------------------------


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


SAME = [
    ("Straße", "STRASSE"),
    ("a\u00a0b", "A B"),
    ("ÄÖ x", "äö\u2003X"),
    ("\u212a", "k"),
    ("Мама МЫЛА", "мамамыла"),
    ("", " \n"),
]
APART = [("3月5日", "月35日"), ("a", "ä"), ("naïve", "naive"), ("中a", "a中"), ("ab", "ba")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_and_white_space_do_not_count(one: str, other: str) -> None:
    assert normal(raw(one)) == normal(raw(other))


@pytest.mark.parametrize(("one", "other"), APART)
def test_letters_and_their_order_do(one: str, other: str) -> None:
    assert normal(raw(one)) != normal(raw(other))


@given(text, text)
def test_normal_forms_are_equal_where_the_plain_definition_says_so(one: str, other: str) -> None:
    def plainly(said: str) -> str:
        return "".join(said.casefold().split())

    assert (normal(raw(one)) == normal(raw(other))) == (plainly(one) == plainly(other))
    assert normal(raw(one)) == normal(raw(plainly(one)))


# --- several processes -----------------------------------------------------------------------------------------------


def outcome(paths: list[Path], workers: int) -> tuple[Any, list[Any]]:
    told: list[Any] = []
    sinks = Sinks(told.append, told.append, told.append, told.append)
    report = sanitize_files(paths, CONFIG, sinks=sinks, workers=workers)
    return report.model_dump(exclude={"timestamp", "seconds"}), told


def test_any_number_of_processes_tells_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    lines = lines_of_every_kind(3000, seed=3)
    random.Random(3).shuffle(lines)
    first.write_text("".join(f"{line}\n" for line in lines))
    second.write_text("".join(f"{line}\n" for line in lines[:300]))
    report, told = outcome([first, SAMPLE_PATH, second], 1)
    assert report["near_duplicates"] > 20
    for workers in (2, 3):
        again, same = outcome([first, SAMPLE_PATH, second], workers)
        assert again == report
        assert without_turns(same) == without_turns(told)


def without_turns(told: list[Any]) -> list[Any]:
    return [(one.format, one.tokens, one.body) if hasattr(one, "turns") else one for one in told]


def test_most_lines_of_a_file_go_the_short_way() -> None:
    entries = list(read_traces(SAMPLE_PATH, quick=QuickHere(CONFIG)))
    assert sum(isinstance(entry, Ready) for entry in entries) > 0.9 * len(entries)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.identity import digest
from datasets_app.core.records import (
    MAX_DEPTH,
    Trace,
    Unreadable,
    clean_id,
    clean_json,
    clean_text,
    decode_json,
    dumps,
    encode_json,
    fold,
    from_canonical,
    loads,
    to_canonical,
    user_text,
)
from tests.datasets_app.core.real_data import real
from tests.datasets_app.core.strategies import any_json, objects


def conversation(*messages: dict) -> Trace:
    return Trace({"input": {"messages": list(messages)}})


@given(any_json)
def test_json_survives_encoding_and_decoding(value):
    text = encode_json(value)
    assert decode_json(text) == value
    # What a database is given: UTF-8 without NUL.
    assert b"\0" not in text.encode()


@given(
    data=any_json,
    reference=st.none() | any_json,
    has_reference=st.booleans(),
    fields=objects,
    metadata=objects,
    times=st.none() | st.floats(0, 4e9),
)
def test_a_record_survives_storage(data, reference, has_reference, fields, metadata, times):
    trace = Trace(
        data,
        reference if has_reference else None,
        has_reference,
        fields,
        metadata,
        "span-1",
        started_at=times,
        finished_at=times,
    )
    assert loads(dumps(trace)) == trace


def test_the_canonical_line_is_flat_where_it_can_be():
    payload = {"input": {"messages": []}, "output": {"messages": []}}
    trace = Trace(payload, "gold", True, {"order": 7}, {"intent": "refund"}, "s1", 1.5, 2.5)
    assert to_canonical(trace) == {
        **payload,
        "reference_answer": "gold",
        "fields": {"order": 7},
        "metadata": {"intent": "refund"},
        "span_id": "s1",
        "started_at": 1.5,
        "finished_at": 2.5,
    }
    assert to_canonical(Trace("oops")) == {"data": "oops"}


def test_unknown_keys_of_a_canonical_line_become_item_fields():
    line = {"input": {}, "difficulty": 3, "topic": "billing", "fields": {"a": 1}, "metadata": "text", "data2": None}
    trace = from_canonical(line)
    assert trace.fields == {"a": 1, "difficulty": 3, "metadata": "text", "data2": None}
    assert trace.metadata == {"topic": "billing"}


def test_what_stands_beside_a_wrapped_payload_is_not_lost():
    trace = from_canonical({"data": {"input": {}}, "output": "kept", "reference_answer": None})
    assert (trace.data, trace.fields) == ({"input": {}}, {"output": "kept"})
    assert (trace.has_reference, trace.reference_answer) == (True, None)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"NaN", "Not valid JSON: NaN is not a number JSON knows; write null instead."),
        (b"[-Infinity]", "Not valid JSON: -Infinity is not a number JSON knows; write null instead."),
        (b"[1e400]", "Not valid JSON: a number is too large."),
        (b"1" * 5000, "Not valid JSON: a number is too large."),
        (b"[" * 100_000, "The JSON is nested more than 200 levels deep."),
        (b'{"a":' * 100_000, "The JSON is nested more than 200 levels deep."),
        (b"[" * 300 + b"]" * 300, "The JSON is nested more than 200 levels deep."),
        (b'"\xff"', "The text is not valid UTF-8 (byte 2); save the file as UTF-8."),
        (b'{"a": 1,}', "Not valid JSON: Expecting property name enclosed in double quotes at character 9."),
        (b"", "Not valid JSON: Expecting value at character 1."),
        (b'{"a": "b', "Not valid JSON: Unterminated string starting at character 7."),
    ],
)
def test_what_is_not_json_is_refused_in_one_sentence(raw, sentence):
    with pytest.raises(Unreadable) as refused:
        decode_json(raw)
    assert str(refused.value) == sentence


def test_the_deepest_nesting_allowed_is_read():
    value = decode_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert encode_json(value) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_lone_surrogates_and_nuls_are_stored_as_escapes():
    trace = loads(b'{"input":{"messages":[{"role":"user","content":"a\\ud800b\\u0000c"}]}}')
    assert user_text(trace) == "a\ud800b\x00c"
    text = dumps(trace)
    assert text.isascii()
    assert loads(text) == trace


def test_json_test_suite():
    folder = real("dev-native-exports", "native", "json_edge")
    wrong = []
    counts = {"y": 0, "n": 0}
    for path in sorted(folder.glob("[yn]_*.json")):
        counts[path.name[0]] += 1
        try:
            value = decode_json(path.read_bytes())
        except Unreadable:
            if path.name.startswith("y_"):
                wrong.append(path.name)
        else:
            if path.name.startswith("n_"):
                wrong.append(path.name)
            assert decode_json(encode_json(value)) == value
    assert (wrong, counts) == ([], {"y": 95, "n": 185})


def test_implementation_defined_json_never_crashes():
    folder = real("dev-native-exports", "native", "json_edge")
    refused = set()
    for path in folder.glob("i_*.json"):
        try:
            encode_json(decode_json(path.read_bytes())).encode()
        except Unreadable:
            refused.add(path.name)
    assert "i_string_lone_second_surrogate.json" not in refused
    assert "i_structure_500_nested_arrays.json" in refused


def test_naughty_strings_survive():
    strings = json.loads(real("dev-native-exports", "native", "blns.json").read_text())
    trace = conversation(*({"role": "user", "content": text} for text in strings))
    assert loads(dumps(trace)) == trace
    assert len(digest(trace)) == 32


# --- identity --------------------------------------------------------------------------------------------------------

words = st.lists(st.text("abcXYZ äÖ12.?", min_size=1), min_size=1, max_size=5).map(" ".join)
gaps = st.text(" \t\n\r\u00a0", min_size=1, max_size=3)


@given(words, gaps, st.sampled_from([str.upper, str.lower, str.swapcase]))
def test_digest_ignores_case_and_white_space(text, gap, change):
    other = gap + gap.join(change(text).split()) + gap
    assert digest(conversation({"role": "user", "content": text})) == digest(
        conversation({"role": "User", "content": other})
    )


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), words), min_size=1, max_size=4, unique=True))
def test_digest_tells_conversations_apart(turns):
    keys = [(role, fold(text)) for role, text in turns]
    own = digest(conversation(*({"role": r, "content": t} for r, t in turns)))
    joined = conversation({"role": turns[0][0], "content": " ".join(t for _, t in turns)})
    assert (own == digest(joined)) == (len(turns) == 1)
    assert (own == digest(conversation(*({"role": r, "content": t} for r, t in reversed(keys))))) == (
        keys == keys[::-1]
    )


def test_digest_counts_calls_and_pictures_but_not_ids():
    def calling(call_id: str, arguments: str) -> Trace:
        call = {"id": call_id, "type": "function", "function": {"name": "get", "arguments": arguments}}
        return conversation({"role": "assistant", "content": None, "tool_calls": [call]})

    assert digest(calling("a", "{}")) == digest(calling("b", "{}"))
    assert digest(calling("a", "{}")) != digest(calling("a", '{"id":1}'))
    look = {"type": "text", "text": "Look"}
    pictures = [{"type": "image_url", "image_url": {"url": f"https://example.org/{n}"}} for n in (1, 2)]
    first, second = (conversation({"role": "user", "content": [look, picture]}) for picture in pictures)
    assert digest(first) != digest(second)
    assert digest(conversation({"role": "user", "content": [look]})) == digest(
        conversation({"role": "user", "content": "look"})
    )


@given(any_json)
def test_digest_of_anything_is_32_hex_digits(value):
    for data in (value, {"input": value}, {"input": {"messages": value}}, {"input": {"messages": [value]}}):
        own = digest(Trace(data))
        assert len(own) == 32
        int(own, 16)


def test_user_text_takes_the_text_parts_of_user_turns():
    trace = conversation(
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "One"}, {"type": "image_url"}, {"type": "text", "text": "two"}],
        },
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "  "},
        {"role": "user", "content": "three"},
    )
    assert user_text(trace) == "One\ntwo\nthree"


def test_ids_and_texts_for_columns():
    assert [clean_id(v) for v in ("a\0b", 7, True, None, ["x"], "y" * 300)] == ["a\ufffdb", "7", "", "", "", "y" * 200]
    assert clean_text("x\ud800y\0z\n") == "x\ufffdy\ufffdz\n"


def test_a_json_value_for_a_column_has_no_text_a_database_refuses():
    call = {"id": "c\0", "function": {"name": "f", "arguments": '{"a": "\ud800"}'}, "n\0": [1, None, "\0"]}
    clean = {"id": "c\ufffd", "function": {"name": "f", "arguments": '{"a": "\ufffd"}'}, "n\ufffd": [1, None, "\ufffd"]}
    assert clean_json(call) == clean

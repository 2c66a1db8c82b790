from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_app.core.formats import FORMATS, UNKNOWN_FORMAT
from datasets_app.core.mapping import FieldMapping
from datasets_app.core.reading import (
    Parsed,
    Rejected,
    UnreadableFile,
    detect_format,
    field_value,
    list_fields,
    read_traces,
    whole_lines,
)
from datasets_app.core.records import Trace, dumps
from tests.datasets_app.core.real_data import real
from tests.datasets_app.core.strategies import any_json, objects

USER = {"role": "user", "content": "Where is my parcel?"}
ANSWER = {"role": "assistant", "content": "On its way."}
NO_VALUE = "Not valid JSON: Expecting value at character 1."
UNKNOWN = f"rows: {UNKNOWN_FORMAT}"


def write(path: Path, *rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def summary(path: Path, **options) -> list[tuple]:
    return [(e.line, e.format) if isinstance(e, Parsed) else (e.line, e.reason) for e in read_traces(path, **options)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.builds(
            Trace,
            data=st.fixed_dictionaries(
                {
                    "input": st.fixed_dictionaries({"messages": any_json}),
                    "output": st.dictionaries(st.just("m"), any_json),
                }
            ),
            fields=objects,
            metadata=objects,
            span_id=st.text("ab1", max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_back(tmp_path, traces):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(dumps(trace) for trace in traces), encoding="utf-8")
    assert [entry.trace for entry in read_traces(path)] == traces


def test_mixed_files_are_read_line_by_line(tmp_path):
    path = write(
        tmp_path / "mixed.jsonl",
        {"input": {"messages": [USER]}, "output": {"messages": [ANSWER]}},
        {"messages": [USER]},
        "not json",
        {"request": {"model": "m", "messages": [USER]}, "response": {"choices": [{"message": ANSWER}]}},
        {"input": {"messages": [USER]}},
        [1],
        {"output": {"messages": []}},  # recognised by nothing: read as the file's most frequent format
    )
    assert summary(path) == [
        (1, "canonical"),
        (2, "chat"),
        (3, NO_VALUE),
        (4, "openai_chat"),
        (5, "canonical"),
        (6, "The line holds a list, not a JSON object."),
        (7, "canonical"),
    ]
    assert detect_format(path) == [("canonical", 2 / 6), ("openai_chat", 1 / 6), ("chat", 1 / 6)]


def test_a_format_that_is_given_is_kept_to(tmp_path):
    path = write(tmp_path / "rows.jsonl", {"messages": [USER]}, {"input": {"messages": [USER]}})
    entries = list(read_traces(path, format="chat"))
    assert [entry.trace.messages for entry in entries] == [[USER], []]
    with pytest.raises(UnreadableFile) as refused:
        next(read_traces(path, format="csv"))
    assert str(refused.value) == ("There is no format named csv; use auto or one of " + ", ".join(FORMATS) + ".")


def test_rejected_lines_keep_their_text_and_parsed_ones_their_place(tmp_path):
    good = json.dumps({"messages": [USER, ANSWER]})
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"messages": [NaN]}\n' + b'"\xff\xfe"\n' + good.encode() + b"\n")
    bad, binary, fine = read_traces(path)
    assert (bad.line, bad.text, len(bad.key)) == (1, '{"messages": [NaN]}', 16)
    assert (binary.reason, binary.text) == (
        "The text is not valid UTF-8 (byte 2); save the file as UTF-8.",
        '"\ufffd\ufffd"',
    )
    assert (fine.line, fine.split, fine.size, fine.offset) == (3, True, len(good), path.stat().st_size)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n\n  \n", "rows is empty."),
        ("[]", "rows is empty."),
        ('{"a": 1', "rows: Not valid JSON: Expecting ',' delimiter at character 8."),
        ("name age\nAda 36\n", "rows holds no JSON in its first 2 lines (line 1: " + NO_VALUE + ")"),
        ("name,age\nAda,36\n", UNKNOWN),
        ('{"order": "x", "state": "y"}\n', UNKNOWN),
        ("[1, 2]", UNKNOWN),
    ],
)  # fmt: skip
def test_a_file_without_a_record_says_why(tmp_path, text, sentence):
    path = tmp_path / "rows"
    path.write_text(text)
    with pytest.raises(UnreadableFile) as refused:
        list(read_traces(path))
    assert str(refused.value) == sentence


def test_a_file_of_nothing_but_broken_records_is_still_read(tmp_path):
    for row in ({"input": None, "output": {}}, {"data": "oops"}, {"input": {}}, {"output": {"messages": []}}):
        assert summary(write(tmp_path / "rows.jsonl", row)) == [(1, "canonical")]


def test_reading_can_be_taken_up_again_and_cut_short(tmp_path):
    rows = [{"messages": [{"role": "user", "content": f"Question number {n}"}]} for n in range(1, 501)]
    path = write(tmp_path / "rows.jsonl", *rows, "oops")
    whole = list(read_traces(path))
    assert len(whole) == 501
    for start in (0, 3, 199, 200, 201, 450, 501):
        assert list(read_traces(path, start_line=start)) == whole[start:]
    assert list(read_traces(path, start_line=198, limit=5)) == whole[198:203]
    assert list(read_traces(path, limit=0)) == []


def test_memory_stays_flat_when_reading_lazily(tmp_path):
    path = tmp_path / "rows.json.gz"
    path.write_bytes(
        gzip.compress(
            b"[" + b",".join(b'{"messages":[{"role":"user","content":"%d"}]}' % n for n in range(50_000)) + b"]"
        )
    )
    entries = read_traces(path)
    assert [next(entries).trace.messages[0]["content"] for _ in range(3)] == ["0", "1", "2"]
    assert sum(1 for _ in entries) == 49_997


# --- the reference field ---------------------------------------------------------------------------------------------


def test_a_field_becomes_the_reference_answer(tmp_path):
    path = write(
        tmp_path / "rows.jsonl",
        {"messages": [USER], "metadata": {"intent": "parcel"}},
        {"messages": [USER], "metadata": {"intent": None}},
        {"messages": [USER], "reference_answer": "own"},
    )
    found = [
        (e.trace.has_reference, e.trace.reference_answer)
        for e in read_traces(path, mapping=FieldMapping(reference="metadata.intent"))
    ]
    assert found == [(True, "parcel"), (True, None), (True, "own")]


def test_field_paths():
    trace = Trace(
        {"input": {}, "output": {"messages": [ANSWER]}},
        reference_answer={"label": "x"},
        has_reference=True,
        fields={"order": {"id": 7, "tags": ["a", "b"]}, "a.b": {"c.d": 1}},
        metadata={"intent": "parcel"},
    )
    paths = [
        "order.id",
        "fields.order.id",
        "order.tags.1",
        "a.b.c.d",
        "metadata.intent",
        "reference_answer.label",
        "output.text",
        "order.none",
        "order.tags.9",
        "metadata",
        "",
    ]
    assert [field_value(trace, path, "-") for path in paths] == [
        7, 7, "b", 1, "parcel", "x", "On its way.", "-", "-", "-", "-"
    ]  # fmt: skip


def test_fields_are_listed_by_how_many_have_them_filled():
    traces = [
        Trace(
            {}, fields={"order": {"id": n}}, metadata={"intent": "parcel" if n else " ", "deep": {"a": {"b": {"c": 1}}}}
        )
        for n in range(3)
    ]
    traces.append(Trace({"output": {"messages": [ANSWER]}}, reference_answer="gold", has_reference=True))
    assert [(f.path, f.filled, f.example) for f in list_fields(traces)] == [
        ("metadata.deep.a.b", 3, "{'c': 1}"),
        ("order.id", 3, "0"),
        ("metadata.intent", 2, "parcel"),
        ("output.text", 1, "On its way."),
        ("reference_answer", 1, "gold"),
    ]
    for info in list_fields(traces):
        assert any(field_value(trace, info.path) is not None for trace in traces)


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "records", "formats"),
    [
        (("dev-labelled", "banking77_traces.jsonl"), 3080, [("canonical", 1.0)]),
        (("dev-labelled", "pii_traces.jsonl"), 1500, [("canonical", 1.0)]),
        (("dev-agent-airline", "raw_traces.jsonl"), 100, [("canonical", 1.0)]),
        (("dev-agent-airline", "raw_traces_calls.jsonl"), 154, [("canonical", 1.0)]),
        (("dev-native-exports", "raw_traces.jsonl"), 422, [("canonical", 1.0)]),
        (("dev-rft-gsm8k", "raw_traces.jsonl"), 2638, [("canonical", 1.0)]),
        (("dev-rft-gsm8k", "native", "azure_countdown_train_100.jsonl"), 100, [("chat", 1.0)]),
        (("dev-rft-gsm8k", "native", "bedrock_rft_train_data.jsonl"), 300, [("chat", 1.0)]),
    ],
)
def test_real_files_come_in_whole(parts, records, formats):
    path = real(*parts)
    entries = list(read_traces(path))
    assert (len(entries), [e for e in entries if isinstance(e, Rejected)]) == (records, [])
    assert detect_format(path) == formats


def test_recorded_openai_calls():
    path = real("dev-native-exports", "native", "http_logs", "openai_chat.jsonl")
    entries = list(read_traces(path))
    reasons: dict[str, int] = {}
    for entry in entries:
        if isinstance(entry, Rejected):
            reason = entry.reason.split(":")[0]
            reasons[reason] = reasons.get(reason, 0) + 1
    # 217 whole responses and 27 text streams, of which 2 were cut off; 45 streams were recorded compressed and are
    # lost, 3 calls failed.
    assert (len(entries), sum(isinstance(e, Parsed) for e in entries)) == (292, 242)
    assert reasons == {
        "The answer was cut off (finish reason length), so there is no whole answer to keep.": 2,
        "The response is not a chat completion (a stream that was not kept whole?).": 45,
        "The call failed, so there is no answer to keep": 3,
    }


def test_a_container_gives_a_record_for_each_call_and_one_rejection(tmp_path):
    span = {"trace_id": "t1", "attributes": {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Ping"}}
    outer = {**span, "span_id": "outer", "start_time": 10, "end_time": 20}
    inner = {**span, "span_id": "inner", "parent_id": "outer", "start_time": 11, "end_time": 19}
    failed = {**span, "span_id": "failed", "status_code": "ERROR", "status_message": "Too many requests"}
    tool = {"trace_id": "t1", "span_id": "tool", "attributes": {"http.method": "GET"}}
    path = write(
        tmp_path / "rows.jsonl", {"spans": [outer, tool, inner, failed]}, {"messages": [USER]}, {"spans": [tool]}
    )
    first, told, chat, nothing = read_traces(path)
    assert (first.line, first.item, first.trace.span_id, first.format) == (1, 0, "inner", "openllmetry")
    assert (told.line, told.repeats, told.reason) == (
        1,
        1,
        "2 of 3 calls in this line were left out: "
        "The same call is logged once more, further in, in this line; that one is kept.",
    )
    assert (chat.line, chat.item, nothing.reason) == (2, 0, "None of the 1 spans in this line is a call of a model.")
    assert len({first.key, chat.key}) == 2


def test_of_spans_in_lines_of_their_own_the_innermost_is_kept_wherever_reading_begins(tmp_path):
    def span(id, parent, start):
        request = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Ping"}]})
        times = {"start_time_us": (1763800500 + start) * 10**6, "finish_time_us": (1763800600 - start) * 10**6}
        place = {"operation_name": "call", "trace_id": "t1", "span_id": id, "parent_span_id": parent}
        return {**place, **times, "attribute": {"request": request}}

    path = write(tmp_path / "rows.jsonl", span("api", None, 0), "", span("model", "api", 1), span("openai", "model", 2))
    whole = list(read_traces(path))
    assert [(e.line, e.reason if isinstance(e, Rejected) else e.trace.span_id) for e in whole] == [
        (1, "The same call is logged once more, further in, in line 3; that one is kept."),
        (3, "The same call is logged once more, further in, in line 4; that one is kept."),
        (4, "openai"),
    ]
    for start in (1, 2, 3):
        assert list(read_traces(path, start_line=start)) == [entry for entry in whole if entry.line > start]


def test_lists_of_entries_end_at_the_end_of_a_line(tmp_path):
    path = write(
        tmp_path / "rows.jsonl", {"data": [{"messages": [USER]}] * 3}, {"messages": [USER]}, {"messages": [USER]}
    )
    assert [[(e.line, e.item) for e in chunk] for chunk in whole_lines(read_traces(path), 2)] == [
        [(1, 0), (1, 1), (1, 2)],
        [(2, 0), (3, 0)],
    ]


def test_a_file_of_failed_calls_says_so_line_by_line(tmp_path):
    failed = {"request": {"model": "m", "messages": [USER]}, "response": {"error": {"message": "Too many requests"}}}
    sentence = "The call failed, so there is no answer to keep: Too many requests"
    assert summary(write(tmp_path / "rows.jsonl", failed, failed)) == [(1, sentence), (2, sentence)]


def test_a_real_intent_becomes_the_reference():
    path = real("dev-labelled", "banking77_traces.jsonl")
    traces = [entry.trace for entry in read_traces(path, mapping=FieldMapping(reference="metadata.intent"))]
    assert len({trace.reference_answer for trace in traces}) == 77
    assert traces[0].reference_answer == "card_arrival"

"""Every export format: what a row looks like, what comes back when the file is read again, which rules it keeps."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.exporting.base import About, Columns, Entry, ExportFormat, Rendered, Unfit
from datasets_app.core.exporting.catalogue import AZURE, BEDROCK, CANONICAL, CSV, FORMATS, OPENAI, PARQUET, TRL
from datasets_app.core.exporting.report import Tally, findings, too_little, too_much, warnings
from datasets_app.core.exporting.tables import survey
from datasets_app.core.reading import Parsed, read_traces
from datasets_app.core.records import Trace, from_canonical
from datasets_app.core.rows import item_of
from rft_project.spreadsheets import guarded

from .strategies import any_json, any_text, objects

SYSTEM, USER = {"role": "system", "content": "Sort it."}, {"role": "user", "content": "Where is my parcel?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
PLATFORMS = (OPENAI, AZURE, BEDROCK)


def trace(*messages: Any, reference: Any = "billing", tools: Any = None, **more: Any) -> Trace:
    given: dict[str, Any] = {"messages": list(messages or (SYSTEM, USER))}
    if tools is not None:
        given["tools"] = tools
    output = {"messages": [{"role": "assistant", "content": "the logged answer"}], "tool_calls": []}
    line = {"input": given, "output": output, **more}
    return from_canonical(line if reference is None else {**line, "reference_answer": reference})


def rendered(format: ExportFormat, given: Trace, about: About = About()) -> Rendered:  # noqa: B008
    columns = Columns()
    survey(columns, given)
    return format.render(Entry(7, given, about), columns)


def row(format: ExportFormat, given: Trace) -> Any:
    made = rendered(format, given)
    assert made.broken == ()
    return json.loads(made.text)


def whole(format: ExportFormat, traces: list[Trace], path: Path) -> Path:
    """The file as the job makes it, in one go."""
    columns = Columns()
    for one in traces:
        survey(columns, one)
    lines = [format.render(Entry(n, one), columns) for n, one in enumerate(traces, 1)]
    path.write_bytes(format.head(columns) + b"".join(line.text + b"\n" for line in lines if line.text))
    if format.finish is None:
        return path
    made = path.with_suffix(".made")
    format.finish(path, made, columns)
    return made


# --- canonical --------------------------------------------------------------------------------------------------------

said = st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": any_text})
traces = st.builds(
    Trace,
    data=st.builds(
        lambda given, output: {"input": {"messages": given}, "output": output},
        st.lists(said, min_size=1),
        st.fixed_dictionaries({"messages": st.lists(objects, max_size=2)}),
    ),
    reference_answer=any_json,
    has_reference=st.just(True),
    fields=st.dictionaries(any_text, any_json),
    metadata=st.dictionaries(any_text, any_json, max_size=3),
    span_id=st.text("abc-12", max_size=8),
    started_at=st.none() | st.floats(0, 2e9),
)


@given(st.lists(traces, min_size=1, max_size=3))
def test_importing_a_canonical_file_gives_the_records_back(tmp_path_factory: Any, given: list[Trace]) -> None:
    path = whole(CANONICAL, given, tmp_path_factory.mktemp("out") / "records.jsonl")
    read = list(read_traces(path, format="canonical"))
    assert [replace(entry.trace, session_id="") for entry in read if isinstance(entry, Parsed)] == given


# --- platforms --------------------------------------------------------------------------------------------------------


def test_the_openai_row_is_the_training_row_with_a_developer_and_without_the_answer() -> None:
    given = trace(tools=[TOOL], fields={"priority": 3})
    assert row(OPENAI, given) == {
        **item_of(given),
        "messages": [{**SYSTEM, "role": "developer"}, USER],
    }
    assert row(OPENAI, given) == {
        "priority": 3,
        "messages": [{**SYSTEM, "role": "developer"}, USER],
        "user_message": "Where is my parcel?",
        "reference_answer": "billing",
        "tools": [TOOL],
    }
    assert b"logged answer" not in rendered(OPENAI, given).text


def test_the_bedrock_row_keeps_the_system_role_and_has_an_id() -> None:
    assert row(BEDROCK, trace()) == {
        "messages": [SYSTEM, USER],
        "user_message": "Where is my parcel?",
        "reference_answer": "billing",
        "id": "record-7",
    }
    assert row(BEDROCK, trace(fields={"id": "t-1"}))["id"] == "t-1"
    assert row(BEDROCK, trace({"role": "developer", "content": "Sort."}, USER))["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("reference", "written"), [("a", "a"), ({"a": 1}, {"a": 1}), (3, "3"), ([1], "[1]"), (True, "true")]
)
def test_bedrock_takes_a_text_or_an_object_as_the_right_answer(reference: Any, written: Any) -> None:
    made = rendered(BEDROCK, trace(reference=reference))
    assert json.loads(made.text)["reference_answer"] == written
    assert ("reference_as_text" in made.notes) == (reference != written)


def test_azure_files_begin_with_the_mark_of_utf8_and_others_do_not() -> None:
    assert {format.name: format.head(Columns()) for format in PLATFORMS} == {
        "openai": b"",
        "azure": b"\xef\xbb\xbf",
        "bedrock": b"",
    }


PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
ANSWER = {"role": "assistant", "content": "It is here."}
EVERYWHERE = {"openai", "azure", "bedrock"}
BREACHES: list[tuple[str, Trace, set[str]]] = [
    ("no_messages", from_canonical({"input": {"messages": []}}), EVERYWHERE),
    ("no_messages", from_canonical({"input": {"messages": [USER, "hello"]}}), EVERYWHERE),
    ("no_messages", from_canonical({"data": "nothing"}), EVERYWHERE),
    ("unknown_role", trace({"role": "robot", "content": "beep"}, USER), EVERYWHERE),
    ("unknown_role", trace({"role": ["user"], "content": "beep"}, USER), EVERYWHERE),
    ("last_not_user", trace(USER, ANSWER), EVERYWHERE),
    ("missing_content", trace({"role": "assistant", "content": None}, USER), EVERYWHERE),
    ("missing_content", trace({"role": "user", "content": 3}), EVERYWHERE),
    ("not_text", trace(PICTURE), {"azure", "bedrock"}),
    ("not_text", trace({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}), EVERYWHERE),
    ("tool_call_id", trace({"role": "tool", "content": "done"}, USER), EVERYWHERE),
    ("tool_call_id", trace({"role": "assistant", "content": "", "tool_calls": "find"}, USER), EVERYWHERE),
    (
        "tool_call_id",
        trace({"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}, USER),
        EVERYWHERE,
    ),
    ("tools_shape", trace(tools=[{"type": "web_search"}]), EVERYWHERE),
    ("tools_shape", trace(tools={"find": {}}), EVERYWHERE),
    ("tools_incomplete", trace(tools=[{"type": "function", "function": {"name": "find"}}]), {"bedrock"}),
    ("tool_names_repeat", trace(tools=[TOOL, TOOL]), {"bedrock"}),
    ("empty_content", trace({"role": "assistant", "content": ""}, USER), {"bedrock"}),
    ("system_not_first", trace(USER, SYSTEM, USER), {"bedrock"}),
    ("reference_empty", trace(reference=""), {"bedrock"}),
    ("reference_empty", from_canonical({"input": {"messages": [USER]}, "reference_answer": None}), {"bedrock"}),
]


@pytest.mark.parametrize(("rule", "given", "platforms"), BREACHES)
def test_what_breaks_a_platforms_rule_has_no_row_there(rule: str, given: Trace, platforms: set[str]) -> None:
    made = {format.name: rendered(format, given) for format in PLATFORMS}
    assert {name for name, one in made.items() if rule in one.broken} == platforms
    assert all((one.text == b"") == bool(one.broken) for one in made.values())


def test_every_rule_but_the_one_on_two_files_is_broken_by_an_example() -> None:
    known = {rule.id for format in PLATFORMS for rule in format.rules}
    assert known - {"in_validation"} == {rule for rule, _, _ in BREACHES}


def test_all_broken_rules_are_named() -> None:
    given = trace(SYSTEM, {"role": "robot", "content": None})
    assert rendered(OPENAI, given).broken == ("last_not_user", "missing_content", "unknown_role")


@pytest.mark.parametrize("format", PLATFORMS, ids=lambda format: format.name)
def test_a_conversation_with_tools_passes(format: ExportFormat) -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    given = trace(
        SYSTEM, USER, calling, {"role": "tool", "tool_call_id": "c1", "content": "found"}, ANSWER, USER, tools=[TOOL]
    )
    assert rendered(format, given).broken == ()
    assert [message["role"] for message in row(format, given)["messages"]][1:] == [
        "user", "assistant", "tool", "assistant", "user"
    ]  # fmt: skip


def test_a_call_without_words_has_no_content_where_an_empty_one_is_refused() -> None:
    silent = [{"role": "assistant", "content": text, "tool_calls": [CALL]} for text in ("", None)]
    rows = [row(BEDROCK, trace(USER, message, USER)) for message in silent]
    assert [one["messages"][1] for one in rows] == [{"role": "assistant", "tool_calls": [CALL]}] * 2


@pytest.mark.parametrize(
    ("note", "given"),
    [
        ("nothing_to_grade", trace(reference=None)),
        ("keys_left_out", trace({**USER, "annotations": []})),
        ("reserved_names", trace(fields={"tools": "hammer"})),
        ("characters_replaced", trace({"role": "user", "content": "half \ud83d of it"})),
        ("filtered_phrases", trace({"role": "user", "content": "Let me think about it"})),
    ],
)
def test_what_was_done_to_a_row_is_noted(note: str, given: Trace) -> None:
    assert rendered(OPENAI, given).notes == (note,)
    assert rendered(OPENAI, trace()).notes == ()
    written = row(OPENAI, given)
    assert set(written["messages"][-1]) == {"role", "content"}
    assert "\ud83d" not in written["user_message"]


@given(given=st.builds(from_canonical, objects) | traces)
def test_no_record_makes_a_writer_fail_and_each_is_written_or_explained(given: Trace) -> None:
    for format in FORMATS.values():
        made = rendered(format, given)
        assert bool(made.text) != bool(made.broken)
        assert b"\n" not in made.text or format is CSV
        assert {*made.broken, *made.notes} <= {rule.id for rule in (*format.rules, *format.notes)}


# --- files as a whole -------------------------------------------------------------------------------------------------


def tally(rows: int, **more: Any) -> Tally:
    return Tally(rows=rows, **more)


@pytest.mark.parametrize(
    ("format", "part", "rows", "refused"),
    [
        (OPENAI, "", 50_000, False),
        (OPENAI, "train", 50_001, True),
        (OPENAI, "valid", 1_000, False),
        (AZURE, "valid", 1_001, True),
        (BEDROCK, "", 20_000, False),
        (BEDROCK, "", 20_001, True),
        (CANONICAL, "", 10_000_000, False),
    ],
)
def test_a_platforms_largest_file(format: ExportFormat, part: Any, rows: int, refused: bool) -> None:
    assert bool(too_much(format, tally(rows), part, 1)) == refused


@pytest.mark.parametrize(
    ("format", "part", "rows", "refused"),
    [
        (OPENAI, "", 1, False),
        (AZURE, "", 9, True),
        (AZURE, "train", 10, False),
        (AZURE, "valid", 3, False),
        (BEDROCK, "", 99, True),
        (BEDROCK, "", 100, False),
        (CSV, "", 0, True),
    ],
)
def test_a_platforms_smallest_file(format: ExportFormat, part: Any, rows: int, refused: bool) -> None:
    assert bool(too_little(format, tally(rows), part)) == refused


def test_files_over_half_a_gigabyte_are_refused() -> None:
    half = 512 * 1024 * 1024
    assert [bool(too_much(f, tally(1), "", half)) for f in (OPENAI, AZURE, BEDROCK)] == [False, True, False]
    assert (
        too_much(OPENAI, tally(1), "", half + 1)
        == "OpenAI takes files of up to 512 MB; choose a topic, or a smaller part."
    )


def test_a_file_that_is_too_small_says_how_many_were_left_out() -> None:
    assert too_little(BEDROCK, tally(60, left_out=12), "") == (
        "Bedrock takes files of at least 100 rows, and this one would have 60; 12 were left out, the reasons are below."
    )


def counted(format: ExportFormat, *given: Trace) -> Tally:
    found = Tally()
    for number, one in enumerate(given, 1):
        found.add(Entry(number, one), format.render(Entry(number, one), Columns()))
    return found


def test_rows_that_are_left_out_are_counted_by_rule_with_examples() -> None:
    found = counted(OPENAI, trace(), trace(USER, ANSWER), trace(USER, ANSWER, PICTURE, ANSWER), trace())
    assert (found.rows, found.left_out) == (2, 2)
    assert [(f.rule, f.count, f.examples) for f in findings(OPENAI, found.broken)] == [("last_not_user", 2, [2, 3])]
    assert found.model_validate(found.model_dump(mode="json")) == found


def test_a_file_whose_answers_are_all_the_same_is_warned_of_and_one_with_other_fields_too() -> None:
    assert len(list(warnings(OPENAI, counted(OPENAI, trace(), trace())))) == 1
    assert list(warnings(OPENAI, counted(OPENAI, trace(), trace(reference="sales")))) == []
    assert len(list(warnings(OPENAI, counted(OPENAI, trace(), trace(reference="sales", fields={"a": 1}))))) == 1
    assert list(warnings(CSV, Tally(rows=2))) == []


def test_the_content_hash_knows_order_and_content() -> None:
    one, other = trace(), trace(reference="sales")
    hashes = {counted(OPENAI, *some).content for some in ((one, other), (other, one), (one, one))}
    assert len(hashes) == 3


# --- tables -----------------------------------------------------------------------------------------------------------

TABLED = [
    trace(fields={"priority": 3, "tags": ["a", "b"], "mixed": 1}, metadata={"intent": "parcel"}),
    trace(reference="sales", fields={"priority": 4, "mixed": "one"}),
    trace(reference=None, fields={"priority": None}, span_id="s-1", started_at=12.5),
]


def test_a_parquet_file_is_typed_and_reads_back(tmp_path: Path) -> None:
    table = pq.read_table(whole(PARQUET, TABLED, tmp_path / "t"))
    kinds = {name: str(table.schema.field(name).type) for name in table.schema.names}
    assert kinds["record"] == "int64"
    assert kinds["confidence"] == "double"
    assert (kinds["fields.priority"], kinds["fields.mixed"], kinds["reference_answer"]) == ("int64", "string", "string")
    assert kinds["messages"].startswith("list<")
    rows = table.to_pylist()
    assert [r["record"] for r in rows] == [1, 2, 3]
    assert [r["fields.priority"] for r in rows] == [3, 4, None]
    assert [r["fields.mixed"] for r in rows] == ["1", '"one"', None]
    assert [r["reference_answer"] for r in rows] == ["billing", "sales", None]
    assert [(m["role"], m["content"]) for m in rows[0]["messages"]] == [
        ("system", "Sort it."),
        ("user", USER["content"]),
    ]
    assert (rows[2]["span_id"], rows[2]["started_at"], rows[0]["logged_answer"]) == ("s-1", 12.5, "the logged answer")
    assert json.loads(rows[0]["metadata"]) == {"intent": "parcel"}


def test_parquet_writes_row_groups_and_the_same_bytes_again(tmp_path: Path) -> None:
    many = [trace(fields={"n": n}) for n in range(2_500)]
    one, again = whole(PARQUET, many, tmp_path / "one"), whole(PARQUET, many, tmp_path / "again")
    assert one.read_bytes() == again.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 2
    assert pq.read_table(one, columns=["fields.n"]).column(0).to_pylist() == list(range(2_500))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_file_reads_back(tmp_path: Path) -> None:
    rows = read_csv(whole(CSV, TABLED, tmp_path / "t.csv"))
    assert [r["fields.priority"] for r in rows] == ["3", "4", ""]
    assert [r["reference_answer"] for r in rows] == ["billing", "sales", ""]
    assert [json.loads(r["messages"]) for r in rows] == [[SYSTEM, USER]] * 3
    assert json.loads(rows[0]["fields.tags"]) == ["a", "b"]
    assert rows[0]["user_message"] == "Where is my parcel?"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "'"])
def test_no_cell_begins_like_a_formula(start: str, tmp_path: Path) -> None:
    text = f'{start}HYPERLINK("http://example.com")'
    given = trace({"role": "user", "content": text}, reference=text, fields={start + "name": text})
    rows = read_csv(whole(CSV, [given], tmp_path / "t.csv"))
    told = [rows[0]["user_message"], rows[0]["reference_answer"]]
    assert told == [f"'{text}"] * 2
    assert [cell for one in rows[0].values() for cell in [one] if cell[:1] in tuple("=+-@\t\r\n")] == []


@given(any_text)
def test_taking_one_apostrophe_off_undoes_the_guard(text: str) -> None:
    shown = guarded(text)
    assert (shown[1:] if shown.startswith("'") else shown) == text


@given(st.lists(st.text(), min_size=1))
def test_csv_cells_come_back_as_they_were(texts: list[str]) -> None:
    given = [trace({"role": "user", "content": text}, fields={"said": text}) for text in texts]
    columns = Columns()
    for one in given:
        survey(columns, one)
    lines = b"".join(CSV.render(Entry(1, one), columns).text + b"\n" for one in given)
    rows = list(csv.DictReader(io.StringIO((CSV.head(columns) + lines).decode("utf-8-sig"), newline="")))
    cells = [r["fields.said"] for r in rows]
    assert [c[1:] if c.startswith("'") else c for c in cells] == [text.replace("\0", "\ufffd") for text in texts]


def test_a_trl_file_has_the_same_columns_in_every_row_and_arrow_reads_it(tmp_path: Path) -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "found"}]}
    with_tools = trace(USER, calling, result, USER, reference="sales", tools=[TOOL], fields={"prompt": "own", "n": 2.5})
    path = whole(TRL, [trace(fields={"n": 1}), with_tools], tmp_path / "t.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "prompt": [{**message, "tool_calls": [], "tool_call_id": None} for message in (SYSTEM, USER)],
        "tools": "[]",
        "reference_answer": "billing",
        "n": 1.0,
        "field_prompt": None,
        "record": 1,
        "topic": None,
    }
    assert lines[1]["prompt"][2] == {"role": "tool", "content": "found", "tool_calls": [], "tool_call_id": "c1"}
    assert lines[1]["prompt"][1]["tool_calls"] == [CALL]
    assert lines[1]["field_prompt"] == "own"
    assert json.loads(lines[1]["tools"]) == [TOOL]
    assert [len(set(line)) for line in lines] == [7, 7]
    assert pj.read_json(path).column("reference_answer").to_pylist() == ["billing", "sales"]


def test_a_trl_prompt_ends_with_the_user() -> None:
    assert rendered(TRL, trace(USER, ANSWER)).broken == ("last_not_user",)
    assert rendered(TRL, trace(PICTURE)).broken == ("not_text",)


def test_more_fields_than_columns_go_to_one_column_together(tmp_path: Path) -> None:
    wide = trace(fields={f"f{n:03}": n for n in range(205)})
    read = pq.read_table(whole(PARQUET, [wide], tmp_path / "t")).to_pylist()[0]
    assert json.loads(read["other_fields"]) == {f"f{n:03}": n for n in range(200, 205)}
    assert read["fields.f199"] == 199


@pytest.mark.parametrize("changed", [trace(fields={"n": "text"}), trace(fields={"m": 1}), trace(fields={"n": 2**70})])
def test_a_record_that_was_edited_after_the_columns_were_counted_is_noticed(changed: Trace) -> None:
    columns = Columns()
    survey(columns, trace(fields={"n": 1}))
    with pytest.raises(Unfit):
        PARQUET.render(Entry(1, changed), columns)


def test_a_record_without_messages_has_no_row_in_a_table() -> None:
    broken = from_canonical({"data": "nothing"})
    assert {f.name: rendered(f, broken).broken for f in (CSV, PARQUET, TRL, CANONICAL)} == {
        "csv": ("no_messages",),
        "parquet": ("no_messages",),
        "trl": ("no_messages",),
        "canonical": (),
    }

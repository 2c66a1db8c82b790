from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.reading import Limits, Parsed, Rejected, UnreadableFile, detect_format, open_lines, read_traces
from datasets_app.core.reading_tables import csv_rows, delimiter_of
from datasets_app.core.records import decode_json, encode_json
from tests.datasets_app.core.real_data import real

SKY = [{"role": "user", "content": "Colour of the sky?"}]
BLUE = {"role": "assistant", "content": "Blue"}
TALK = [{"from": "human", "value": "Colour of the sky?"}, {"from": "gpt", "value": "Blue"}]


def as_csv(*rows: list, delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(
        [cell if isinstance(cell, str) else json.dumps(cell) for cell in row] for row in rows
    )
    return text.getvalue()


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(path: Path, **options) -> list[tuple]:
    entries = read_traces(path, **options)
    return [
        (e.line, e.format, [m["content"] for m in [*e.trace.messages, *e.trace.output_messages]])
        if isinstance(e, Parsed)
        else (e.line, e.reason, e.fatal)
        for e in entries
    ]


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "format"),
    [
        (["messages", "level"], [[*SKY, BLUE], "1"], "chat"),
        (["input", "output"], [{"messages": SKY}, {"messages": [BLUE]}], "canonical"),
        (["input", "output", "id", "traceId", "type"], [SKY, BLUE, "o1", "t1", "GENERATION"], "langfuse"),
        (["request", "response"], [{"model": "m", "messages": SKY}, {"choices": [{"message": BLUE}]}], "openai_chat"),
        (["prompt", "completion"], ["Colour of the sky?", "Blue"], "table"),
        (["id", "question", "answer"], ["7", "Colour of the sky?", "Blue"], "table"),
        (["input", "output"], ["Colour of the sky?", "Blue"], "table"),
        (["conversations", "id"], [TALK, "1"], "sharegpt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_read_as_the_format_they_hold(tmp_path, header, row, format, delimiter):
    path = write(tmp_path / "rows", as_csv(header, row, row, delimiter=delimiter))
    expected = [(number, format, ["Colour of the sky?", "Blue"]) for number in (1, 2)]
    assert told(path) == expected
    assert detect_format(path) == [(format, 1.0)]
    write(path, gzip.compress(path.read_bytes()))
    assert told(path) == expected


def test_other_columns_become_item_fields_as_they_are_written(tmp_path):
    path = write(tmp_path / "rows.csv", "\ufefftext,category,code,extra\nWhere is it?,parcel,007,\n")
    (entry,) = read_traces(path)
    assert entry.trace.fields == {"category": "parcel", "code": "007"}


def test_a_zip_may_hold_tables_and_lines(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.csv", as_csv(["prompt", "completion"], ["One?", "1"], ["Two?", "2"]))
        archive.writestr("b.jsonl", json.dumps({"messages": SKY}) + "\n")
    entries = list(read_traces(tmp_path / "all.zip"))
    assert [(e.line, e.where, e.format) for e in entries] == [
        (1, "a.csv", "table"),
        (2, "a.csv", "table"),
        (3, "b.jsonl", "chat"),
    ]


def test_a_bad_row_is_refused_and_the_rest_goes_on(tmp_path):
    text = 'prompt,completion\nOne?,1\nTwo?,2,3\n"Three"?,3\n\nFour?,4\n"Fünf\nZeilen?",5\n'.encode()
    path = write(tmp_path / "rows.csv", text + b"\xff?,6\nSeven?\n")
    assert told(path) == [
        (1, "table", ["One?", "1"]),
        (2, "The row has 3 cells, but the first line names 2 columns.", False),
        (3, "Not a valid row of CSV: ',' expected after '\"'.", False),
        (4, "table", ["Four?", "4"]),
        (5, "table", ["Fünf\nZeilen?", "5"]),
        (6, "The text is not valid UTF-8; save the file as UTF-8.", False),
        (7, "table", ["Seven?"]),
    ]


def test_a_quote_that_is_never_closed_ends_the_reading_and_not_the_memory(tmp_path):
    path = write(tmp_path / "rows.csv", 'prompt,completion\nOne?,1\n"Two?' + "x" * 50_000 + "\n" * 300_000)
    tracemalloc.start()
    entries = list(read_traces(path, limits=Limits(line_bytes=1 << 17)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(e.line, isinstance(e, Rejected)) for e in entries] == [(1, False), (2, True)]
    assert entries[1].reason == "A row is longer than 0.125 MB, or a quote is never closed; reading stopped."
    assert entries[1].fatal
    assert peak < 20 << 20


def test_a_table_that_ends_too_early_keeps_its_whole_rows(tmp_path):
    packed = gzip.compress(
        as_csv(["prompt", "completion"], *[[f"Question {n * 7919}?", str(n)] for n in range(5000)]).encode()
    )
    path = write(tmp_path / "rows.csv.gz", packed[: len(packed) // 2])
    *whole, last = read_traces(path)
    assert last.fatal and last.reason.startswith("The compressed file ends too early")
    assert whole and [e.trace.messages[0]["content"] for e in whole] == [
        f"Question {n * 7919}?" for n in range(len(whole))
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": 2}\n',
        '["a", "b"]\n',
        "one column\nrow\n",
        "a,a\n1,2\n",
        ",\n",
        "",
        'a,b\n{"c": 1}\n',
        "a,b\n1,2,3\n",
    ],
)
def test_what_is_no_table_is_not_taken_for_one(text):
    assert delimiter_of(text.encode()) == ""


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5), st.integers(1, 50))
def test_any_table_is_read_back_whatever_the_blocks(rows, size):
    text = as_csv(["first", "second"], *rows).encode()
    blocks = (text[start : start + size] for start in range(0, len(text), size))
    found = [decode_json(raw) for raw, reason in csv_rows(blocks, 1 << 20, ",") if not reason]
    expected = []
    for row in rows:
        given = {n: c for n, c in zip(("first", "second"), row, strict=True) if c.strip()}
        try:
            expected.append({n: decode_json(c) if c.lstrip()[:1] in "{[" else c for n, c in given.items()})
        except ValueError:
            expected.append(given)
    assert found == expected


# --- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(path: Path, rows: list[dict], **options) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def test_nested_columns_become_objects_without_their_nulls(tmp_path):
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    talk = [
        *SKY,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "up", "tool_call_id": "c1"},
    ]
    rows = [{"messages": [*talk, BLUE], "level": 1}, {"messages": SKY, "level": None}]
    first, second = read_traces(parquet(tmp_path / "rows.parquet", rows))
    assert (first.line, first.format, first.trace.fields) == (1, "chat", {"level": 1})
    assert first.trace.messages == SKY
    assert first.trace.output_messages == [*talk[1:], BLUE]
    assert (second.trace.messages, second.trace.fields) == (SKY, {})


def test_values_of_every_kind_become_json(tmp_path):
    row = {
        "prompt": "Hi",
        "at": datetime(2026, 11, 20, 9, tzinfo=UTC),
        "cost": Decimal("0.25"),
        "raw": b"\xff\x00",
        "text": b"bytes",
        "missing": float("nan"),
        "settings": '{"top_p": 1}',
        "tags": ["a", None],
    }
    (entry,) = read_traces(parquet(tmp_path / "rows", [row]))
    assert entry.trace.fields == {
        "at": "2026-11-20T09:00:00+00:00",
        "cost": "0.25",
        "raw": "/wA=",
        "text": "bytes",
        "settings": {"top_p": 1},
        "tags": ["a", None],
    }


def test_groups_of_rows_are_read_one_after_the_other_and_keep_their_numbers(tmp_path):
    rows = [{"prompt": f"Question {n}?"} for n in range(300)]
    path = parquet(tmp_path / "rows.parquet", rows, row_group_size=100)
    assert [(e.line, e.trace.messages[0]["content"]) for e in read_traces(path, start_line=250)] == [
        (n + 1, f"Question {n}?") for n in range(250, 300)
    ]


def test_a_damaged_parquet_file_says_so(tmp_path):
    whole = parquet(tmp_path / "whole", [{"prompt": "x" * 40}]).read_bytes()
    with pytest.raises(UnreadableFile) as refused:
        list(read_traces(write(tmp_path / "bad", whole[:40])))
    assert str(refused.value).startswith("bad is a damaged or protected Parquet file (")


def test_a_parquet_bomb_is_not_unpacked(tmp_path):
    path = parquet(
        tmp_path / "bomb",
        [{"prompt": "x" * 100_000 + str(n % 3)} for n in range(300)],
        use_dictionary=False,
        compression="zstd",
    )
    limits = Limits(ratio=20, ratio_after=1 << 20)
    (only,) = open_lines(path, limits)
    assert (only.reason, only.fatal) == (
        "The rows unpack to more than 20 times the file's size; reading stopped here.",
        True,
    )


# --- real tables -----------------------------------------------------------------------------------------------------


def test_real_questions_and_their_intents():
    counts = {}
    for name in ("train", "test"):
        entries = list(read_traces(real("dev-labelled", "native", f"banking77_{name}.csv")))
        assert {(type(e), e.format) for e in entries} == {(Parsed, "table")}
        counts[name] = (len(entries), len({e.trace.fields["category"] for e in entries}))
    assert counts == {"train": (10003, 77), "test": (3080, 77)}
    traces = [e.trace for e in read_traces(real("dev-labelled", "banking77_traces.jsonl"))]
    assert [t.messages for t in traces] == [e.trace.messages for e in entries]
    assert [t.metadata["intent"] for t in traces] == [e.trace.fields["category"] for e in entries]


def test_a_real_table_is_the_same_as_parquet(tmp_path):
    path = real("dev-labelled", "native", "banking77_test.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    again = parquet(tmp_path / "rows.parquet", rows)
    assert [e.trace for e in read_traces(again)] == [e.trace for e in read_traces(path)]
    assert encode_json(rows[0])

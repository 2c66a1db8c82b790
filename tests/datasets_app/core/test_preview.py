"""A look at a file says what an import of it would do: both read with the same reader and the same mapping."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_app.core.mapping import FieldMapping
from datasets_app.core.preview import EXAMPLES, LOOKED_AT, look
from datasets_app.core.reading import read_traces
from tests.factories import record, write_lines

CHAT = {"messages": [{"role": "user", "content": "Is the shop open on Sunday?"}], "team": "sales"}


def many(n: int) -> list[dict]:
    return [record(f"Where is parcel number {i}?", metadata={"team": "shipping"}) for i in range(n)]


@pytest.mark.parametrize("format", ["auto", "chat"])
def test_what_is_previewed_is_what_is_read(tmp_path, format):
    path = write_lines(tmp_path / "t.jsonl", *many(4), CHAT)
    mapping = FieldMapping(reference="metadata.team", fields={"where": "metadata.team"}, left_out=("team",))
    entries = list(read_traces(path, format=format, mapping=mapping))
    assert look(path, format, mapping).examples == [entry.trace for entry in entries[:EXAMPLES]]


def test_a_mixed_file_says_what_else_is_in_it(tmp_path):
    found = look(write_lines(tmp_path / "t.jsonl", *many(7), CHAT, CHAT, "{broken"))
    assert found.detected == [("RFT Studio records", 0.7), ("Chat rows (messages)", 0.2)]
    assert (found.read, found.readable, found.unreadable, found.whole, found.records) == (10, 9, 1, True, 10)
    [trouble] = found.troubles
    assert (trouble.kind, trouble.count, trouble.first.line, trouble.first.text) == ("Not valid JSON", 1, 10, "{broken")
    assert {item.name: item.given for item in found.items} == {"team": True}


def test_reasons_are_grouped_with_the_first_line_of_each(tmp_path):
    found = look(write_lines(tmp_path / "t.jsonl", CHAT, "{a", "[1]", "{bb", "{"))
    assert [(t.kind, t.count, t.first.line) for t in found.troubles] == [
        ("Not valid JSON", 3, 2),
        ("The line holds a list, not a JSON object", 1, 3),
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lines", [LOOKED_AT, LOOKED_AT + 1, 40_000])
def test_the_estimate_of_a_whole_file_is_within_a_fifth(tmp_path, lines, packed):
    path = tmp_path / "t"
    text = "".join(f"{json.dumps(line)}\n" for line in many(lines)).encode()
    path.write_bytes(gzip.compress(text, 1) if packed else text)
    found = look(path)
    assert found.whole is (lines == LOOKED_AT)
    assert abs(found.records - lines) <= lines / 5


def test_the_estimate_of_tables_and_archives_is_within_a_fifth(tmp_path):
    n = 20_000
    rows = [f'"[{{""role"": ""user"", ""content"": ""Where is parcel {i}?""}}]",a,b,,,,c' for i in range(n)]
    (tmp_path / "t.csv").write_text("\n".join(["messages,team,colour,one,two,three,a_long_name_of_a_column", *rows]))
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.jsonl", "".join(f"{json.dumps(line)}\n" for line in many(n)))
    pq.write_table(pa.table({"messages": [json.dumps(CHAT["messages"])] * n}), tmp_path / "t.parquet")
    estimates = {name: look(tmp_path / f"t.{name}").records for name in ("csv", "zip", "parquet")}
    assert {name: abs(guess - n) <= n / 5 for name, guess in estimates.items()} == {
        "csv": True,
        "zip": True,
        "parquet": True,
    }


def test_huge_lines_are_looked_at_until_there_is_enough(tmp_path):
    huge = record("x" * (6 << 20))
    found = look(write_lines(tmp_path / "t.jsonl", *[huge] * 8))
    assert (found.read, found.whole, found.records) == (3, False, 8)


def test_a_file_of_nothing_readable_says_why_and_never_raises(tmp_path):
    path = write_lines(
        tmp_path / "t.jsonl", '{"request": {"model": "m", "messages": []}, "response": {"error": "down"}}'
    )
    found = look(path, "openai_chat")
    assert found.error == ("No line of this file could be read. The call failed, so there is no answer to keep: down")
    assert look(Path("/nowhere/t.jsonl")).error == "t.jsonl does not exist; check the path."

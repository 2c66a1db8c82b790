from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.reading_scan import Shape, scan_values, shape_of, split_lines
from tests.datasets_app.core.strategies import any_json

CAP = 1 << 20


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def raw_of(data: bytes, size: int = 7, cap: int = CAP) -> list[bytes]:
    pieces = list(scan_values(blocks(data, size), cap))
    assert [reason for _, reason in pieces if reason] == []
    return [raw.strip() for raw, _ in pieces]


@given(st.lists(any_json, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]))
def test_a_list_is_cut_where_the_parser_would_cut_it(values, size, indent):
    data = json.dumps(values, indent=indent).encode()
    assert [json.loads(raw) for raw in raw_of(data, size)] == values


@given(st.lists(st.dictionaries(st.text(max_size=4), any_json, max_size=3), min_size=1, max_size=4), st.integers(1, 40))
def test_a_wrapped_list_and_objects_in_a_row_are_cut_too(values, size):
    wrapped = json.dumps({"object": "list", "n": 2, "data": values, "more": [1, {"a": 2}]}).encode()
    # The wrapper must be known from the first block: the caller looks at the head of the file.
    assert [json.loads(raw) for raw in raw_of(wrapped, max(size, 60))] == values
    row = "\n".join(json.dumps(value, indent=2) for value in values).encode()
    assert [json.loads(raw) for raw in raw_of(row, size)] == values


@given(st.binary(max_size=200), st.integers(1, 20), st.integers(1, 50))
def test_no_bytes_break_the_scanner(data, size, cap):
    for head in (b"", b"[", b"{", b'{"data": ['):
        for raw, reason in scan_values(blocks(head + data, size), cap):
            assert len(raw) <= max(cap, 1 << 14)
            assert isinstance(reason, str)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_lines_are_those_of_split(data, size):
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert list(split_lines(blocks(data, size), 10_000)) == [(line, "") for line in expected]


@pytest.mark.parametrize("size", [1, 3, 64, 10_000])
def test_what_is_too_long_is_refused_and_the_rest_goes_on(size):
    long = b'{"a": "' + b'x]\\"' * 500 + b'"}'
    said = "The record is longer than 0.000954 MB; shorten it or leave it out."
    lines = list(split_lines(blocks(b'{"b":1}\n' + long + b'\n{"c":2}\n', size), 1000))
    assert [(raw[:7], reason) for raw, reason in lines] == [(b'{"b":1}', ""), (b'{"a": "', said), (b'{"c":2}', "")]
    values = list(scan_values(blocks(b'[{"b":1}, ' + long + b', {"c":2}]', size), 1000))
    assert [(raw[:7], reason) for raw, reason in values] == [(b'{"b":1}', ""), (b'{"a": "', said), (b'{"c":2}', "")]


def test_a_list_is_read_block_by_block():
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        yield b"["
        for _ in range(1000):
            taken += 1
            yield b'{"a":"' + b"x" * 1000 + b'"},'

    values = scan_values(source(), CAP)
    for number in range(1, 4):
        next(values)
        assert taken <= number + 1


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (b"[1, 2", ["", "", "The list is not closed: the file ends too early; the records before this were read."]),
        (b'[{"a":1}, {"b"', ["", "The record is not closed: the file ends in its middle.",
         "The list is not closed: the file ends too early; the records before this were read."]),
        (b"[1] [2]", ["", "There is text after the end of the list."]),
        (b"[]", []),
        (b'{"a":\n1', ["The record is not closed: the file ends in its middle."]),
    ],
)  # fmt: skip
def test_a_broken_list_says_how(data, reasons):
    assert [reason for _, reason in scan_values(blocks(data, 1000), CAP)] == reasons


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (b'{"a":1}\n{"b":2}\n', Shape.LINES),
        (b'{"a":1}', Shape.LINES),
        (b'\xef\xbb\xbf\n [\n{"a":1},', Shape.VALUES),
        (b'[{"a":1},{"b":2}]', Shape.VALUES),
        (b'{"data": [{"a":1}', Shape.VALUES),
        (b'{"object": "list", "ok": true, "records":\n[', Shape.VALUES),
        (b'{\n  "a": 1\n}', Shape.VALUES),
        (b'{"id": 1, "items": [1], "messages": []}', Shape.LINES),
        (b'{"data": {"input": 1}}', Shape.LINES),
        (b'{"data": [1]}\n{"data": [2]}\n', Shape.LINES),
        (b'[1]\n{"a":1}\n', Shape.LINES),
        (b'[oops\n{"a":1}\n', Shape.LINES),
        (b'{"cut off": {\n{"a":1}\n', Shape.LINES),
        (b"name,age\n", Shape.LINES),
        (b"", Shape.LINES),
    ],
)
def test_shape_of_a_file(head, shape):
    assert shape_of(head) is shape

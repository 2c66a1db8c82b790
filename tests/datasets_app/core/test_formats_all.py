"""Every format of the table: what it makes of its own lines, and that nothing makes it crash."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.formats import FORMATS, MARKED, MARKS, detect, items_of, parse, readings, recognise
from datasets_app.core.formats.base import NoCall
from datasets_app.core.records import Trace, Unreadable, dumps, loads
from tests.datasets_app.core.examples import BLUE, LINES
from tests.datasets_app.core.strategies import any_json, objects

CALLS = {name: line for name, line in LINES.items() if name != "otel_other"}


def the(line, format: str = "auto") -> Trace:
    """The only record of a line."""
    ((_, trace),) = readings(line, format, "chat")
    if isinstance(trace, Unreadable):
        raise trace
    return trace


def refusal(line, format: str = "auto") -> str:
    with pytest.raises(Unreadable) as refused:
        the(line, format)
    return str(refused.value)


def said(trace: Trace) -> tuple:
    texts = [(m["role"], m.get("content")) for m in trace.messages]
    return texts, [(m["role"], m.get("content")) for m in trace.output_messages]


def test_there_is_an_example_of_every_format():
    assert list(FORMATS) != [] and set(LINES) == set(FORMATS)


@pytest.mark.parametrize("name", CALLS)
def test_every_format_knows_its_own_and_reads_the_same_from_it(name):
    line = copy.deepcopy(CALLS[name])
    assert recognise(line) == name
    trace = parse(line, name)
    assert said(trace) == ([("user", "Colour of the sky?")], [("assistant", "Blue")])
    assert trace.output == {"messages": [BLUE], "tool_calls": [], "finish_reason": "stop"}
    assert loads(dumps(trace)) == trace
    assert line == CALLS[name]  # nothing of the line was changed
    assert detect([line]) == [(name, 1.0)]
    assert said(parse(line, "auto" if name == "auto" else name)) == said(trace)


@pytest.mark.parametrize("name", [known.name for known in MARKED])
def test_a_line_without_a_mark_need_not_be_asked_about_marked_formats(name):
    assert not MARKS.isdisjoint(LINES[name])


def test_spans_that_are_no_calls_are_told_apart():
    assert recognise(LINES["otel_other"]) == "otel_other"
    with pytest.raises(NoCall):
        parse(LINES["otel_other"], "otel_other")
    assert detect([LINES["otel_other"]]) == []


def test_names_of_ids_are_the_same_everywhere():
    ids = {
        name: (parse(line, name).span_id, parse(line, name).metadata.get("trace_id")) for name, line in CALLS.items()
    }
    assert {name: found for name, found in ids.items() if found != ("", None)} == {
        "openai_chat": ("cc1", None),
        "openai_responses": ("r1", None),
        "anthropic": ("msg_1", None),
        "anthropic_batch": ("b1", None),
        "openai_stored": ("cc1", None),
        "bedrock": ("q1", None),
        "helicone": ("h1", None),
        "litellm": ("l1", None),
        "vllora": ("v1", "t1"),
        "langsmith": ("s1", None),
        "langfuse": ("o1", "t1"),
        "otel_genai": ("g1", "t1"),
        "openllmetry": ("p1", "t1"),
        "vercel_ai": ("a1", "t1"),
        "openinference": ("i1", "t1"),
    }


# --- nothing crashes -------------------------------------------------------------------------------------------------


def paths(node, path=()):
    yield path
    if isinstance(node, dict | list):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from paths(inner, (*path, key))


def replaced(node, path, value):
    if not path:
        return value
    clone = copy.copy(node)
    clone[path[0]] = replaced(node[path[0]], path[1:], value)
    return clone


MAIMED = [(name, path) for name, line in LINES.items() for path in paths(line)]


@given(st.sampled_from(MAIMED), any_json | objects, st.booleans())
def test_a_line_with_anything_in_any_place_is_read_or_refused(where, value, as_text):
    name, path = where
    line = replaced(LINES[name], path, json.dumps(value) if as_text else value)
    found = list(readings(line, "auto", "chat"))
    assert found
    for _, trace in found:
        if isinstance(trace, Trace):
            assert loads(dumps(trace)) == trace
        else:
            assert str(trace)


@given(st.sampled_from(MAIMED), any_json)
def test_no_reader_trips_over_another_format(where, value):
    name, path = where
    line = replaced(LINES[name], path, value)
    if isinstance(line, dict):
        for known in FORMATS.values():
            assert isinstance(known.recognise(line), bool)
            try:
                trace = known.read(line)
            except Unreadable as error:
                assert str(error)
            else:
                assert loads(dumps(trace)) == trace


@given(any_json)
def test_any_json_in_a_container_is_read_or_refused(value):
    for line in (value, [value], {"data": [value]}, {"resourceSpans": value}, {"observations": value, "trace": value}):
        assert list(readings(line, "auto", "chat"))
        assert list(readings(line, "table", "table"))
        items_of(line)

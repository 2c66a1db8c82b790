from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.core.reading import Parsed, read_traces
from datasets_app.core.records import Trace, encode_json, user_text
from datasets_app.core.tokens import count, count_text
from tests.datasets_app.core.real_data import real

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # how the oracle opens its own vocabulary
    import bpe_openai

oracle = bpe_openai.get_encoding("o200k_base").encode_ordinary


@pytest.mark.parametrize(
    "text", ["", "Where is my order?", "<|endoftext|> is text here", "日本語のテキスト", "a\0b", " \n\t" * 40]
)
def test_counts_agree_with_another_implementation(text):
    assert count_text(text) == len(oracle(text))


@settings(deadline=None)
@given(st.text())
def test_counts_agree_on_any_text(text):
    assert count_text(text) == len(oracle(text))


def test_a_lone_surrogate_counts_as_the_replacement_character():
    assert count_text("a\ud800b") == count_text("a\ufffdb")


def test_a_record_counts_its_texts_and_its_tool_calls():
    calls = [{"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id":81}'}}]
    trace = Trace(
        {
            "input": {
                "messages": [
                    {"role": "system", "content": "You help with refunds."},
                    {"role": "assistant", "content": None, "tool_calls": calls},
                    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "broken"}]},
                    {"role": "user", "content": "And now?"},
                ],
                "tools": [{"type": "function", "function": {"name": "not_counted"}}],
            },
            "output": {"messages": [{"role": "assistant", "content": "not counted either"}]},
        }
    )
    parts = ["You help with refunds.", encode_json(calls), "broken", "And now?"]
    assert count(trace) == sum(len(oracle(part)) for part in parts)
    assert count(Trace(None)) == 0


def test_a_system_prompt_that_many_records_repeat_counts_in_each():
    def said(role: object, text: str) -> Trace:
        return Trace({"input": {"messages": [{"role": role, "content": text}]}})

    texts = ["You help with refunds.", "You help with refunds!", "You help. " * 3000, "a\ud800b"]
    expected = [len(oracle(text.replace("\ud800", "\ufffd"))) for text in texts]
    for role in ("system", "system", "developer", "user", None, {"not": "a role"}):
        assert [count(said(role, text)) for text in texts] == expected


def test_real_texts_count_the_same():
    path = real("dev-labelled", "banking77_traces.jsonl")
    traces = [entry.trace for entry in read_traces(path, limit=500) if isinstance(entry, Parsed)]
    assert len(traces) == 500
    assert [count(trace) for trace in traces] == [len(oracle(user_text(trace))) for trace in traces]

from __future__ import annotations

import pytest

from graders_app.core.samples import make_sample
from rft_project.platforms.types import make_item

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


def test_an_answer_in_the_fields_shape():
    assert make_sample('{"label": "a"}', [CALL]) == {
        "output_text": '{"label": "a"}',
        "output_json": {"label": "a"},
        "output_tools": [CALL],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"label": "a"}', "tool_calls": [CALL]}}],
    }


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("plain words", None),
        ("", None),
        ('{"a": 1} and more', None),
        ('["a", 1]', ["a", 1]),
        ("12", 12),
        ("NaN", None),
        ("1" * 5000, None),
        ("[" * 100_000, None),
        (" " * 1_000_001 + "1", None),
    ],
)
def test_only_an_answer_that_is_json_throughout_is_parsed(text, parsed):
    assert make_sample(text)["output_json"] == parsed


def test_an_item_has_the_records_fields_and_the_last_user_message():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "and?"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]

    assert make_item({"topic": "cards"}, messages, "yes") == {
        "topic": "cards",
        "messages": messages,
        "user_message": "second",
        "reference_answer": "yes",
    }
    assert make_item({}, [], None) == {"messages": [], "user_message": ""}

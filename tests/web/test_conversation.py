from __future__ import annotations

import pytest
from django.template import Context, Template

from rft_project.web.conversation import LONGEST, Block, folded, turn, turns


def draw(messages: object) -> str:
    return Template("{% conversation messages %}").render(Context({"messages": messages}))


def test_roles_are_spoken_and_have_a_margin():
    made = turns([{"role": r, "content": "x"} for r in ("system", "developer", "user", "assistant", "tool")])
    assert [(t.label, t.css) for t in made] == [
        ("System", ""),
        ("Developer", ""),
        ("User", "user"),
        ("Assistant", "model"),
        ("Tool result", "tool"),
    ]


def test_tool_calls_are_shown_as_calls_with_indented_arguments():
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}},
            {"function": {"name": "broken", "arguments": "{not json"}},
        ],
    }
    assert turn(message).blocks == [Block("call", 'find({\n  "a": 1\n})'), Block("call", "broken({not json)")]


def test_the_old_function_call_is_shown_too():
    message = {"role": "assistant", "function_call": {"name": "f", "arguments": {"b": "ü"}}}
    assert turn(message).blocks == [Block("call", 'f({\n  "b": "ü"\n})')]


def test_parts_are_named_and_never_fetched():
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://tracker.example/x.png"}},
        {"type": "refusal", "refusal": "no"},
        "bare",
        {"type": "odd", "x": 1},
    ]
    assert turn({"role": "user", "content": content}).blocks == [
        Block("text", "Look"),
        Block("other", "[image, not shown]"),
        Block("text", "Refused: no"),
        Block("text", "bare"),
        Block("call", '{\n  "type": "odd",\n  "x": 1\n}'),
    ]
    assert "tracker.example" not in draw([{"role": "user", "content": content}])


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        "text",
        [],
        [None, 3],
        {"role": None},
        {"content": {"a": 1}},
        [{"role": "user", "tool_calls": "x"}],
        [{"role": ["a"]}],
    ],
)
def test_anything_can_be_shown(broken):
    assert '<div class="talk">' in draw(broken)


def test_an_empty_message_says_so():
    assert turn({"role": "assistant", "content": ""}).blocks == [Block("other", "[empty]")]


def test_a_very_long_text_is_cut_and_says_by_how_much():
    block = turn({"role": "user", "content": "x" * (LONGEST + 1234)}).blocks[0]
    assert block.text.endswith("… 1,234 more characters")
    assert len(block.text) < LONGEST + 40


@pytest.mark.parametrize("field", ["role", "name", "content"])
def test_hostile_text_stays_text(field):
    hostile = '"><img src=x onerror=alert(1)>\u202e{{ 7|add:7 }}'
    html = draw([{"role": "user", "content": "hi", field: hostile}])
    assert "<img" not in html
    assert "\u202e" not in html
    assert "14" not in html


def test_hostile_tool_calls_stay_text():
    hostile = "<script>alert(1)</script>"
    html = draw([{"role": "assistant", "tool_calls": [{"function": {"name": hostile, "arguments": hostile}}]}])
    assert html.count("&lt;script&gt;") == 2
    assert "<script" not in html


def test_a_long_conversation_folds_its_middle_away():
    talk = [{"role": "system", "content": "frame"}]
    talk += [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(9)]
    parts = folded(turns(talk))
    said = {name: [turn.blocks[0].text for turn in found] for name, found in parts.items()}
    assert said == {
        "opening": ["frame"],
        "folded": [f"turn {n}" for n in range(7)],
        "turns": ["turn 7", "turn 8"],
    }
    short = turns(talk[:9])
    assert folded(short) == {"opening": [], "folded": [], "turns": short}

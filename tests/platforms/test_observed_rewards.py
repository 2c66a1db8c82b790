"""A grader's log is read line by line; what the grader itself prints is none of ours, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rft_project.platforms.converse import converse_arguments
from rft_project.platforms.observed_rewards import graded
from rft_project.platforms.types import SampleRequest

LINE: dict[str, Any] = {"id": "train-1", "reward": 0.5, "sub_rewards": {"exact": 1, "near": "?"}, "errors": []}
DEEP = "[" * 100_000 + "]" * 100_000


def test_a_line_of_ours() -> None:
    found = graded(7, json.dumps(LINE))
    assert (found.at, found.reward, found.parts, found.failed, found.counted) == (7, 0.5, {"exact": 1}, False, True)
    assert not graded(7, json.dumps({**LINE, "id": "valid-1"})).counted
    assert graded(7, json.dumps({**LINE, "errors": [{"kind": "timeout"}]})).failed


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: 1",
        "null",
        DEEP,
        json.dumps({**LINE, "sub_rewards": [1, 2]}),
        json.dumps({**LINE, "errors": ["none"]}),
        json.dumps({**LINE, "errors": None}),
        json.dumps({name: value for name, value in LINE.items() if name != "id"}),
    ],
)
def test_what_a_grader_prints_is_not_counted(line: str) -> None:
    found = graded(7, line)
    assert (found.counted, found.reward, found.failed) == (False, None, False)


def test_arguments_of_a_tool_that_cannot_be_read_are_sent_as_none() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "lookup", "arguments": DEEP}}
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "found"},
    ]
    sent = converse_arguments(SampleRequest(model="m", messages=messages), "m")
    assert sent["messages"][1]["content"][0]["toolUse"]["input"] == {}

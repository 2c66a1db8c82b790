"""Asking models of Bedrock: tools, schemas, thinking, and what goes wrong for a moment."""

from __future__ import annotations

import json

import pytest

from rft_project.platforms import PlatformError, build
from tests.emulators.bedrock import Fault

from .test_bedrock_aws import ask, emulator, platform

__all__ = ["emulator", "platform"]

TOOL = {"name": "lookup", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}


class TestAsking:
    def test_tools_and_their_results(self, platform) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"q": 1}'}}
        messages = [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Ada"},
            {"role": "user", "content": "And?"},
        ]
        for tools in ([{"type": "function", "function": TOOL}], []):  # they are called before, if not offered now
            sample = platform.sample(ask(messages=messages, tools=tools))
            assert [answer.finish_reason for answer in sample.answers] == ["stop"]

    def test_answers_that_are_paid_for_are_kept_where_one_call_fails_for_a_moment(self, platform, emulator) -> None:
        emulator.faults.append(Fault("POST", "/model/", 503, skip=1))
        assert len(platform.sample(ask(n=3)).answers) == 3
        assert [path.endswith("/converse") for _, path in emulator.requests].count(True) == 4

    def test_a_schema_is_kept(self, platform) -> None:
        schema = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
        given = {"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}
        (answer,) = platform.sample(ask(response_format=given)).answers
        assert json.loads(answer.text) == {"topic": "I am not sure."}

    @pytest.mark.parametrize("effort", ["low", "high", "none"])
    def test_reasoning(self, platform, effort) -> None:
        assert platform.sample(ask(reasoning_effort=effort)).answers[0].text == "I am not sure."

    def test_throttling_is_said_and_not_repeated(self, platform, emulator) -> None:
        emulator.faults.append(Fault("POST", "/model/", 429, headers={"retry-after": "7"}))
        with pytest.raises(PlatformError) as busy:
            platform.sample(ask())
        assert (busy.value.retryable, busy.value.retry_after, busy.value.code) == (True, 7.0, "ThrottlingException")
        assert len(emulator.requests) == 1

    def test_a_bearer_token_of_the_environment_does_not_go_first(self, emulator, monkeypatch) -> None:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "someone-elses")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        build("bedrock", emulator.credentials).check()
        assert "someone-elses" not in json.dumps(emulator.headers)

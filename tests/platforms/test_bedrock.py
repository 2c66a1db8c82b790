"""Bedrock's adapter: the contract, and what only Bedrock does. boto3 talks to an emulated AWS account on loopback."""

from __future__ import annotations

from typing import Any

import pytest

from graders_app.core.compiling import lambda_zip
from rft_project.platforms import Platform, PlatformError, Unknown
from tests.emulators import bedrock
from tests.emulators.bedrock import BedrockEmulator
from tests.engine.process import EXACT

from .contract import PlatformContract, prompted


def many(first: int, last: int, copies: int) -> list[dict[str, Any]]:
    """Rows that differ by a number behind the prompt."""
    found = []
    for number in range(copies):
        for row in prompted(first, last):
            *before, last_message = row["messages"]
            told = {**last_message, "content": f"{last_message['content']} ({number})"}
            found.append({**row, "messages": [*before, told]})
    return found


@pytest.fixture
def emulator(bedrock_emulator: BedrockEmulator) -> BedrockEmulator:
    return bedrock_emulator


class TestBedrock(PlatformContract):
    kind = "bedrock"
    model = bedrock.TRAINABLE
    base = bedrock.TRAINABLE
    address = "endpoint_url"
    named_deployments = True
    done_word = "Completed"
    curve = frozenset({"observed_reward", "observed_reward:exact", "observed_reward:near", "errors"})
    checkpoints = False
    counted_steps = False
    no_deployment = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/sim0nothing0"
    short = {"batchSize": 32, "epochCount": 3, "trainingSamplePerPrompt": 8}
    long = {"batchSize": 16, "epochCount": 50}

    @pytest.fixture
    def credentials(self, emulator: BedrockEmulator) -> dict[str, Any]:
        return emulator.credentials

    def train_rows(self) -> list[dict[str, Any]]:
        return many(0, 4, 9)

    def package(self, grader: dict[str, Any]) -> bytes:
        return lambda_zip(grader)

    def first_and_last(self, series: dict[str, list[float]]) -> tuple[float, float]:
        return series["observed_reward"][0], series["observed_reward"][-1]

    def test_a_bad_grader_is_refused_before_anything_starts(self, platform: Platform, request_for) -> None:
        broken = {**EXACT, "type": "python", "source": "def grade(sample, item):\n    return item['nothing']"}
        broken = {"type": "python", "name": "broken", "source": broken["source"]}
        request = request_for(grader=broken)
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request)
        assert not isinstance(refusal.value, Unknown)
        assert (refusal.value.status, refusal.value.retryable) == (400, False)
        assert platform.find_training(request.key) is None

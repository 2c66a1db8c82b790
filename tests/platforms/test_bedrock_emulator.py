"""The emulated Bedrock refuses what the service would and boto3 lets pass."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.emulators import bedrock
from tests.emulators.bedrock import BedrockEmulator
from tests.emulators.bedrock_jobs import GraderFailed, check_row, graded
from tests.emulators.lambda_runs import Run
from tests.emulators.wire import Refused

TOOL = {"type": "function", "function": {"name": "f", "description": "It looks.", "parameters": {}}}


@pytest.fixture
def call(bedrock_emulator: BedrockEmulator) -> Any:
    """``call(service, operation, …)`` of boto3."""
    given = bedrock_emulator.credentials

    def made(service: str, operation: str, **arguments: Any) -> Any:
        client = boto3.client(
            service,
            region_name=given["region"],
            endpoint_url=given["endpoint_url"],
            aws_access_key_id=given["access_key_id"],
            aws_secret_access_key=given["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        return getattr(client, operation)(**arguments)

    return made


def job(emulator: BedrockEmulator, **changes: Any) -> dict[str, Any]:
    account = emulator.account
    function = f"arn:aws:lambda:us-east-1:{bedrock.ACCOUNT}:function:rft-none:1"
    values = {
        "jobName": "rft-1",
        "customModelName": "rft-1",
        "roleArn": account.job_role,
        "baseModelIdentifier": bedrock.TRAINABLE,
        "customizationType": "REINFORCEMENT_FINE_TUNING",
        "trainingDataConfig": {"s3Uri": f"s3://{account.bucket}/train.jsonl"},
        "outputDataConfig": {"s3Uri": f"s3://{account.bucket}/out/"},
        "customizationConfig": {"rftConfig": {"graderConfig": {"lambdaGrader": {"lambdaArn": function}}}},
    }
    return {**values, **changes}


def settings(**given: Any) -> dict[str, Any]:
    function = f"arn:aws:lambda:us-east-1:{bedrock.ACCOUNT}:function:rft-none:1"
    grader = {"lambdaGrader": {"lambdaArn": function}}
    return {"customizationConfig": {"rftConfig": {"graderConfig": grader, "hyperParameters": given}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (settings(batchSize=1000), "batchSize 1000 is more than 512"),
        (settings(reasoningEffort="max"), "'max' is not one of low, medium, high"),
        ({"jobName": "bad name!"}, "'bad name!' does not match"),
        ({"trainingDataConfig": {"s3Uri": "s3://bucket/dt=2026/x"}}, "does not match"),
        ({"customizationType": "FINE_TUNING"}, "REINFORCEMENT_FINE_TUNING"),
        ({"baseModelIdentifier": "amazon.nova-lite-v1:0"}, "does not support reinforcement fine-tuning"),
        ({"hyperParameters": {"epochCount": "1"}}, "supervised"),
        ({}, "does not exist in us-east-1"),
    ],
)
def test_jobs(bedrock_emulator: BedrockEmulator, call: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said) as refusal:
        call("bedrock", "create_model_customization_job", **job(bedrock_emulator, **changes))
    assert refusal.value.response["Error"]["Code"] == "ValidationException"
    assert len(bedrock_emulator.problems) == 1
    assert bedrock_emulator.jobs == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"aggregate_reward_score": 0.5, "metrics_list": [{"name": "a", "value": 1.0, "type": "Metric"}]}, ""),
        ({"aggregate_reward_score": "0.5"}, "invalid response"),
        (
            {"aggregate_reward_score": 0.5, "metrics_list": [{"name": "a", "value": 1.0, "type": "Score"}]},
            "invalid response",
        ),
        (
            {"aggregate_reward_score": 0.5, "metrics_list": [{"name": "a", "value": None, "type": "Metric"}]},
            "invalid response",
        ),
    ],
)
def test_answers_of_a_function_in_the_wrong_shape(answer: dict[str, Any], said: str) -> None:
    pair = ({"output_text": "x"}, {"id": "train-1", "messages": []})
    run = Run([{"id": "train-1", **answer}], None, [])
    if not said:
        assert [result.reward for result in graded([pair], lambda event: run)] == [0.5]
        return
    with pytest.raises(GraderFailed, match=said):
        graded([pair], lambda event: run)


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (
            [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "without type, description or parameters",
        ),
        ([TOOL, TOOL], "two tools of one name"),
    ],
)
def test_tools_that_awss_validator_refuses(tools: list[Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        check_row({"messages": [{"role": "user", "content": "x"}], "tools": tools}, 1)


def test_turns_that_do_not_alternate(call: Any) -> None:
    turn = {"role": "user", "content": [{"text": "hello"}]}
    with pytest.raises(ClientError, match="alternate"):
        call("bedrock-runtime", "converse", modelId=bedrock.BASE, messages=[turn, turn])


def test_a_model_that_is_not_deployed_answers_nothing(call: Any) -> None:
    turn = {"role": "user", "content": [{"text": "hello"}]}
    with pytest.raises(ClientError, match="model identifier is invalid"):
        call("bedrock-runtime", "converse", modelId=bedrock.TRAINABLE, messages=[turn])


def test_a_signature_of_another_region(bedrock_emulator: BedrockEmulator) -> None:
    given = bedrock_emulator.credentials
    client = boto3.client(
        "bedrock",
        region_name="eu-west-1",
        endpoint_url=given["endpoint_url"],
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
    )
    with pytest.raises(ClientError, match="scoped to us-east-1"):
        client.list_foundation_models()

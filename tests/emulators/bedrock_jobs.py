"""Jobs of Bedrock's reinforcement fine-tuning: what is refused before one starts, and how it goes on.

The policy of the emulators' core learns with batchSize prompts and trainingSamplePerPrompt answers a step; every answer
is graded by the Lambda function itself, 64 at a time, tried three times. Nothing but the function's own log tells the
rewards, as on the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from graders_app.core.evaluate import GraderResult, Pair

from .aws_account import AwsAccount
from .aws_iam import Need
from .training import RATE, Settings
from .wire import Json, Refused

TRAINABLE = "amazon.nova-2-lite-v1:0:256k"
#: Gradings in one call of the function; how many Bedrock sends is not known.
BATCH = 64
TRIES = 3
_ROLES = ("system", "user", "assistant", "tool")
_FIELDS = {"role", "content", "tool_calls", "tool_call_id"}


class GraderFailed(Exception):
    """The function failed on a batch as often as it is tried."""


def refuse(message: str) -> Refused:
    return Refused(400, message, code="ValidationException")


def checked_job(given: Json, account: AwsAccount) -> tuple[list[Json], list[Json]]:
    """Training and validation rows of a request that the service would take. Raises Refused."""
    if given.get("customizationType") != "REINFORCEMENT_FINE_TUNING":
        raise refuse("Only customizationType REINFORCEMENT_FINE_TUNING is emulated.")
    if given["baseModelIdentifier"].rpartition("/")[2] != TRAINABLE:
        raise refuse(f"The base model {given['baseModelIdentifier']} does not support reinforcement fine-tuning.")
    if "hyperParameters" in given:
        raise refuse("hyperParameters are those of supervised fine-tuning; use customizationConfig.rftConfig.")
    function = given.get("customizationConfig", {}).get("rftConfig", {}).get("graderConfig", {}).get("lambdaGrader")
    if not function:
        raise refuse("rftConfig.graderConfig.lambdaGrader is required.")
    arn = function["lambdaArn"]
    if f":lambda:{account.region}:" not in arn or account.function(arn) is None:
        raise refuse(f"The Lambda function {arn} does not exist in {account.region}.")
    if not account.trusted(given["roleArn"], "bedrock.amazonaws.com"):
        raise refuse(f"Bedrock can't assume the role {given['roleArn']}.")
    output = re.match(r"s3://([^/]+)", given["outputDataConfig"]["s3Uri"])
    if output is None or not account.has_bucket(output[1]):
        raise refuse("The bucket of outputDataConfig does not exist.")
    train = rows_at(given["trainingDataConfig"].get("s3Uri"), account, least=100)
    validators = given.get("validationDataConfig", {}).get("validators", [])
    valid = [row for place in validators for row in rows_at(place["s3Uri"], account, least=1)]
    return train, valid


def needs_of_job(given: Json) -> list[Need]:
    """What the job does under its role."""
    validators = given.get("validationDataConfig", {}).get("validators", [])
    read = [given["trainingDataConfig"]["s3Uri"], *(place["s3Uri"] for place in validators)]
    written = given["outputDataConfig"]["s3Uri"]
    function = given["customizationConfig"]["rftConfig"]["graderConfig"]["lambdaGrader"]["lambdaArn"]
    bucket = written.removeprefix("s3://").partition("/")[0]
    return [
        Need("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        *(Need("s3:GetObject", uri.replace("s3://", "arn:aws:s3:::")) for uri in read),
        Need("s3:PutObject", f"{written.replace('s3://', 'arn:aws:s3:::')}metrics.csv"),
        Need("lambda:InvokeFunction", function),
    ]


def rows_at(address: Any, account: AwsAccount, *, least: int) -> list[Json]:
    place = re.match(r"s3://([^/]+)/(.+)\Z", str(address))
    content = account.object(place[1], place[2]) if place else None
    if content is None:
        raise refuse(f"The data at {address} can't be read.")
    lines = content.decode().splitlines()
    if not least <= len(lines) <= 20_000:
        raise refuse(f"The data at {address} has {len(lines)} records; {least} to 20000 are allowed.")
    rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows, 1):
        check_row(row, number)
    return rows


def check_row(row: Any, number: int) -> None:
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not any(message.get("role") == "user" for message in messages):
        raise refuse(f"Record {number} has no user message.")
    for at, message in enumerate(messages):
        if message.get("role") not in _ROLES or not set(message) <= _FIELDS:
            raise refuse(f"Record {number} has a message with an unknown role or key.")
        if message["role"] == "system" and at > 0:
            raise refuse(f"Record {number} has a system message that is not the first.")
        if not message.get("content") and not message.get("tool_calls"):
            raise refuse(f"Record {number} has a message without content.")
    if "reference_answer" in row and (
        not isinstance(row["reference_answer"], str | dict) or not row["reference_answer"]
    ):
        raise refuse(f"Record {number} has a reference_answer that is neither a text nor an object.")

    names = []
    for tool in row.get("tools") or []:
        function = tool.get("function") or {}
        if tool.get("type") != "function" or not function.get("description") or "parameters" not in function:
            raise refuse(f"Record {number} has a tool without type, description or parameters.")
        names.append(function.get("name"))
    if len(set(names)) < len(names):
        raise refuse(f"Record {number} has two tools of one name.")


def settings_for(given: Json, rows: int) -> Settings:
    """The service's defaults are not published: where nothing is said these are the emulator's."""
    batch = min(int(given.get("batchSize", 32)), rows)
    return Settings(
        batch=batch,
        steps=-(-rows // batch) * int(given.get("epochCount", 2)),
        every=int(given.get("evalInterval", 10)),
        samples=int(given.get("trainingSamplePerPrompt", 4)),
        valid_samples=1,
        rate=RATE * float(given.get("learningRate", 1e-4)) / 1e-4,
    )


def graded(pairs: Sequence[Pair], invoke: Any, *, as_in_samples: bool = False) -> list[GraderResult]:
    """Results of the function; ``invoke`` calls it with one batch. Raises GraderFailed.

    ``as_in_samples``: events as AWS's samples read them, not as its pages have them.
    """
    found: list[GraderResult] = []
    for begin in range(0, len(pairs), BATCH):
        event = [_sample(sample, row) for sample, row in pairs[begin : begin + BATCH]]
        event = [_as_in_samples(entry) for entry in event] if as_in_samples else event
        found += _batch(event, invoke)
    return found


def _batch(event: list[Json], invoke: Any) -> list[GraderResult]:
    said = ""
    for _ in range(TRIES):
        run = invoke(event)
        if run.error is not None:
            said = f"{run.error['errorType']}: {run.error['errorMessage']}"
            continue
        answers = run.result
        if not isinstance(answers, list) or [answer.get("id") for answer in answers] != [one["id"] for one in event]:
            raise GraderFailed("The reward function returned an invalid response.")
        for answer in answers:
            metrics = answer.get("metrics_list", [])
            named = all(isinstance(m.get("name"), str) and m.get("type") in ("Metric", "Reward") for m in metrics)
            if not named or not all(_is_number(value) for value in _numbers(answer)):
                raise GraderFailed("The reward function returned an invalid response.")
        return [GraderResult(reward=float(answer["aggregate_reward_score"])) for answer in answers]
    raise GraderFailed(f"The reward function failed: {said}")


def _numbers(answer: Json) -> list[Any]:
    return [answer.get("aggregate_reward_score"), *(metric.get("value") for metric in answer.get("metrics_list", []))]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_in_samples(entry: Json) -> Json:
    """The answer under a role of its own in parts, the record's fields beside the messages, a text wrapped."""
    *prompt, answer = entry["messages"]
    fields = dict(entry["metadata"])
    if isinstance(fields.get("reference_answer"), str):
        fields["reference_answer"] = {"text": fields["reference_answer"]}
    answer = {**answer, "role": "nova_assistant", "content": [{"type": "text", "text": answer["content"]}]}
    return {"id": entry["id"], "messages": [*prompt, answer], **fields}


def _sample(sample: Json, row: Json) -> Json:
    answer: Json = {"role": "assistant", "content": sample.get("output_text") or ""}
    if sample.get("output_tools"):
        answer["tool_calls"] = sample["output_tools"]
    fields = {name: value for name, value in row.items() if name not in ("id", "messages", "tools")}
    return {"id": row.get("id", "0"), "messages": [*row["messages"], answer], "metadata": fields}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

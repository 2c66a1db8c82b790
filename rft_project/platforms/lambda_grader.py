"""A grader as a Lambda function: published once per intent, and tried before a job is started with it.

Each intent has a function of its own, named by its key: a later edit of the grader can't change a running job, its log
is its own, and cleaning up is deleting it. A job calls a published version, never ``$LATEST``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from .aws import Clients, code_of, translate
from .aws_policies import FUNCTION_PREFIX
from .errors import PlatformError
from .journal import Journal, Send
from .types import JsonDict

#: Rows a grader is tried with.
TRIED = 10
#: Ids of those rows begin so; what the function logs of them is no part of a training's curve.
TRIAL = "trial-"
RUNTIME = "python3.13"
MEMORY_MB = 512
TIMEOUT_S = 300
#: Seconds a new function may take until it can be called, and seconds until a new role can be taken on.
_PATIENCE = 60.0
_NEW_ROLE = 10.0
#: A synchronous call takes 6 MB.
_MOST_BYTES = 6_000_000


def function_name(key: str) -> str:
    return f"{FUNCTION_PREFIX}{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def asks_a_judge(grader: JsonDict) -> bool:
    """Whether the function needs a role that may ask models."""
    parts = [grader, *(grader.get("graders") or {}).values()]
    return any(part.get("type") == "score_model" for part in parts if isinstance(part, dict))


class LambdaGrader:
    """Publishes, tries and deletes the functions of one connection. ``remedy``: the policy that publishing needs."""

    def __init__(self, clients: Clients, label: str, remedy: str = "") -> None:
        self._clients = clients
        self._label = label
        self._remedy = remedy

    def published(self, key: str, package: bytes, role: str, journal: Journal) -> str:
        """ARN of the version that runs ``package`` under ``role``; made at most once per key and content."""
        digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
        name = function_name(key)

        def prepare() -> Send:
            return lambda: self._publish(name, package, role)

        arn = journal.once("publish grader", digest, prepare=prepare, find=lambda: self._versions(name, digest))
        self._wait(arn)
        return arn

    def tried(self, arn: str, rows: Sequence[JsonDict]) -> None:
        """Call it as a job will, with each row's own reference as the answer.

        Raises PlatformError where it does not answer in the documented shape, fails on a row, or gives no reference
        answer a reward: training would learn nothing.
        """
        perfect = [row for row in rows if _is_answer(row.get("reference_answer"))][:TRIED]
        event = [_sample(row, at) for at, row in enumerate(perfect or rows[:TRIED])]
        payload = json.dumps(event).encode()
        if len(payload) > _MOST_BYTES:
            raise PlatformError("Ten rows are more than the 6 MB a grader's function can be sent; shorten them.")
        answers = _answers(self._invoked(arn, payload), event)
        failing = [answer for answer in answers if _metric(answer, "grader_error")]
        if failing:
            raise PlatformError(
                f"The grader failed on {len(failing)} of {len(answers)} rows it was tried with as a Lambda function, "
                "so nothing was started; try it in the workbench with these rows.",
                status=400,
            )
        if perfect and not any(answer["aggregate_reward_score"] > 0 for answer in answers):
            raise PlatformError(
                "The grader gave no reward to any of the rows' own reference answers, so nothing was started; a model "
                "could learn nothing from it. Mend the grader or the references.",
                status=400,
            )

    def delete(self, key: str) -> bool:
        """Delete the function of ``key`` with all its versions; whether there was one."""
        try:
            self._clients("lambda").delete_function(FunctionName=function_name(key))
        except Exception as error:
            if code_of(error) == "ResourceNotFoundException":
                return False
            raise self._failure(error, "deleting the grader's function") from None
        return True

    def _publish(self, name: str, package: bytes, role: str) -> str:
        client = self._clients("lambda")
        try:
            try:
                made = client.create_function(
                    FunctionName=name,
                    Runtime=RUNTIME,
                    Role=role,
                    Handler="lambda_function.lambda_handler",
                    Code={"ZipFile": package},
                    Timeout=TIMEOUT_S,
                    MemorySize=MEMORY_MB,
                    Publish=True,
                    Description="A grader of RFT Studio",
                    Tags={"app": "rft-studio"},
                )
            except Exception as error:
                if code_of(error) != "ResourceConflictException":
                    raise
                made = client.update_function_code(FunctionName=name, ZipFile=package, Publish=True)
            return _with_version(made)
        except Exception as error:
            if code_of(error) == "InvalidParameterValueException" and "assume" in str(error):
                raise PlatformError(
                    f"AWS says that Lambda can't take on the role {role} (yet): a new role takes some seconds, and it "
                    "must trust lambda.amazonaws.com.",
                    retryable=True,
                    retry_after=_NEW_ROLE,
                    code="InvalidParameterValueException",
                    status=400,
                ) from None
            raise self._failure(error, "publishing the grader's function", spending=True) from None

    def _versions(self, name: str, digest: str) -> list[str]:
        """ARNs of published versions with this content, oldest first."""
        found: list[str] = []
        marker: JsonDict = {}
        try:
            while True:
                page = self._clients("lambda").list_versions_by_function(FunctionName=name, **marker)
                same = [v for v in page["Versions"] if v["Version"] != "$LATEST" and v["CodeSha256"] == digest]
                found += [_with_version(version) for version in same]
                if not page.get("NextMarker"):
                    return found
                marker = {"Marker": page["NextMarker"]}
        except Exception as error:
            if code_of(error) == "ResourceNotFoundException":
                return []
            raise self._failure(error, "looking for the grader's function") from None

    def _wait(self, arn: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                state = self._clients("lambda").get_function_configuration(FunctionName=arn)
                word = state["State"]
            except Exception as error:
                raise self._failure(error, "waiting for the grader's function") from None
            if word == "Active" and state.get("LastUpdateStatus") != "InProgress":
                return
            if word == "Failed":
                raise PlatformError(f"Lambda can't run the grader: {state.get('StateReason', 'it gives no reason')}.")
            if time.monotonic() > deadline:
                raise PlatformError("The grader's function is not ready yet.", retryable=True, retry_after=_NEW_ROLE)
            time.sleep(1.0)

    def _invoked(self, arn: str, payload: bytes) -> Any:
        doing = "trying the grader's function"
        try:
            answer = self._clients("lambda").invoke(FunctionName=arn, Payload=payload)
            content = json.loads(self._clients.content(answer["Payload"], doing))
        except Exception as error:
            raise self._failure(error, doing) from None
        if answer.get("FunctionError"):
            said = content.get("errorMessage", "") if isinstance(content, dict) else ""
            raise PlatformError(f"The grader's function failed when it was tried: {str(said)[:200]}.", status=400)
        return content

    def _failure(self, error: Exception, doing: str, *, spending: bool = False) -> PlatformError:
        return translate(error, platform=self._label, doing=doing, spending=spending, remedy=self._remedy)


def _with_version(made: JsonDict) -> str:
    arn, version = str(made["FunctionArn"]), str(made["Version"])
    return arn if arn.endswith(f":{version}") else f"{arn}:{version}"


def _is_answer(reference: Any) -> bool:
    """Texts and tool calls are answers; another object may be what a grader looks things up in."""
    if isinstance(reference, str):
        return bool(reference)
    return isinstance(reference, dict) and isinstance(reference.get("tool_calls"), list)


def _sample(row: JsonDict, at: int) -> JsonDict:
    """``row`` as a job sends it, answered with its own reference (or with a word where it has none)."""
    reference = row.get("reference_answer")
    answer: JsonDict = {"role": "assistant", "content": "ok"}
    if isinstance(reference, dict) and isinstance(reference.get("tool_calls"), list):
        answer = {"role": "assistant", "content": "", "tool_calls": reference["tool_calls"]}
    elif reference is not None:
        answer["content"] = reference if isinstance(reference, str) else json.dumps(reference, ensure_ascii=False)
    fields = {name: value for name, value in row.items() if name not in ("id", "messages", "tools")}
    return {"id": f"{TRIAL}{at}", "messages": [*row["messages"], answer], "metadata": fields}


def _answers(found: Any, event: list[JsonDict]) -> list[JsonDict]:
    """The function's answers in the documented shape: one for each sample, with its id and a number."""
    wanted = [sample["id"] for sample in event]
    fits = isinstance(found, list) and all(
        isinstance(answer, dict)
        and _is_number(answer.get("aggregate_reward_score"))
        and isinstance(answer.get("metrics_list", []), list)
        and all(_is_metric(metric) for metric in answer.get("metrics_list", []))
        for answer in found
    )
    if not fits or [answer.get("id") for answer in found] != wanted:
        raise PlatformError("The grader's function does not answer in the shape Bedrock wants.", status=400)
    return list(found)


def _is_metric(metric: Any) -> bool:
    return (
        isinstance(metric, dict)
        and isinstance(metric.get("name"), str)
        and metric.get("type") in ("Metric", "Reward")
        and _is_number(metric.get("value"))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _metric(answer: JsonDict, name: str) -> float:
    values = [metric.get("value") for metric in answer.get("metrics_list", []) if metric.get("name") == name]
    return float(values[0]) if values else 0.0

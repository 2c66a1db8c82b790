"""Names, rows, settings and states as Bedrock's control plane has them. Pure.

Sources: the API model of bedrock (botocore 1.44.5), the user guide's pages on reinforcement fine-tuning. botocore
checks no maximum, no choice and no pattern, so wrong settings would go out and come back as refusals: they are checked
here.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from .aws_policies import FOLDER
from .catalogue import entry
from .errors import PlatformError
from .observed_rewards import TRAIN, VALID
from .types import DeploymentStatus, JsonDict, ModelInfo, State, TrainingRequest, TrainingStatus, text_of

_STATES = {"InProgress": State.RUNNING, "Stopping": State.RUNNING, "Completed": State.SUCCEEDED,
           "Failed": State.FAILED, "Stopped": State.CANCELLED}  # fmt: skip
_PHASES = {"validationDetails": "checks the data", "dataProcessingDetails": "prepares the data",
           "trainingDetails": "trains"}  # fmt: skip
_DEPLOYED = {"Creating": State.RUNNING, "Active": State.SUCCEEDED, "Failed": State.FAILED}
_ROLES = ("system", "user", "assistant", "tool")
_KEPT = ("role", "content", "tool_calls", "tool_call_id")


def short(key: str) -> str:
    """24 characters that stand for a key in names."""
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def job_name(key: str) -> str:
    """Names of jobs are unique in an account and region, so a job is found again by its key alone."""
    return f"rft-{short(key)}"


def model_name(request: TrainingRequest) -> str:
    """At most 63 letters, digits, single ``-`` and ``_``."""
    suffix = re.sub(r"[^0-9a-zA-Z]+", "-", request.suffix).strip("-")[:30].strip("-")
    return "-".join(part for part in ("rft", suffix, short(request.key)[:12]) if part)


def deployment_name(key: str, name: str) -> str:
    """Made of the key alone behind what people call it; unique in an account and region."""
    spoken = re.sub(r"[^0-9a-zA-Z]+", "-", name).strip("-")[:30].strip("-")
    return "-".join(part for part in (spoken or "rft", short(key)[:16]) if part)


def folder(key: str) -> str:
    """Where a run's files lie in the bucket."""
    return f"{FOLDER}/{short(key)}"


def jsonl(rows: list[JsonDict], part: str) -> bytes:
    """Rows as Bedrock takes them; each gets an id that says its set, because the grader logs it.

    Raises PlatformError naming the row that Bedrock would refuse.
    """
    prefix = TRAIN if part == "train" else VALID
    lines = []
    for number, row in enumerate(rows, 1):
        messages = [_message(message, part, number) for message in row.get("messages", [])]
        if not any(message["role"] == "user" for message in messages):
            raise _wrong(part, number, "has no user message")
        if any(message["role"] == "system" for message in messages[1:]):
            raise _wrong(part, number, "has a system message that is not the first")
        fault = _fault_of_tools(row.get("tools")) or _fault_of_reference(row)
        if fault:
            raise _wrong(part, number, fault)
        line = {**row, "id": f"{prefix}{number}", "messages": messages}
        if not isinstance(line.get("reference_answer", ""), str | dict):
            line["reference_answer"] = json.dumps(line["reference_answer"], ensure_ascii=False)  # as exports write it
        lines.append(json.dumps(line, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _message(message: JsonDict, part: str, number: int) -> JsonDict:
    role = "system" if message.get("role") == "developer" else message.get("role")
    if role not in _ROLES:
        raise _wrong(part, number, f"has the role {role!r}, which Bedrock does not know")
    kept = {name: message[name] for name in _KEPT if message.get(name) is not None}
    text = text_of(message.get("content"))
    if not text and not message.get("tool_calls"):
        raise _wrong(part, number, "has a message without text")
    return {**kept, "role": role, **({"content": text} if text else {})}


def _fault_of_tools(tools: Any) -> str:
    """What AWS's own validator finds wrong with the tools a row offers, '' where there is nothing."""
    names: list[str] = []
    for tool in tools or []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not all(function.get(name) for name in ("name", "description")):
            return "offers a tool without a name or a description"
        names.append(str(function["name"]))
        if not isinstance(function.get("parameters"), dict):
            return f"offers the tool {names[-1]} without parameters"
    return "offers two tools of one name" if len(set(names)) < len(names) else ""


def _fault_of_reference(row: JsonDict) -> str:
    return "has an empty reference answer" if "reference_answer" in row and row["reference_answer"] in ("", {}) else ""


def _wrong(part: str, number: int, what: str) -> PlatformError:
    return PlatformError(f"Row {number} of the {part} rows {what}; mend it or leave it out.", status=400)


def trainable(kind: str, label: str, region: str, request: TrainingRequest, missing: list[str]) -> ModelInfo:
    """The catalogue's entry of the request's model. ``missing``: what the connection has not, in words.

    Raises PlatformError where it can't be trained over this connection.
    """
    found = {model.id: model for model in entry(kind).models}.get(request.model)
    if found is None:
        raise PlatformError(f"{label} can't train {request.model}.", status=404)
    if region not in found.regions:
        where = f"{found.label} is trained in {' or '.join(found.regions)} only"
        raise PlatformError(f"{where}, and this connection is to {region}.", status=400)
    if missing:
        raise PlatformError(f"To train, this connection still needs {' and '.join(missing)}.", status=400)
    if not request.grader_package:
        raise PlatformError("Bedrock needs the grader as a Lambda function, and there is none.", status=400)
    if request.response_format is not None:
        say = "Bedrock takes no answer format for training; say it in the prompts instead."
        raise PlatformError(say, status=400)
    return found


def check_counts(info: ModelInfo, train: int, valid: int) -> None:
    """Raises PlatformError where Bedrock would take neither so few nor so many rows."""
    if train < info.min_rows or (info.max_train_rows is not None and train > info.max_train_rows):
        allowed = f"{info.min_rows:,} to {info.max_train_rows or 0:,}"
        raise PlatformError(f"{info.label} is trained with {allowed} rows; there are {train:,}.", status=400)
    if valid and info.max_valid_rows is not None and valid > info.max_valid_rows:
        raise PlatformError(f"{info.label} takes at most {info.max_valid_rows:,} validation rows.", status=400)


def settings_of(info: ModelInfo, given: JsonDict) -> JsonDict:
    """``rftConfig.hyperParameters``, each in its own type; "off" and empty values are left out.

    Raises PlatformError for a setting that is unknown or out of its bounds.
    """
    found: JsonDict = {}
    for name, value in given.items():
        bound = info.hyperparameters.get(name)
        if bound is None:
            known = ", ".join(info.hyperparameters)
            raise PlatformError(f"{info.label} has no setting {name}; it knows {known}.", status=400)
        if value in ("", None, "off"):
            continue
        if bound.choices:
            if value not in bound.choices:
                raise PlatformError(f"{name} must be {' or '.join(bound.choices)}.", status=400)
        elif not _within(value, bound.minimum, bound.maximum, whole=bound.integer):
            raise PlatformError(f"{name} is out of its range: {_range(bound.minimum, bound.maximum)}.", status=400)
        found[name] = int(value) if bound.integer else value
    return found


def _within(value: Any, least: float | None, most: float | None, *, whole: bool) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool) or (whole and value != int(value)):
        return False
    return (least is None or value >= least) and (most is None or value <= most)


def _range(least: float | None, most: float | None) -> str:
    return f"at least {least:g}" if most is None else f"{least or 0:g} to {most:g}"


def training_status(job: JsonDict) -> TrainingStatus:
    """Of GetModelCustomizationJob. The rows, roles and places it names stay in ``raw``."""
    word = str(job.get("status") or "InProgress")
    state = _STATES.get(word, State.RUNNING)
    detail = str(job.get("failureMessage") or "") if state is State.FAILED else ""
    if state is State.RUNNING:
        phases = job.get("statusDetails") or {}
        at_work = [said for name, said in _PHASES.items() if (phases.get(name) or {}).get("status") == "InProgress"]
        detail = f"Bedrock {at_work[-1]}." if at_work and at_work[-1] != "trains" else ""
    return TrainingStatus(
        state=state,
        word=word,
        detail=detail,
        model=job.get("outputModelArn") if state is State.SUCCEEDED else None,
        raw=json.loads(json.dumps({k: v for k, v in job.items() if k != "ResponseMetadata"}, default=str)),
    )


def deployment_status(found: JsonDict) -> DeploymentStatus:
    """Of GetCustomModelDeployment. While another model is put behind it, the one before answers."""
    word = str(found["status"])
    state = _DEPLOYED.get(word, State.RUNNING)
    detail = str(found.get("failureMessage") or "")
    update = (found.get("updateDetails") or {}).get("updateStatus")
    if state is State.SUCCEEDED and update == "Updating":
        word, state = "Updating", State.RUNNING
    if update == "UpdateFailed":
        word, detail = "UpdateFailed", "The other model could not be put behind it; the one before still answers."
    return DeploymentStatus(state=state, word=word, detail=detail, model=str(found["customModelDeploymentArn"]))

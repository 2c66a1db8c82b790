"""What a step of training brought, from OpenAI's JSON to the series of :class:`~.types.TrainingEvent`. Pure.

Keys: the metric events and result files of the guide to reinforcement fine-tuning, in their present (nested) and older
(flat) form; Azure uses the same. A value that is no number is left out.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
import re
import sys
from collections.abc import Iterator
from typing import Any, TypeGuard

from .types import JsonDict, TrainingEvent

#: Our names of values that have another name on the wire, in checkpoints, result files and flat events.
SERIES = {
    "train_mean_reward": "train_reward",
    "train_reward_mean": "train_reward",
    "full_valid_mean_reward": "valid_reward",
    "valid_reward_mean": "valid_reward",
    "completion_tokens_mean": "answer_tokens",
    "reasoning_tokens_mean": "reasoning_tokens",
    # As Bedrock's open-weight models tell it
    "critic_rewards_mean": "train_reward",
    "response_length_mean": "answer_tokens",
    "actor_entropy": "entropy",
}
#: Values of our own engine that keep their names.
_OWN_SERIES = ("flat_share", "entropy", "answer_tokens")
_PARTS = ("train", "valid")
_KINDS = ("prompt", "completion")
_STEP = re.compile(r"Step (\d+)/(\d+)")
_TRAIN = re.compile(r"train mean reward=(-?\d+(?:\.\d+)?)")
_VALID = re.compile(r"full validation mean reward=(-?\d+(?:\.\d+)?)")
#: More than any job has; what is counted further is no step.
MOST_STEPS = 2**31
#: Bytes of a result file that are read: a row per step is some hundred bytes.
MOST_RESULT_BYTES = 20_000_000


def metrics_of(data: JsonDict) -> dict[str, float]:
    """The series of one metric event's ``data``; {} where it holds none."""
    scores = as_dict(data.get("scores"))
    found = {SERIES[name]: float(value) for name, value in [*data.items(), *scores.items()] if _is_series(name, value)}
    found |= {name: float(data[name]) for name in _OWN_SERIES if is_number(data.get(name))}
    found |= _component_rewards(scores)
    samples = as_dict(as_dict(data.get("usage")).get("samples"))
    if is_number(samples.get("train_reasoning_tokens_mean")):
        found["reasoning_tokens"] = float(samples["train_reasoning_tokens_mean"])
    found |= _judge_tokens(data)
    seconds = _seconds(as_dict(as_dict(data.get("timing")).get("step")))
    if seconds is not None:
        found["seconds"] = seconds
    failures = list(_failures(as_dict(data.get("errors"))))
    if failures:
        found["errors"] = sum(failures)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def metrics_in(message: str) -> dict[str, float]:
    """The rewards a step's message tells, for events that carry no data."""
    if not _STEP.search(message):
        return {}
    found = {"train_reward": _TRAIN.search(message), "valid_reward": _VALID.search(message)}
    return {name: float(match[1]) for name, match in found.items() if match}


def steps_in(message: str) -> tuple[int, int] | None:
    """(step, of how many) as a message tells it."""
    told = _STEP.search(message)
    return (int(told[1]), int(told[2])) if told else None


def result_events(content: bytes, file_id: str, at: float) -> list[TrainingEvent]:
    """The rows of a job's result file, a CSV as it is or in base64; [] for anything else.

    ``at``: epoch seconds that all of them get, since the file has no times. They have no message: nobody said anything.
    """
    text = _plain(content[:MOST_RESULT_BYTES])
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error:
        return []
    found: dict[int, TrainingEvent] = {}
    for row in rows:
        values = {name: number for name, value in row.items() if (number := _read(value)) is not None}
        step = values.get("step")
        metrics = _row_metrics(values)
        if step is not None and 0 <= step < MOST_STEPS and metrics:
            event = TrainingEvent(id=f"{file_id}:{int(step)}", at=at, step=int(step), metrics=metrics)
            found.setdefault(int(step), event)
    return [found[step] for step in sorted(found)]


def as_dict(value: Any) -> JsonDict:
    return value if isinstance(value, dict) else {}


def is_number(value: Any) -> TypeGuard[int | float]:
    """Neither NaN, infinity nor what no float can hold is a number to draw."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_series(name: str, value: Any) -> bool:
    return name in SERIES and is_number(value)


def _component_rewards(scores: JsonDict) -> dict[str, float]:
    found = {}
    for grader in _dicts(scores.get("graders")):
        for part, series in (("train", "reward"), ("valid", "valid_reward")):
            reward = grader.get(f"{part}_reward_mean")
            if is_number(reward):
                found[f"{series}:{grader.get('name')}"] = float(reward)
    return found


def _judge_tokens(data: JsonDict) -> dict[str, float]:
    """Tokens of all judge calls of the step: mean times count, or the sums older events carry."""
    judges = _dicts(as_dict(data.get("usage")).get("graders"))
    older = _dicts(list(as_dict(data.get("model_graders_token_usage")).values()))
    found = {}
    for kind in _KINDS:
        told = [_whole_of(judge, f"{part}_{kind}_tokens") for judge in judges for part in _PARTS]
        used = [tokens for tokens in told if tokens is not None]
        if not used:
            names = (f"train_{kind}_tokens", f"eval_{kind}_tokens")
            used = [float(judge[name]) for judge in older for name in names if is_number(judge.get(name))]
        if used:
            found[f"judge_{kind}_tokens"] = sum(used)
    return found


def _whole_of(judge: JsonDict, name: str) -> float | None:
    mean, count = judge.get(f"{name}_mean"), judge.get(f"{name}_count")
    return float(mean) * float(count) if is_number(mean) and is_number(count) else None


def _seconds(step: JsonDict) -> float | None:
    """Of the whole step; without that, of the parts that are told."""
    if is_number(step.get("full_iteration")):
        return float(step["full_iteration"])
    parts = [float(step[name]) for name in ("sampling", "training", "eval") if is_number(step.get(name))]
    return sum(parts) if parts else None


def _failures(errors: JsonDict) -> Iterator[float]:
    for grader in _dicts(errors.get("graders")):
        for name, value in grader.items():
            if name.endswith("_error_count") and is_number(value):
                yield float(value)


def _row_metrics(values: dict[str, float]) -> dict[str, float]:
    found = {SERIES[name]: value for name, value in values.items() if name in SERIES}
    failures = [value for name, value in values.items() if name.endswith("_error_count")]
    errors = sum(failures)
    return {**found, "errors": errors} if failures and math.isfinite(errors) else found


def _plain(content: bytes) -> str:
    text = content.decode("utf-8-sig", "replace")
    if "," in text.partition("\n")[0]:
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8-sig", "replace")
    except (binascii.Error, ValueError):
        return text


def _read(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if is_number(number) else None


def _dicts(value: Any) -> list[JsonDict]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []

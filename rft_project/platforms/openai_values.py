"""The JSON of OpenAI's fine-tuning API as our values. Pure; unknown fields and status words pass through.

Works on raw JSON, not on the SDK's typed models: those mis-type a multi grader whose ``graders`` is a map.
"""

from __future__ import annotations

import re
from typing import Any

from .types import Answer, Checkpoint, JsonDict, Sample, State, TrainingEvent, TrainingStatus, Usage

_STATES = {
    "validating_files": State.QUEUED,
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "pausing": State.RUNNING,
    "resuming": State.RUNNING,
    "cancelling": State.RUNNING,
    "paused": State.PAUSED,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "canceled": State.CANCELLED,
}
_STEP = re.compile(r"Step (\d+)/(\d+)")
_TRAIN = re.compile(r"train mean reward=(-?[\d.]+)")
_VALID = re.compile(r"full validation mean reward=(-?[\d.]+)")
#: Our names of a checkpoint's or an event's values that have another name on the wire.
_SERIES = {
    "train_mean_reward": "train_reward",
    "train_reward_mean": "train_reward",
    "full_valid_mean_reward": "valid_reward",
    "valid_reward_mean": "valid_reward",
    "completion_tokens_mean": "answer_tokens",
}
#: Values of our own engine that keep their names.
_OWN_SERIES = ("flat_share", "entropy", "answer_tokens")


def status_of(job: JsonDict) -> TrainingStatus:
    """A status word nobody told us of counts as running and is shown as it is."""
    word = str(job.get("status") or "unknown")
    error, progress = _dict(job.get("error")), _dict(job.get("rft"))
    return TrainingStatus(
        state=_STATES.get(word, State.RUNNING),
        word=word,
        detail=str(error.get("message") or progress.get("detail") or ""),
        model=job.get("fine_tuned_model") or None,
        step=_whole(progress.get("step")),
        total_steps=_whole(progress.get("total_steps")),
        raw=job,
    )


def event_of(event: JsonDict) -> TrainingEvent:
    """A log line, or metrics under our series names; the message's text is read where a step sends no data."""
    data, message = _dict(event.get("data")), str(event.get("message") or "")
    metrics = _metrics(data) or _metrics_in(message)
    step, total = _whole(data.get("step")), _whole(data.get("total_steps"))
    told = _STEP.search(message)
    if step is None and told:
        step, total = int(told[1]), int(told[2])
    level = str(event.get("level") or "info")
    return TrainingEvent(
        id=str(event["id"]),
        at=float(event.get("created_at") or 0),
        level="warning" if level == "warn" else level,
        message=message,
        step=step,
        total_steps=total,
        metrics=metrics,
    )


def checkpoint_of(checkpoint: JsonDict) -> Checkpoint:
    metrics = {_SERIES.get(k, k): float(v) for k, v in _dict(checkpoint.get("metrics")).items() if _number(v)}
    metrics.pop("step", None)
    return Checkpoint(
        id=str(checkpoint["id"]),
        model=str(checkpoint["fine_tuned_model_checkpoint"]),
        step=int(checkpoint.get("step_number") or 0),
        metrics=metrics,
    )


def sample_of(completion: JsonDict, seconds: float) -> Sample:
    """Raises KeyError or TypeError where ``completion`` is no chat completion."""
    answers = []
    for choice in sorted(completion["choices"], key=lambda c: c.get("index", 0)):
        message = choice["message"]
        calls = [c for c in message.get("tool_calls") or [] if isinstance(c, dict)]
        text = message.get("content") or ""
        answers.append(Answer(text=text, tool_calls=calls, finish_reason=choice.get("finish_reason") or "stop"))
    usage = _dict(completion.get("usage"))
    used = Usage(
        prompt_tokens=_whole(usage.get("prompt_tokens")) or 0,
        completion_tokens=_whole(usage.get("completion_tokens")) or 0,
    )
    return Sample(answers=answers, usage=used, seconds=seconds)


def _metrics(data: JsonDict) -> dict[str, float]:
    found: dict[str, float] = {}
    scores = _dict(data.get("scores"))
    for source in (data, scores):
        for name, value in source.items():
            if name in _SERIES and _number(value):
                found[_SERIES[name]] = float(value)
    for name in _OWN_SERIES:
        if _number(data.get(name)):
            found[name] = float(data[name])
    for grader in _dicts(scores.get("graders")):
        reward: Any = grader.get("train_reward_mean", grader.get("valid_reward_mean"))
        if _number(reward):
            found[f"reward:{grader.get('name')}"] = float(reward)
    seconds: Any = _dict(_dict(data.get("timing")).get("step")).get("full_iteration")
    if _number(seconds):
        found["seconds"] = float(seconds)
    failures = [
        float(value)
        for grader in _dicts(_dict(data.get("errors")).get("graders"))
        for name, value in grader.items()
        if name.endswith("_count") and _number(value)
    ]
    if failures:
        found["errors"] = sum(failures)
    return found


def _metrics_in(message: str) -> dict[str, float]:
    if not _STEP.search(message):
        return {}
    found = {"train_reward": _TRAIN.search(message), "valid_reward": _VALID.search(message)}
    return {name: float(match[1].rstrip(".")) for name, match in found.items() if match}


def _dict(value: Any) -> JsonDict:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[JsonDict]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _number(value: Any) -> bool:
    """NaN is no number to draw."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _whole(value: Any) -> int | None:
    return int(value) if _number(value) else None

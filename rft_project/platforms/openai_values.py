"""The JSON of OpenAI's fine-tuning API as our values. Pure; unknown fields and status words pass through.

Works on raw JSON, not on the SDK's typed models: those mis-type a multi grader whose ``graders`` is a map.
"""

from __future__ import annotations

from typing import Any

from .openai_metrics import MOST_STEPS, SERIES, as_dict, is_number, metrics_in, metrics_of, steps_in
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


def status_of(job: JsonDict) -> TrainingStatus:
    """A status word nobody told us of counts as running and is shown as it is."""
    word = str(job.get("status") or "unknown")
    error, progress = as_dict(job.get("error")), as_dict(job.get("rft"))
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
    data, message = as_dict(event.get("data")), str(event.get("message") or "")
    metrics = metrics_of(data) or metrics_in(message)
    step, total = _whole(data.get("step")), _whole(data.get("total_steps"))
    told = steps_in(message)
    if step is None and told:
        step, total = told
    screened, message = _screened(event.get("type"), data, message)
    level = screened or str(event.get("level") or "info")
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
    metrics = {SERIES.get(k, k): float(v) for k, v in as_dict(checkpoint.get("metrics")).items() if is_number(v)}
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
    usage = as_dict(completion.get("usage"))
    used = Usage(
        prompt_tokens=_whole(usage.get("prompt_tokens")) or 0,
        completion_tokens=_whole(usage.get("completion_tokens")) or 0,
    )
    return Sample(answers=answers, usage=used, seconds=seconds)


def _screened(kind: Any, data: JsonDict, message: str) -> tuple[str, str]:
    """Level and words of a safety check's event: what it objects to is named, where the event says so."""
    if kind != "moderation_checks":
        return "", message
    results = data.get("results")
    flagged = [
        str(result.get("category"))
        for result in (results if isinstance(results, list) else [])
        if isinstance(result, dict) and result.get("flagged") is True
    ]
    blocked = data.get("blocked") is True
    named = f" Objected to: {', '.join(flagged)}." if flagged else ""
    told = f"Safety check: {message or ('blocked' if blocked else 'done')}"
    ended = told if told.endswith((".", "!", "?")) else f"{told}."
    return "error" if blocked else "warning" if flagged else "", f"{ended}{named}"


def _whole(value: Any) -> int | None:
    return int(value) if is_number(value) and abs(value) < MOST_STEPS else None

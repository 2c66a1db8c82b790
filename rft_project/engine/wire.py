"""The engine's records as the JSON of OpenAI's API, and its errors. Pure."""

from __future__ import annotations

import math

from starlette.responses import JSONResponse, Response

from rft_project.engine.base import StepReport
from rft_project.engine.records import CheckpointRecord, Event, FileRecord, Job
from rft_project.platforms.types import JsonDict


class ApiError(Exception):
    """An answer with an error: ``message`` is a sentence, ``code`` and ``param`` as OpenAI names them."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def response(self) -> Response:
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        headers = {"retry-after": "2"} if self.status in (429, 503) else None
        return JSONResponse({"error": error}, self.status, headers)


def page(items: list[JsonDict], *, more: bool) -> JsonDict:
    """A cursor list."""
    ids = [item["id"] for item in items]
    return {
        "object": "list",
        "data": items,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }


def file_json(file: FileRecord) -> JsonDict:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def job_json(job: Job) -> JsonDict:
    """``rft`` holds what OpenAI's job does not say: how far it is."""
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "estimated_finish": None,
        "model": job.model,
        "fine_tuned_model": job.fine_tuned_model,
        "organization_id": "local",
        "status": job.status,
        "error": job.error,
        "hyperparameters": {},
        "method": job.method,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "result_files": [],
        "trained_tokens": None,
        "seed": job.seed,
        "integrations": [],
        "metadata": job.metadata,
        "user_provided_suffix": job.suffix or None,
        "rft": {"step": job.step, "total_steps": job.total_steps},
    }


def event_json(event: Event) -> JsonDict:
    return {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": int(event.created_at),
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }


def checkpoint_json(checkpoint: CheckpointRecord) -> JsonDict:
    return {
        "id": checkpoint.id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": checkpoint.created_at,
        "fine_tuned_model_checkpoint": checkpoint.model,
        "fine_tuning_job_id": checkpoint.job,
        "metrics": {"step": checkpoint.step, **checkpoint.metrics},
        "step_number": checkpoint.step,
    }


def step_message(report: StepReport) -> str:
    parts = [f"Step {report.step}/{report.total_steps}"]
    if report.train_reward is not None:
        parts.append(f"train mean reward={report.train_reward:.4f}")
    if report.valid_reward is not None:
        parts.append(f"full validation mean reward={report.valid_reward:.4f}")
    return ", ".join(parts)


def step_data(report: StepReport, grader: JsonDict) -> JsonDict:
    """A step's metrics as OpenAI's event data, and flat_share, entropy (nat) and answer_tokens beside them.

    A component's mean is of the training answers; of the validation answers at step 0, where nothing is trained.
    """
    kinds = {name: child.get("type") for name, child in grader.get("graders", {}).items()}
    part = "train" if report.train_reward is not None else "valid"
    graders = [
        {"name": name, "type": kinds.get(name, grader.get("type")), f"{part}_reward_mean": value}
        for name, value in report.components.items()
    ]
    scores: JsonDict = {"graders": graders}
    if report.train_reward is not None:
        scores["train_reward_mean"] = report.train_reward
    if report.valid_reward is not None:
        scores["valid_reward_mean"] = report.valid_reward
    failed = {"name": grader.get("name"), "type": grader.get("type"), f"{part}_other_error_count": report.errors}
    data: JsonDict = {
        "step": report.step,
        "total_steps": report.total_steps,
        "scores": scores,
        "errors": {"graders": [failed]},
        "timing": {"step": {"full_iteration": report.seconds}},
    }
    extras = {"flat_share": report.flat_share, "entropy": report.entropy, "answer_tokens": report.answer_tokens}
    # JSON has no NaN, and a chart nothing to draw for it.
    data.update({name: value for name, value in extras.items() if value is not None and math.isfinite(value)})
    return data

"""A step as OpenAI writes it: the ``data`` of a metrics event, its message, a line of the result file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from graders_app.core.evaluate import GraderResult

from .training import Step

Json = dict[str, Any]

#: Result-file columns as published examples have them.
COLUMNS = (
    "step",
    "train_mean_reward",
    "full_valid_mean_reward",
    "completion_tokens_mean",
    "reasoning_tokens_mean",
    "mean_unresponsive_rewards",
    "train_sample_parse_error_count",
    "train_other_error_count",
)
#: Error counts by grader type, beside those that every grader has.
_ERRORS = ("other_error", "sample_parse_error", "invalid_variable_error")
_ERRORS_OF = {
    "python": ("python_grader_server_error", "python_grader_runtime_error"),
    "score_model": ("model_grader_server_error",),
}
REASONING_TOKENS = 10.0


def event_data(step: Step, graders: dict[str, Json]) -> Json:
    """``graders``: the components' documents by name; of a grader that is no multi, itself."""
    answer_tokens = sum(len(reply.text) // 4 + 1 for reply in step.replies) / len(step.replies)
    scores: Json = {"train_reward_mean": mean(step.train)}
    samples: Json = {
        "train_reasoning_tokens_mean": REASONING_TOKENS,
        "train_reasoning_tokens_count": len(step.train),
    }
    flat: Json = {
        "train_mean_reward": mean(step.train),
        "completion_tokens_mean": answer_tokens + REASONING_TOKENS,
        "reasoning_tokens_mean": REASONING_TOKENS,
        "mean_unresponsive_rewards": 0.0,
    }
    timing: Json = {"sampling": step.sampling, "training": step.training, "full_iteration": step.seconds}
    if step.valid is not None:
        scores["valid_reward_mean"] = flat["full_valid_mean_reward"] = mean(step.valid)
        samples["valid_reasoning_tokens_mean"] = flat["valid_reasoning_tokens_mean"] = REASONING_TOKENS
        samples["valid_reasoning_tokens_count"] = len(step.valid)
        flat["full_valid_mean_parse_error"] = _share(step.valid, "sample_parse_error")
        timing["eval"] = step.evaluation
    scores["graders"] = _each(graders, step, _scored)
    return {
        "step": step.number,
        "total_steps": step.total,
        "scores": scores,
        "usage": {"samples": samples, "graders": _each(_judges(graders), step, _used)},
        "errors": {"graders": _each(graders, step, _failed)},
        "timing": {"step": timing, "graders": _each(graders, step, _timed(step))},
        **flat,
    }


def message_of(step: Step) -> str:
    text = f"Step {step.number}/{step.total} , train mean reward={mean(step.train):.4f}"
    return text if step.valid is None else f"{text}, full validation mean reward={mean(step.valid):.4f}"


def result_file(rows: list[Json], *, encoded: bool) -> bytes:
    """The CSV of a job's steps; base64-encoded as OpenAI used to send it."""
    lines = [",".join(COLUMNS)]
    lines += [",".join("" if row.get(name) is None else str(row[name]) for name in COLUMNS) for row in rows]
    content = ("\n".join(lines) + "\n").encode()
    return base64.b64encode(content) if encoded else content


def result_row(step: Step, data: Json) -> Json:
    return {
        **{name: data.get(name) for name in COLUMNS},
        "train_sample_parse_error_count": _count(step.train, "sample_parse_error"),
        "train_other_error_count": _count(step.train, "other_error"),
    }


def mean(results: Sequence[GraderResult]) -> float:
    return sum(result.reward or 0.0 for result in results) / len(results)


def _each(
    graders: dict[str, Json], step: Step, tell: Callable[[str, Json, Sequence[GraderResult], str], Json]
) -> list[Json]:
    """One entry per grader: its values of the training answers and, on a validation step, of those too."""
    entries = []
    for name, document in graders.items():
        entry: Json = {"name": name, "type": document.get("type", "")}
        entry |= tell(name, document, step.train, "train")
        if step.valid is not None:
            entry |= tell(name, document, step.valid, "valid")
        entries.append(entry)
    return entries


def _scored(name: str, _document: Json, results: Sequence[GraderResult], part: str) -> Json:
    return {f"{part}_reward_mean": sum(result.sub_rewards.get(name, 0.0) for result in results) / len(results)}


def _failed(name: str, document: Json, results: Sequence[GraderResult], part: str) -> Json:
    found = {}
    for kind in (*_ERRORS, *_ERRORS_OF.get(document.get("type", ""), ())):
        count = sum(
            any(issue.kind == kind and issue.component in ("", name) for issue in result.errors) for result in results
        )
        found[f"{part}_{kind}_mean"] = count / len(results)
        found[f"{part}_{kind}_count"] = count
    return found


def _used(_name: str, document: Json, results: Sequence[GraderResult], part: str) -> Json:
    found: Json = {"model": document["model"]}
    for kind in ("prompt_tokens", "completion_tokens"):
        used = [
            getattr(result.usage[document["model"]], kind) for result in results if document["model"] in result.usage
        ]
        found[f"{part}_{kind}_mean"] = sum(used) / len(used) if used else 0.0
        found[f"{part}_{kind}_count"] = len(used)
    return found


def _timed(step: Step) -> Callable[[str, Json, Sequence[GraderResult], str], Json]:
    def tell(_name: str, _document: Json, results: Sequence[GraderResult], part: str) -> Json:
        whole = step.train_grading if part == "train" else step.valid_grading
        return {f"{part}_execution_latency_mean": whole / len(results)}

    return tell


def _judges(graders: dict[str, Json]) -> dict[str, Json]:
    return {name: document for name, document in graders.items() if document.get("type") == "score_model"}


def _count(results: Sequence[GraderResult], kind: str) -> int:
    return sum(any(issue.kind == kind for issue in result.errors) for result in results)


def _share(results: Sequence[GraderResult], kind: str) -> float:
    return _count(results, kind) / len(results)

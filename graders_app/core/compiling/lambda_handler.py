"""Entry of the Lambda function: ``lambda_function.lambda_handler``, with ``grader.json`` beside it.

An exception here would fail a whole batch, so each sample has its own: it gets 0.0 and a ``grader_error``.
"""

from __future__ import annotations

import ctypes
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from .converse import ConverseJudge
from .events import answer_of, log_line, read_sample, samples_of
from .runtime import CompiledGrader

_PR_SET_DUMPABLE = 4
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


def open_handler(folder: Path) -> Any:
    """The handler of ``folder/grader.json``."""
    config = json.loads((folder / "grader.json").read_text(encoding="utf-8"))
    judge = ConverseJudge() if _asks_a_judge(config) else None
    _hide_credentials(keep=judge is not None)
    grader = CompiledGrader(config, judge)

    def lambda_handler(event: Any, context: Any = None) -> list[dict[str, Any]]:
        entries = samples_of(event)
        identities = [_identity(entry, at) for at, entry in enumerate(entries)]
        results = _grade(grader, entries)
        for entry, identity, result in zip(entries, identities, results, strict=True):
            print(log_line(entry, identity, result))  # noqa: T201 - a function's log is what it prints
        return [answer_of(identity, result) for identity, result in zip(identities, results, strict=True)]

    return lambda_handler


def _identity(entry: Any, at: int) -> Any:
    return entry.get("id", str(at)) if isinstance(entry, dict) else str(at)


def _grade(grader: CompiledGrader, entries: list[Any]) -> list[dict[str, Any]]:
    """Batch by batch for the judges' sake; one by one where the batch fails as a whole."""
    results: list[dict[str, Any] | None] = []
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for entry in entries:
        try:
            pairs.append(read_sample(entry))
            results.append(None)
        except Exception as error:
            results.append(_failure(error))
    try:
        graded = iter(grader.grade_many(pairs))
    except Exception:
        graded = iter([_alone(grader, pair) for pair in pairs])
    return [next(graded) if result is None else result for result in results]


def _alone(grader: CompiledGrader, pair: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    try:
        return grader.grade(*pair)
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> dict[str, Any]:
    problem = {"kind": "other_error", "message": f"{type(error).__name__}: {error}", "line": None, "component": ""}
    return {"reward": None, "sub_rewards": {}, "errors": [problem], "notes": {}}


def _asks_a_judge(config: dict[str, Any]) -> bool:
    return any(part["type"] == "score_model" for part in [config, *config.get("graders", {}).values()])


def _hide_credentials(*, keep: bool) -> None:
    """Python graders run in processes without environment; this closes the way around, reading ours under /proc.

    Without a judge nothing here needs credentials, so they go as well. A function's role should still allow no more
    than its logs and, with a judge, the judge's model.
    """
    with suppress(AttributeError, OSError, TypeError):  # not Linux: tried on a desk, not in a function
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    for name in () if keep else _CREDENTIALS:
        os.environ.pop(name, None)

"""What Azure refuses or stumbles over, found before anything is uploaded. Pure.

Source of the limits: Microsoft's fine-tuning documentation (rows, roles, text only, suffix); its samples avoid spaces
and indexes in templates.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from .errors import PlatformError
from .types import JsonDict, TrainingRequest

LEAST_ROWS = 10
MOST_TRAIN_ROWS = 50_000
MOST_VALID_ROWS = 1_000
LONGEST_SUFFIX = 40
LONGEST_DEPLOYMENT = 64

_ROLES = ("system", "developer", "user", "assistant", "tool")
_TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
#: Fields of a grader that are no templates.
_PLAIN = ("source", "name", "model", "calculate_output", "type", "operation", "evaluation_metric")


def tag(key: str) -> str:
    """12 characters that stand for an intent's key, in a suffix, a file's name or a deployment's name."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def suffix(text: str, key: str) -> str:
    """What people called it, made to fit, then the key's tag: at most 40 characters of A-Z, a-z, 0-9, _ and -."""
    return _fitted(text, r"[^A-Za-z0-9_-]+", LONGEST_SUFFIX, key)


def deployment_name(text: str, key: str) -> str:
    """As :func:`suffix`, in lower case: the same key and text always give the same name."""
    return _fitted(text.lower(), r"[^a-z0-9-]+", LONGEST_DEPLOYMENT, key)


def _fitted(text: str, others: str, longest: int, key: str) -> str:
    words = re.sub(others, "-", text).strip("-_")[: longest - 13].strip("-_")
    return f"{words}-{tag(key)}" if words else f"rft-{tag(key)}"


def check(request: TrainingRequest) -> None:
    """Raises PlatformError with a sentence for the first rule that rows or grader break."""
    _check_rows("training", request.train_rows, MOST_TRAIN_ROWS)
    _check_rows("validation", request.valid_rows, MOST_VALID_ROWS)
    for template in _templates(request.grader):
        if "[" in template:
            raise PlatformError(
                f"Azure may not read the index in the grader's template {{{{{template}}}}}: "
                "take the value with a Python grader, or write it into a field of the records."
            )


def _check_rows(part: str, rows: list[JsonDict], most: int) -> None:
    if not LEAST_ROWS <= len(rows) <= most:
        raise PlatformError(f"Azure takes {LEAST_ROWS} to {most:,} {part} rows; there are {len(rows):,}.")
    for number, row in enumerate(rows, 1):
        fault = _fault(row.get("messages"))
        if fault:
            raise PlatformError(f"Azure does not take {part} row {number}: {fault}.")


def _fault(messages: Any) -> str:
    """What is wrong with a row's messages, '' where nothing is."""
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        return "it has no messages"
    for message in messages:
        if message.get("role") not in _ROLES:
            return f"it has a message of the role {str(message.get('role'))[:30]!r}"
        if not _is_text(message.get("content"), empty=bool(message.get("tool_calls"))):
            return "it has a message that is not text"
    if messages[-1]["role"] != "user":
        return "its last message must be the user's"
    return ""


def _is_text(content: Any, *, empty: bool) -> bool:
    if isinstance(content, list):
        return all(isinstance(part, dict) and part.get("type") == "text" for part in content)
    return isinstance(content, str) or (content is None and empty)


def _templates(grader: Any) -> list[str]:
    """What stands between {{ and }} anywhere in a grader, code left out."""
    if isinstance(grader, str):
        return _TEMPLATE.findall(grader)
    if isinstance(grader, dict):
        return [t for name, value in grader.items() if not _plain(name, value) for t in _templates(value)]
    return [t for value in grader for t in _templates(value)] if isinstance(grader, list) else []


def _plain(name: str, value: Any) -> bool:
    """A grader inside a multi grader may be called by one of these names too, but is no text."""
    return name in _PLAIN and isinstance(value, str)


def written_for_azure(grader: Any, deployment: str = "") -> Any:
    """``grader`` with no spaces inside its templates; graders that ask a model ask ``deployment`` where it is given."""
    if isinstance(grader, str):
        return _TEMPLATE.sub(r"{{\1}}", grader)
    if isinstance(grader, list):
        return [written_for_azure(value, deployment) for value in grader]
    if not isinstance(grader, dict):
        return grader
    written = {k: v if _plain(k, v) else written_for_azure(v, deployment) for k, v in grader.items()}
    if deployment and grader.get("type") in ("score_model", "label_model"):
        written["model"] = deployment
    return written

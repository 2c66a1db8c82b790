"""What the engine accepts as a training job. Every refusal is an ApiError with one sentence that names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graders_app.core.evaluate import GraderError, JailUnavailable, open_grader
from graders_app.core.spec import GraderSpec, ScoreModelSpec, children, parse_grader, variables
from rft_project.engine.hyperparameters import checked
from rft_project.engine.models import MOST_TRAIN_ROWS, MOST_VALID_ROWS, NoSuchModel, base_model, check_training_rows
from rft_project.engine.records import NewJob
from rft_project.engine.store import Store
from rft_project.engine.wire import ApiError
from rft_project.platforms.types import JsonDict, text_of

ROLES = ("system", "developer", "user", "assistant", "tool")
#: A training prompt ends with what the model has to answer.
LAST_ROLES = ("user", "tool")
MOST_LINE_BYTES = 2_000_000
_SUFFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_MOST_SEED = 2_147_483_647


def new_job(store: Store, body: JsonDict) -> NewJob:
    """The job a client asks for. Reads both files and opens the grader once. Raises ApiError."""
    model_id = _text(body, "model")
    try:
        model = base_model(model_id)
    except NoSuchModel as error:
        raise _refused(str(error), "model", "model_not_found") from None
    method = _method(body.get("method"))
    spec = _grader(method.get("grader"))
    try:
        checked(model.hyperparameters, _object(method, "hyperparameters"))
    except ValueError as error:
        raise _refused(str(error), "method.reinforcement.hyperparameters") from None
    allowed = method.get("allowed_answers") or []
    if not isinstance(allowed, list) or not all(isinstance(answer, str) for answer in allowed):
        raise _refused("allowed_answers must be a list of texts.", "method.reinforcement.allowed_answers")
    training, train = _rows(store, body, "training_file", "training", MOST_TRAIN_ROWS)
    validation, valid = _rows(store, body, "validation_file", "validation", MOST_VALID_ROWS)
    for name, rows in (("training", train), ("validation", valid)):
        _check_fields(spec, rows, name)
    try:
        check_training_rows(model, train, allowed)
    except ValueError as error:
        raise _refused(str(error), "method.reinforcement.allowed_answers") from None
    reinforcement = {**method, "hyperparameters": _object(method, "hyperparameters")}
    return NewJob(
        model=model.id,
        training_file=training,
        validation_file=validation,
        suffix=_suffix(body.get("suffix")),
        seed=_seed(body.get("seed")),
        metadata=_metadata(body.get("metadata")),
        method={"type": "reinforcement", "reinforcement": reinforcement},
    )


def read_rows(path: Path, name: str) -> list[JsonDict]:
    """The rows of a file, ``developer`` turned into ``system``, which local models know. Raises ValueError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"The {name} file is gone: upload it again.") from None
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rows = [_row(line, f"Line {number} of the {name} file") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ValueError(f"The {name} file is empty.")
    return rows


def check_messages(messages: Any, place: str) -> list[JsonDict]:
    """Messages in chat-completions form with text, ``developer`` turned into ``system``. Raises ValueError."""
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{place} has no list of messages.")
    return [_message(message, f"Message {number} of {place}") for number, message in enumerate(messages, 1)]


def _message(message: Any, place: str) -> JsonDict:
    if not isinstance(message, dict):
        raise ValueError(f"{place} is no JSON object.")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise ValueError(f"{place} has the role {str(role)[:40]!r}; known are {', '.join(ROLES)}.")
    if content is None and not (role == "assistant" and message.get("tool_calls")):
        raise ValueError(f"{place} has no content.")
    if content is not None and not isinstance(content, str | list):
        raise ValueError(f"{place} has content that is neither text nor a list of parts.")
    if isinstance(content, list):
        kinds = {part.get("type", "text") if isinstance(part, dict) else "?" for part in content}
        if kinds - {"text", "input_text", "output_text"}:
            raise ValueError(f"{place} has parts that are no text; the local models read text only.")
    # Templates of local models know plain text and three roles of speakers.
    return {**message, "role": "system" if role == "developer" else role, "content": text_of(content)}


def _row(line: bytes, place: str) -> JsonDict:
    if len(line) > MOST_LINE_BYTES:
        raise ValueError(f"{place} is longer than {MOST_LINE_BYTES // 1_000_000} MB.")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{place} is no JSON.") from None
    if not isinstance(row, dict):
        raise ValueError(f"{place} is no JSON object.")
    messages = check_messages(row.get("messages"), place)
    if messages[-1]["role"] not in LAST_ROLES:
        raise ValueError(f"{place} must end with a user message, not with one of the {messages[-1]['role']}.")
    return {**row, "messages": messages}


def _rows(store: Store, body: JsonDict, field: str, name: str, most: int) -> tuple[str, list[JsonDict]]:
    file_id = _text(body, field)
    if store.file(file_id) is None:
        raise _refused(f"There is no file “{file_id[:100]}”: upload the {name} file first.", field, "file_not_found")
    try:
        rows = read_rows(store.file_path(file_id), name)
    except ValueError as error:
        raise _refused(str(error), field, "invalid_file") from None
    if len(rows) > most:
        raise _refused(f"The {name} file has {len(rows)} rows; at most {most} are taken.", field, "invalid_file")
    return file_id, rows


def _method(method: Any) -> JsonDict:
    if not isinstance(method, dict) or method.get("type") != "reinforcement":
        raise _refused("This engine trains by reinforcement only: set method.type to “reinforcement”.", "method.type")
    return _object(method, "reinforcement")


def _grader(config: Any) -> GraderSpec:
    place = "method.reinforcement.grader"
    if not isinstance(config, dict):
        raise _refused("The job has no grader.", place)
    try:
        spec = parse_grader(config)
        if any(isinstance(child, ScoreModelSpec) for child in children(spec).values()):
            raise _refused(
                "The local engine has no judge model, so it can't run score_model graders: use a python, string_check "
                "or text_similarity grader.",
                place,
                "unsupported_grader",
            )
        with open_grader(spec):
            return spec
    except (GraderError, JailUnavailable) as error:
        raise _refused(f"The grader can't be used: {error}", place, "invalid_grader") from None


def _check_fields(spec: GraderSpec, rows: Sequence[JsonDict], name: str) -> None:
    """Every field a template reads must be in every row; a missing one would score 0 in silence."""
    wanted = {variable.field for variable in variables(spec) if variable.namespace == "item"} - {"user_message"}
    for number, row in enumerate(rows, 1):
        for field in sorted(wanted - set(row)):
            sentence = f"Row {number} of the {name} file has no field “{field}”, which the grader reads."
            raise _refused(sentence, f"{name}_file", "invalid_file")


def _suffix(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not _SUFFIX.match(value):
        raise _refused("The suffix may have up to 64 letters, digits, dots, dashes and underscores.", "suffix")
    return value


def _seed(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_SEED:
        raise _refused(f"The seed must be a whole number from 0 to {_MOST_SEED}.", "seed")
    return value


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 16:
        raise _refused("Metadata must be a JSON object with at most 16 entries.", "metadata")
    for name, text in value.items():
        if not isinstance(text, str) or len(name) > 64 or len(text) > 512:
            raise _refused("Metadata names have up to 64 characters, values are texts of up to 512.", "metadata")
    return value


def _text(body: JsonDict, field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise _refused(f"The request needs “{field}”.", field)
    return value


def _object(body: JsonDict, field: str) -> JsonDict:
    value = body.get(field)
    if value is not None and not isinstance(value, dict):
        raise _refused(f"“{field}” must be a JSON object.", field)
    return value or {}


def _refused(message: str, param: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, code=code, param=param)

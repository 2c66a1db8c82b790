"""What OpenAI's fine-tuning API refuses before a job starts, by its published limits."""

from __future__ import annotations

import json
import math
from typing import Any

from graders_app.core.evaluate import GraderError
from graders_app.core.spec import parse_grader

from .wire import Refused, only

Json = dict[str, Any]

HYPERPARAMETERS: dict[str, tuple[type, float, float]] = {
    "batch_size": (int, 1, 256),
    "learning_rate_multiplier": (float, 0, math.inf),
    "n_epochs": (int, 1, 50),
    "compute_multiplier": (float, 0.00001, 10),
    "eval_interval": (int, 1, math.inf),
    "eval_samples": (int, 1, math.inf),
}
#: Bounds that may not be reached.
_OPEN_BOUNDS = {"learning_rate_multiplier", "compute_multiplier"}
_EFFORTS = ("default", "low", "medium", "high")
_ROLES = ("developer", "user", "assistant", "tool")
_PARTS = ("text", "image_url")
_MESSAGE_FIELDS = {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "refusal"}


def checked_rows(content: bytes, *, least: int, most: int, param: str) -> list[Json]:
    """The rows of a training or validation file."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Refused(400, f"{param} is not UTF-8.", param=param, code="invalid_file") from None
    if not least <= len(lines) <= most:
        raise Refused(400, f"{param} has {len(lines)} rows; {least} to {most} are allowed.", param=param)
    return [_checked_row(line, number) for number, line in enumerate(lines, 1)]


def check_overlap(train: list[Json], valid: list[Json]) -> None:
    if {json.dumps(row, sort_keys=True) for row in train} & {json.dumps(row, sort_keys=True) for row in valid}:
        raise Refused(400, "A row is in both the training and the validation file.")


def checked_method(method: Any, *, more: frozenset[str] = frozenset()) -> Json:
    """The ``reinforcement`` object; ``more``: fields a platform knows beside OpenAI's."""
    if (
        not isinstance(method, dict)
        or method.get("type") != "reinforcement"
        or set(method) != {"type", "reinforcement"}
    ):
        raise Refused(400, "'method' must be of type reinforcement.", param="method")
    inner: Json = method["reinforcement"]
    only(inner, {"grader", "hyperparameters", "response_format", *more}, "method.reinforcement.")
    _check_hyperparameters(inner.get("hyperparameters") or {})
    if inner.get("response_format") is not None:
        check_response_format(inner["response_format"], "method.reinforcement.response_format")
    return inner


def check_grader(grader: Any) -> None:
    """One top-level grader, one level of children, every name given; a source under 256 kB."""
    try:
        parse_grader(grader or {})
        for part in [grader, *(grader.get("graders") or {}).values()]:
            check_judge(part)
    except GraderError as error:
        raise Refused(400, f"Invalid grader: {error}", param="method.reinforcement.grader") from None


def check_judge(grader: Json) -> None:
    """A model that may judge, with the settings it takes; of one grader that is no multi."""
    if grader.get("type") != "score_model":
        return
    model, given = str(grader.get("model")), grader.get("sampling_params") or {}
    thinks = model.startswith(("o1", "o3", "o4", "gpt-5"))
    strange = [n for n in (("temperature", "top_p") if thinks else ("reasoning_effort",)) if given.get(n) is not None]
    if strange:
        raise Refused(400, f"Invalid grader: {strange[0]} is not supported with {model}.", param="grader")


def check_response_format(given: Any, param: str) -> None:
    """The nested form of chat completions: ``{"type": "json_schema", "json_schema": {"name", "strict", "schema"}}``."""
    if not isinstance(given, dict) or given.get("type") not in ("text", "json_object", "json_schema"):
        raise Refused(400, f"'{param}.type' must be text, json_object or json_schema.", param=param)
    if given["type"] != "json_schema":
        return
    inner = given.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise Refused(400, f"Missing required parameter: '{param}.json_schema'.", param=param)
    name = inner.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or not all(c.isalnum() or c in "_-" for c in name):
        raise Refused(400, f"'{param}.json_schema.name' may have 64 letters, digits, _ and -.", param=param)
    if inner.get("strict"):
        _check_strict(inner["schema"], param)


def check_extras(body: Json) -> None:
    suffix, seed, metadata = body.get("suffix"), body.get("seed"), body.get("metadata") or {}
    if suffix is not None and not 1 <= len(suffix) <= 64:
        raise Refused(400, "'suffix' must have 1 to 64 characters.", param="suffix")
    if seed is not None and not 0 <= seed <= 2_147_483_647:
        raise Refused(400, "'seed' is out of range.", param="seed")
    fits = all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in metadata.items())
    if len(metadata) > 16 or not fits:
        raise Refused(400, "'metadata' may have 16 entries of 64 and 512 characters.", param="metadata")
    if len(body.get("integrations") or []) > 5:
        raise Refused(400, "'integrations' may have 5 entries.", param="integrations")


def _check_hyperparameters(given: Json) -> None:
    for name, value in given.items():
        if name == "reasoning_effort" and value in _EFFORTS:
            continue
        kind, low, high = HYPERPARAMETERS.get(name, (None, 0, 0))
        number = (
            isinstance(value, int | float) and not isinstance(value, bool) and (kind is float or value == int(value))
        )
        fits = number and low <= value <= high and not (name in _OPEN_BOUNDS and value == low)
        if kind is None or not (value == "auto" or fits):
            raise Refused(400, f"Invalid hyperparameter {name}: {value!r}.", param=f"hyperparameters.{name}")


def _check_strict(schema: Json, param: str) -> None:
    """Every object closed, every property required: what ``strict`` asks for."""
    if schema.get("type") == "object":
        properties = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            raise Refused(400, f"'{param}': 'additionalProperties' is required to be false.", param=param)
        if sorted(schema.get("required") or []) != sorted(properties):
            raise Refused(400, f"'{param}': 'required' must name every property.", param=param)
        for inner in properties.values():
            _check_strict(inner, param)
    if isinstance(schema.get("items"), dict):
        _check_strict(schema["items"], param)


def _checked_row(line: str, number: int) -> Json:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise Refused(400, f"Row {number} is no JSON object.", code="invalid_file")
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, f"Row {number} has no messages.", code="invalid_file")
    for message in messages:
        _check_message(message, number)
    if messages[-1]["role"] != "user":
        raise Refused(400, f"Row {number} must end with a user message.", code="invalid_file")
    for tool in row.get("tools") or []:
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused(400, f"Row {number} has a tool that is no function with a name.", code="invalid_file")
    return row


def _check_message(message: Any, number: int) -> None:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        role = message.get("role") if isinstance(message, dict) else message
        raise Refused(400, f"Row {number} has the role {role!r}.", code="invalid_file")
    only(message, _MESSAGE_FIELDS, f"row {number}: messages.")
    content = message.get("content")
    if isinstance(content, list):
        kinds = {part.get("type") if isinstance(part, dict) else None for part in content}
        if not kinds <= set(_PARTS):
            raise Refused(400, f"Row {number} has content that is neither text nor an image.", code="invalid_file")
    elif not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        raise Refused(400, f"Row {number} has a message without content.", code="invalid_file")
    if "weight" in message and (message["role"] != "assistant" or message["weight"] not in (0, 1)):
        raise Refused(400, f"Row {number} has a weight that is not 0 or 1 of an assistant.", code="invalid_file")

"""JSON that people type: grader documents and records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from graders_app.core.errors import GraderError
from rft_project.platforms.types import JsonDict, last_user_text


def read_object(text: str, field: str = "") -> JsonDict:
    """``text`` as a JSON object. Raises GraderError, a sentence that names ``field``."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise GraderError(f"this is not JSON: {error.msg} at {where}.", field) from None
    except RecursionError:
        raise GraderError("this is nested too deeply.", field) from None
    except ValueError as error:
        raise GraderError(f"this is not JSON: {error}.", field) from None
    if not isinstance(value, dict):
        raise GraderError("write a JSON object, in braces.", field)
    return value


def read_document(text: str, field: str) -> JsonDict:
    """A JSON object that every database can keep: no NUL, no half characters. Raises GraderError."""
    value = read_object(text, field)
    for part in _strings(value):
        if "\0" in part:
            raise GraderError("this has a NUL character (\\u0000), which cannot be kept.", field)
        if any("\ud800" <= char <= "\udfff" for char in part):
            raise GraderError("this has half a character (\\ud800 to \\udfff), which is not text.", field)
    return value


def complete_item(item: JsonDict) -> JsonDict:
    """``item`` with ``user_message``, the last user message, where it has messages and does not say it itself."""
    messages = item.get("messages")
    if "user_message" in item or not isinstance(messages, list):
        return item
    return {**item, "user_message": last_user_text(messages)}


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from _strings(entry)

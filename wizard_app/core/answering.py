"""How answers are asked for: how long a model may think first, and the form an answer must have. Pure.

What the dry run asked with is what training and comparison ask with: a model that is trained to think little and asked
to think much is another model.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from rft_project.platforms.types import JsonDict, ModelInfo

#: Efforts people choose from; '' leaves it to the model.
EFFORTS = ("low", "medium", "high")
#: Tokens left for thoughts. AWS advises 32,768 for hard reasoning; OpenAI's example run took 3,330 on average.
ROOM = {"low": 4_096, "": 16_384, "medium": 16_384, "high": 32_768}
NEUTRAL = ("", "default", "off", None)  # words by which platforms leave it to the model
FORM_NAME = "answer"
_DEEPEST = 10


def effort_refusal(info: ModelInfo, effort: str) -> str:
    """Why ``info`` can't be asked with ``effort``, '' where it can."""
    if not effort:
        return ""
    known = efforts_of(info)
    if not known:
        return f"{info.label} can't be told how long to think; leave its reasoning effort as it is."
    if effort not in known:
        return f"{info.label} thinks with the effort {' or '.join(known)}, not {effort}."
    return ""


def efforts_of(info: ModelInfo) -> list[str]:
    bound = info.hyperparameters.get(info.effort_setting)
    return [choice for choice in bound.choices if choice not in NEUTRAL] if bound is not None else []


def with_effort(info: ModelInfo | None, hyperparameters: JsonDict, effort: str) -> JsonDict:
    """The settings of a training that thinks with ``effort``."""
    told = {info.effort_setting: effort} if info is not None and info.effort_setting and effort else {}
    return {**hyperparameters, **told}


def effort_conflict(info: ModelInfo | None, hyperparameters: JsonDict, effort: str) -> str:
    """Why a training can't have an effort of its own, '' where it has none or the dry run's."""
    given = hyperparameters.get(info.effort_setting) if info is not None else None
    if given in NEUTRAL or given == effort:
        return ""
    return f"The dry run asked with another reasoning effort than {given}; run it again with that one first."


def form_refusal(info: ModelInfo, form: JsonDict | None) -> str:
    """Why answers of ``info`` can't have ``form``, '' where they can."""
    if form is None or info.answer_form:
        return ""
    return f"{info.label} can't be trained on answers of a set form; take the schema out, or choose another model."


def room_for_thoughts(info: ModelInfo | None, effort: str) -> int:
    """Tokens of an answer on top of what people read; 0 for a model that does not think first."""
    if info is None or not (info.thinks or effort):
        return 0
    return ROOM.get(effort, ROOM["high"])


def form_of(text: str) -> JsonDict | None:
    """A chat completion's ``response_format`` from a JSON Schema; None for an empty text.

    Raises ValueError with a sentence where the schema is none that platforms take in strict mode: an object, each of
    whose objects names all its properties as required and allows no others.
    """
    if not text.strip():
        return None
    try:
        schema = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("The schema is not JSON.") from None
    if not _storable(schema):
        raise ValueError("The schema holds a character that can't be stored: NUL or half of a pair.")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError('The schema must be a JSON object with "type": "object".')
    _check(schema, "the schema", 0)
    return {"type": "json_schema", "json_schema": {"name": FORM_NAME, "strict": True, "schema": schema}}


def _storable(schema: Any) -> bool:
    """Whether a database's JSON takes it."""
    written = json.dumps(schema, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        return False
    return "\\u0000" not in written


def _no_number(word: str) -> NoReturn:
    """Python reads NaN and Infinity; JSON has neither, and databases refuse them."""
    raise ValueError(word)


def schema_text(form: JsonDict | None) -> str:
    """The schema of a form as people edit it."""
    return json.dumps(form["json_schema"]["schema"], indent=2, ensure_ascii=False) if form else ""


def _check(schema: Any, where: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"The schema goes deeper than {_DEEPEST} levels.")
    if not isinstance(schema, dict):
        raise ValueError(f"In {where} there is something that is no schema.")
    if schema.get("type") == "object":
        _check_object(schema, where)
    for name, part in _parts(schema):
        _check(part, name, depth + 1)


def _check_object(schema: JsonDict, where: str) -> None:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise ValueError(f'"properties" of {where} must be an object.')
    if schema.get("additionalProperties") is not False:
        raise ValueError(f'{where[0].upper()}{where[1:]} must say "additionalProperties": false.')
    required = schema.get("required", [])
    if not isinstance(required, list) or {str(name) for name in required} != set(properties):
        raise ValueError(f'"required" of {where} must name all of its properties.')


def _parts(schema: JsonDict) -> list[tuple[str, Any]]:
    """The schemas within a schema, each with its name for people."""
    properties, definitions = schema.get("properties", {}), schema.get("$defs", {})
    named = [(f'"{name}"', part) for held in (properties, definitions) if isinstance(held, dict)
             for name, part in held.items()]  # fmt: skip
    choices = schema.get("anyOf", [])
    named += [("a choice of anyOf", part) for part in (choices if isinstance(choices, list) else [])]
    return [*named, *([("the items", schema["items"])] if "items" in schema else [])]

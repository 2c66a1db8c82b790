"""Documents read back into the forms that make them, where a form can make exactly that document."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graders_app.core.errors import GraderError
from graders_app.core.spec import PythonSpec, children, parse_grader, parse_source
from rft_project.platforms.types import JsonDict

from .kinds import KINDS, Kind

_CRITERION = re.compile(r"You grade an answer\..*?criterion:\n\n(.*)\n\n\d+ is not at all, ", re.DOTALL)
_SETTINGS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "LABELS": ("labels", "\n".join),
    "FIELDS": ("fields_wanted", "\n".join),
    "TARGET_CHARS": ("target_chars", str),
    "TOLERANCE": ("tolerance", repr),
    "SCHEMA": ("schema", lambda schema: json.dumps(schema, ensure_ascii=False, indent=2)),
}


@dataclass(frozen=True)
class Reading:
    """``values``: what the form of ``kind`` is to be filled with, by field."""

    kind: Kind
    values: dict[str, str]

    @property
    def settings(self) -> list[str]:
        """The fields of the form that are there to be changed."""
        return [name for name in self.kind.form.base_fields if name != "name"]


def read_kind(config: JsonDict) -> Reading | None:
    """The first form whose document ``config`` is, but for the name; None where it was written by hand."""
    return next(readings(config), None)


def readings(config: JsonDict) -> Iterator[Reading]:
    """Every form whose document ``config`` is: a ready-made one before those of the types."""
    values = dict(_values(config))
    for kind in KINDS.values():
        form = kind.form({**values, "name": config["name"]})
        if kind.slug == "json" or not form.is_valid():
            continue
        try:
            made = form.document()
        except GraderError:
            continue
        if {**made, "name": config["name"]} == config:
            yield Reading(kind, {field: values[field] for field in form.fields if field in values and field != "name"})


def _values(config: JsonDict) -> Iterator[tuple[str, str]]:
    """Whatever stands in the document that some form asks for."""
    yield from ((name, value) for name, value in config.items() if isinstance(value, str) and name != "type")
    for child in children(parse_grader(config)).values():
        if isinstance(child, PythonSpec):
            yield from _constants(child.source)
    if config["type"] == "score_model":
        criterion = _CRITERION.match(str(config["input"][0]["content"]))
        yield "criterion", criterion[1] if criterion else ""
        yield "compare", "reference" if "{{item.reference_answer}}" in str(config["input"][-1]) else "question"
        yield "scale", "-".join(str(bound) for bound in config.get("range", [0, 1]))


def _constants(source: str) -> Iterator[tuple[str, str]]:
    """The constants that presets fill in, as their forms ask for them."""
    for node in parse_source(source).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        known = _SETTINGS.get(node.targets[0].id)
        if known is not None:
            try:
                yield known[0], known[1](ast.literal_eval(node.value))
            except (ValueError, TypeError, MemoryError, RecursionError):
                continue

"""An answer and a record to start a test with: every field that the grader reads is there."""

from __future__ import annotations

import ast
from typing import Any

from graders_app.core.spec import GraderSpec, PythonSpec, children, item_fields, parse_source, variables
from graders_app.core.templates import Variable
from rft_project.platforms.types import JsonDict

QUESTION = "Where is my parcel? It should have come on Monday."
ANSWER = "Your parcel is on its way and arrives tomorrow."
_LABEL = "shipping"
_VALUES: dict[str, Any] = {"user_message": QUESTION, "messages": [{"role": "user", "content": QUESTION}]}


def example_item(spec: GraderSpec) -> JsonDict:
    """A record with the fields that ``spec`` reads, and the question."""
    item: JsonDict = {"user_message": QUESTION}
    for variable in variables(spec):
        if variable.namespace == "item":
            _put(item, variable, _value(spec, variable.field))
    for name in sorted(item_fields(spec)):
        item.setdefault(name, _value(spec, name))
    return item


def example_answer(spec: GraderSpec) -> str:
    """An answer that suits ``example_item``: its reference answer where the grader reads one."""
    reference = example_item(spec).get("reference_answer")
    if isinstance(reference, str):
        return reference
    fields = [str(name) for name in _constant(spec, "FIELDS")]
    fields += [str(v.steps[2]) for v in variables(spec) if v.path.startswith("sample.output_json.")]
    if fields:
        return "{" + ", ".join(f'"{name}": "…"' for name in dict.fromkeys(fields)) + "}"
    return ANSWER


def _value(spec: GraderSpec, field: str) -> Any:
    if field == "reference_answer":
        if _assigned(spec, "TOLERANCE"):
            return "42"
        labels = _constant(spec, "LABELS")
        return str(labels[0]) if labels else _LABEL
    return _VALUES.get(field, "…")


def _put(item: JsonDict, variable: Variable, value: Any) -> None:
    """Set a value at a dotted path; a path through a list is left to the person."""
    steps = [step for step in variable.steps[1:] if isinstance(step, str)]
    if len(steps) != len(variable.steps) - 1:
        return
    for step in steps[:-1]:
        inner = item.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        item = inner
    item.setdefault(steps[-1], value)


def _constant(spec: GraderSpec, name: str) -> list[Any]:
    """A list of literals that a python part assigns to ``name``, as the presets do."""
    for node in _assigned(spec, name):
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, MemoryError, RecursionError):
            return []
        return value if isinstance(value, list) else []
    return []


def _assigned(spec: GraderSpec, name: str) -> list[ast.Assign]:
    """Where python parts assign to ``name`` at their top level."""
    sources = [child.source for child in children(spec).values() if isinstance(child, PythonSpec)]
    return [
        node
        for source in sources
        for node in parse_source(source).body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    ]

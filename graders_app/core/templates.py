"""Templates of grader documents: text with ``{{ item.path }}`` and ``{{ sample.path }}``.

Semantics follow OpenAI's graders guide: two namespaces, dotted paths, ``[n]`` indexes, no expressions, no filters.
Only dicts and lists are walked, by exact type, so a value's attributes and methods are out of reach; what a variable
expands to is never expanded again. The platforms document no text form for values that are not strings: here they
become compact JSON (``true``, ``null``, ``{"a":1}``), which is what a prompt that quotes JSON wants.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_TEMPLATE_CHARS = 200_000
MAX_RENDERED_CHARS = 2_000_000
NAMESPACES = ("item", "sample")

_PATH = re.compile(r"(?:[^\W\d]|_)[\w\-]*(?:\.[\w\-]+|\[\d{1,9}\])*\Z")
_STEP = re.compile(r"[\w\-]+|\[\d+\]")


class TemplateError(ValueError):
    """``variable`` is the path as written, without braces ('' where the braces themselves are wrong)."""

    def __init__(self, message: str, variable: str = "") -> None:
        super().__init__(message)
        self.variable = variable


@dataclass(frozen=True, slots=True)
class Variable:
    """One ``{{ … }}``: ``path`` as written, ``steps`` to walk (str: a dict key, int: a list index)."""

    path: str
    steps: tuple[str | int, ...]

    @property
    def namespace(self) -> str:
        return str(self.steps[0])

    @property
    def field(self) -> str:
        """First name under the namespace, ``label`` in ``item.label.en``."""
        return str(self.steps[1])


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: literal text and variables in order."""

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> list[Variable]:
        return [part for part in self.parts if isinstance(part, Variable)]

    def render(self, sample: dict[str, Any], item: dict[str, Any]) -> str:
        """Text with every variable replaced. Raises TemplateError naming a variable that is not there."""
        values = {"item": item, "sample": sample}
        out: list[str] = []
        size = 0
        for part in self.parts:
            text = part if isinstance(part, str) else _as_text(_look_up(part, values))
            size += len(text)
            if size > MAX_RENDERED_CHARS:
                raise TemplateError(f"the filled-in text is longer than {MAX_RENDERED_CHARS:,} characters")
            out.append(text)
        return "".join(out)


@lru_cache(maxsize=512)
def compile_template(text: str) -> Template:
    """Parse ``text``. Raises TemplateError for a template that is too long, unclosed braces or a wrong path."""
    if len(text) > MAX_TEMPLATE_CHARS:
        raise TemplateError(f"the template is longer than {MAX_TEMPLATE_CHARS:,} characters")
    parts: list[str | Variable] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        while text.startswith("{{{", start):  # the outer brace of `{{{ item.x }}}` is JSON, not ours
            start += 1
        if start > at:
            parts.append(text[at:start])
        end = text.find("}}", start)
        if end < 0:
            raise TemplateError("a {{ is never closed by }}")
        parts.append(_variable(text[start + 2 : end].strip()))
        at = end + 2
    if at < len(text):
        parts.append(text[at:])
    return Template(tuple(parts))


def _variable(path: str) -> Variable:
    shown = path if len(path) <= 60 else path[:57] + "..."
    if not _PATH.match(path):
        raise TemplateError(
            f"{{{{{shown}}}}} is not a variable, write a path such as {{{{item.reference_answer}}}}", shown
        )
    steps: list[str | int] = []
    for step in _STEP.findall(path):
        steps.append(int(step[1:-1]) if step[0] == "[" else step)
    if steps[0] not in NAMESPACES or len(steps) < 2 or not isinstance(steps[1], str):
        raise TemplateError(f"{{{{{shown}}}}} must name a field of item or sample", shown)
    return Variable(path, tuple(steps))


def _look_up(variable: Variable, values: dict[str, dict[str, Any]]) -> Any:
    value: Any = values
    for step in variable.steps:
        if isinstance(step, int) or (type(value) is list and step.isdigit() and len(step) < 10):
            index = int(step)
            if type(value) is list and index < len(value):
                value = value[index]
                continue
        elif type(value) is dict and step in value:
            value = value[step]
            continue
        raise TemplateError(f"{{{{{variable.path}}}}} is not there", variable.path)
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise TemplateError("a value in the record is not JSON") from None

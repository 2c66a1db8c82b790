"""Grader documents: OpenAI's grader JSON as typed values, validated with one sentence per mistake.

Fields and limits: the ``openai`` package's ``types/graders`` and the graders guide (string_check, text_similarity,
score_model, python, multi). ``cosine`` is refused because RFT does not accept it; ``pass_threshold`` is kept at the top
level (published examples carry it) and refused inside a multi grader, where the platforms refuse it too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rft_project.platforms.types import JsonDict

from .errors import GraderError
from .formula import FUNCTIONS, FormulaError, parse_formula
from .templates import TemplateError, Variable, compile_template

__all__ = [
    "METRICS",
    "ChildSpec",
    "GraderError",
    "GraderSpec",
    "MultiSpec",
    "PythonSpec",
    "ScoreModelSpec",
    "StringCheckSpec",
    "TextSimilaritySpec",
    "children",
    "item_fields",
    "parse_grader",
    "variables",
]

MAX_SOURCE_BYTES = 256_000  # the guide: source "less than 256 kB"
MAX_CHILDREN = 50
MAX_NAME_CHARS = 200

Metric = Literal[
    "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"
]
METRICS: tuple[Metric, ...] = Metric.__args__  # type: ignore[attr-defined]
Operation = Literal["eq", "ne", "like", "ilike"]
Number = int | float

#: What ``sample`` can hold (guide and captured requests); anything else is a slip that no answer can ever fill.
SAMPLE_FIELDS = frozenset(
    {"output_text", "output_json", "output_tools", "choices", "output_audio", "output_reasoning_summary"}
)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Spec(BaseModel):
    """Frozen; unknown keys are an error, so a misspelt field is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    pass_threshold: Number | None = None

    def to_config(self) -> JsonDict:
        """The document as it came in: keys nobody set are left out, numbers keep their type."""
        return self.model_dump(exclude_unset=True)


class StringCheckSpec(_Spec):
    """``eq``/``ne``: equal or not; ``like``/``ilike``: the input contains the reference (``ilike`` ignoring case)."""

    type: Literal["string_check"]
    input: str
    reference: str
    operation: Operation


class TextSimilaritySpec(_Spec):
    type: Literal["text_similarity"]
    input: str
    reference: str
    evaluation_metric: Metric


class JudgeMessage(BaseModel):
    """One message of a judge's prompt; ``content`` is text or a list of ``input_text`` / ``output_text`` parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | JsonDict | list[JsonDict]
    type: Literal["message"] | None = None

    @property
    def texts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        parts = self.content if isinstance(self.content, list) else [self.content]
        return [part["text"] for part in parts if isinstance(part.get("text"), str)]


class ScoreModelSpec(_Spec):
    """A judge. ``range`` is what it may answer, mapped to 0..1 when run here; default 0..1."""

    type: Literal["score_model"]
    model: str = Field(min_length=1)
    input: list[JudgeMessage] = Field(min_length=1)
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    sampling_params: JsonDict | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.range or (0.0, 1.0)
        return float(low), float(high)


class PythonSpec(_Spec):
    type: Literal["python"]
    source: str
    image_tag: str | None = None


ChildSpec = Annotated[StringCheckSpec | TextSimilaritySpec | ScoreModelSpec | PythonSpec, Field(discriminator="type")]


class MultiSpec(_Spec):
    """Named children and the formula that combines their scores."""

    type: Literal["multi"]
    graders: dict[str, ChildSpec] = Field(min_length=1, max_length=MAX_CHILDREN)
    calculate_output: str


GraderSpec = StringCheckSpec | TextSimilaritySpec | ScoreModelSpec | PythonSpec | MultiSpec

_MODELS: dict[str, type[_Spec]] = {
    "string_check": StringCheckSpec,
    "text_similarity": TextSimilaritySpec,
    "score_model": ScoreModelSpec,
    "python": PythonSpec,
    "multi": MultiSpec,
}


def parse_grader(config: JsonDict) -> GraderSpec:
    """Check a grader document and return it typed. Raises GraderError for the first mistake, naming its field."""
    return _parse(config, "")


def children(spec: GraderSpec) -> dict[str, ChildSpec]:
    """The parts that score: a multi grader's children by key, else the grader itself under its own name."""
    return dict(spec.graders) if isinstance(spec, MultiSpec) else {spec.name: spec}


def variables(spec: GraderSpec) -> list[Variable]:
    """Every template variable, in order of appearance (python graders have none)."""
    found: list[Variable] = []
    for child in children(spec).values():
        for _field, text in _templates(child):
            found.extend(compile_template(text).variables)
    return found


def item_fields(spec: GraderSpec) -> set[str]:
    """Top-level fields of the record that the grader reads: by templates, and in python graders by a look at
    ``item["x"]`` and ``item.get("x")`` (whatever the second parameter of ``grade`` is called)."""
    fields = {variable.field for variable in variables(spec) if variable.namespace == "item"}
    for child in children(spec).values():
        if isinstance(child, PythonSpec):
            fields |= _fields_of_source(child.source)
    return fields


def _parse(config: Any, prefix: str, *, nested: bool = False) -> GraderSpec:
    dot = f"{prefix}." if prefix else ""
    if not isinstance(config, dict):
        raise GraderError("a grader is a JSON object with a type and a name.", prefix)
    kind = config.get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        shown = f", not {kind!r}" if kind is not None else ""
        raise GraderError(f"choose one of {_choices(list(_MODELS))}{shown}.", f"{dot}type")
    if nested and kind == "multi":
        raise GraderError("a multi grader cannot hold another multi grader.", f"{dot}type")
    if nested and config.get("pass_threshold") is not None:
        raise GraderError("the graders inside a multi grader cannot have one.", f"{dot}pass_threshold")
    if config.get("evaluation_metric") == "cosine" and kind == "text_similarity":
        raise GraderError("cosine is not accepted in reinforcement fine-tuning.", f"{dot}evaluation_metric")
    values = dict(config)
    if kind == "multi" and isinstance(config.get("graders"), dict):
        values["graders"] = {
            key: _parse(child, f"{dot}graders.{key}", nested=True) for key, child in config["graders"].items()
        }
    try:
        spec = cast("GraderSpec", _MODELS[kind].model_validate(values))
    except ValidationError as error:
        raise _first_mistake(error, kind, dot) from None
    _check(spec, dot)
    return spec


def _first_mistake(error: ValidationError, kind: str, dot: str) -> GraderError:
    first = error.errors(include_url=False)[0]
    path = [str(step) for step in first["loc"] if not (isinstance(step, str) and _is_branch(step))]
    context = first.get("ctx", {})
    allowed = str(context.get("expected", "")).replace("'", "")
    sentences = {
        "missing": "this field is missing.",
        "extra_forbidden": f"this is not a field of a {kind} grader.",
        "literal_error": f"choose one of {allowed}, not {first['input']!r}.",
        "string_type": "write text here.",
        "string_too_short": "this cannot be empty.",
        "string_too_long": f"use at most {context.get('max_length')} characters.",
        "too_short": f"give at least {context.get('min_length')}.",
        "too_long": f"give at most {context.get('max_length')}.",
        "list_type": "this must be a list.",
        "dict_type": "this must be a JSON object.",
        "int_type": "this must be a number.",
        "float_type": "this must be a number.",
        "model_type": "this must be a JSON object.",
    }
    return GraderError(sentences.get(first["type"], f"{first['msg']}."), dot + ".".join(path))


def _is_branch(step: str) -> bool:
    """Names pydantic adds for the branch of a union it tried; they are no part of the document."""
    return step in ("str", "int", "float") or step.startswith(("list[", "dict["))


def _check(spec: GraderSpec, dot: str) -> None:
    for field, text in _templates(spec):
        _check_template(text, dot + field)
    if isinstance(spec, ScoreModelSpec) and spec.bounds[0] >= spec.bounds[1]:
        raise GraderError("give the lowest score first and a higher one second.", f"{dot}range")
    if isinstance(spec, PythonSpec):
        _check_source(spec.source, f"{dot}source")
    if isinstance(spec, MultiSpec):
        _check_multi(spec)


def _check_multi(spec: MultiSpec) -> None:
    for key in spec.graders:
        if not _IDENTIFIER.match(key) or key in FUNCTIONS:
            raise GraderError("use letters, digits and _ for this name, not a digit first.", f"graders.{key}")
    try:
        formula = parse_formula(spec.calculate_output)
    except FormulaError as error:
        raise GraderError(f"{error}.", "calculate_output") from None
    for name in sorted(formula.names):
        if name not in spec.graders:
            raise GraderError(f"there is no grader named {name!r}.", "calculate_output")
    if not formula.names:
        raise GraderError("use at least one grader in the formula.", "calculate_output")


def _templates(spec: GraderSpec) -> Iterator[tuple[str, str]]:
    """(field, template) of one grader, not of its children."""
    if isinstance(spec, StringCheckSpec | TextSimilaritySpec):
        yield "input", spec.input
        yield "reference", spec.reference
    elif isinstance(spec, ScoreModelSpec):
        for index, message in enumerate(spec.input):
            for text in message.texts:
                yield f"input.{index}.content", text


def _check_template(text: str, field: str) -> None:
    try:
        template = compile_template(text)
    except TemplateError as error:
        raise GraderError(f"{error}.", field) from None
    for variable in template.variables:
        if variable.namespace == "sample" and variable.field not in SAMPLE_FIELDS:
            raise GraderError(
                f"{{{{{variable.path}}}}} does not exist, an answer has {_choices(sorted(SAMPLE_FIELDS))}.", field
            )


def _check_source(source: str, field: str) -> None:
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        raise GraderError("the source is longer than 256 kB.", field)
    tree = parse_source(source, field)
    found = [node for node in tree.body if getattr(node, "name", None) == "grade"]
    if not found:
        if not any(_assigns_grade(node) for node in tree.body):
            raise GraderError("define a function grade(sample, item) that returns a number.", field)
        return
    node = found[-1]
    if isinstance(node, ast.AsyncFunctionDef):
        raise GraderError(f"line {node.lineno}: grade must be an ordinary function, not async.", field)
    if isinstance(node, ast.FunctionDef) and not _takes_two(node.args):
        raise GraderError(f"line {node.lineno}: grade must take two arguments, sample and item.", field)


def parse_source(source: str, field: str = "source") -> ast.Module:
    """Syntax tree of a python grader. Raises GraderError with the line; never runs anything."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise GraderError(f"line {error.lineno or 1}: {error.msg}.", field) from None
    except ValueError as error:  # a NUL character
        raise GraderError(f"{error}.", field) from None
    except (RecursionError, MemoryError):
        raise GraderError("the source is nested too deeply.", field) from None


def _assigns_grade(node: ast.stmt) -> bool:
    names: list[str] = []
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    elif isinstance(node, ast.ImportFrom | ast.Import):
        names = [alias.asname or alias.name for alias in node.names]
    return "grade" in names


def _takes_two(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required_by_name = any(default is None for default in arguments.kw_defaults)
    enough = positional >= 2 or arguments.vararg is not None
    return enough and positional - len(arguments.defaults) <= 2 and not required_by_name


def _fields_of_source(source: str) -> set[str]:
    tree = parse_source(source)
    name = "item"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "grade":
            arguments = [*node.args.posonlyargs, *node.args.args]
            name = arguments[1].arg if len(arguments) > 1 else name
    fields: set[str] = set()
    for part in ast.walk(tree):
        key: ast.expr | None = None
        owner: ast.expr | None = None
        if isinstance(part, ast.Subscript):
            owner, key = part.value, part.slice
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "get":
            owner, key = part.func.value, (part.args[0] if part.args else None)
        reads_item = isinstance(owner, ast.Name) and owner.id == name
        if reads_item and isinstance(key, ast.Constant) and isinstance(key.value, str):
            fields.add(key.value)
    return fields


def _choices(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"

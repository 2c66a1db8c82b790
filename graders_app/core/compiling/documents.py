"""A grader as JSON for OpenAI and Azure, checked against what they publish (reference of fine-tuning graders)."""

from __future__ import annotations

import copy
import re

from graders_app.core.errors import GraderError
from graders_app.core.formula import MAX_CHARS, replaced
from graders_app.core.presets import JUDGE
from graders_app.core.spec import GraderSpec, MultiSpec, ScoreModelSpec, children, parse_grader
from rft_project.platforms.types import JsonDict

PLATFORMS = {"openai": "OpenAI", "azure": "Azure"}
#: Fields of ``sampling_params``; ``max_completions_tokens`` is spelt so.
SAMPLING = frozenset({"seed", "temperature", "top_p", "max_completions_tokens", "reasoning_effort"})
#: How OpenAI's models begin that think before they answer.
_THINKING = ("o1", "o3", "o4", "gpt-5")
#: ``openai.gpt-oss-120b-1:0``, ``us.amazon.nova-pro-v1:0``, an ARN; ``gpt-4.1`` has a digit after its point.
_BEDROCK_MODEL = re.compile(r"arn:aws|[a-z][a-z0-9-]*\.[a-z]")
#: Name of a judge that stood alone before it got a formula.
ALONE = "judge"
_SPACES = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def openai_document(config: JsonDict, *, platform: str = "openai", judge_model: str = "") -> JsonDict:
    """``config`` as ``platform`` (``openai`` or ``azure``) takes it: a copy.

    A judge by role becomes ``judge_model``. The platforms put a judge's own number into a formula, so one with another
    ``range`` than 0 to 1 is mapped to it there, and one that stands alone gets a formula for that. Templates lose the
    spaces inside their braces, which Azure's pages advise against. Raises GraderError naming the field for a wrong
    document, for a role without a model, for a model of another platform and for sampling fields that the platforms do
    not know.
    """
    if platform not in PLATFORMS:
        raise GraderError(f"choose one of {', '.join(PLATFORMS)}.", "platform")
    document = with_judge(config, judge_model)
    spec = parse_grader(document)
    for field, judge in judges(spec).items():
        if _BEDROCK_MODEL.match(judge.model):
            raise GraderError(f"{judge.model!r} is a model of Bedrock, not of {PLATFORMS[platform]}.", f"{field}model")
        _check_settings(judge, field)
        for name in sorted(set(judge.sampling_params or {}) - SAMPLING):
            raise GraderError(f"this is not one of {', '.join(sorted(SAMPLING))}.", f"{field}sampling_params.{name}")
    for part in _parts(document):
        _close_braces(part)
    return _mapped(document, spec)


def _check_settings(judge: ScoreModelSpec, field: str) -> None:
    """Models that think first take no temperature, and only they take an effort; of names that tell nothing, such as
    a deployment's, all is taken. Raises GraderError."""
    thinks = judge.model.startswith(_THINKING)
    unknown = {"temperature", "top_p"} if thinks else {"reasoning_effort"} if judge.model.startswith("gpt-4") else set()
    for name in sorted(unknown):
        if (judge.sampling_params or {}).get(name) is not None:
            why = "thinks before it answers" if thinks else "does not think before it answers"
            raise GraderError(f"{judge.model} {why}, so it takes none; leave it out.", f"{field}sampling_params.{name}")


def _mapped(document: JsonDict, spec: GraderSpec) -> JsonDict:
    """``document`` with every judge's range mapped to 0..1 by the formula. Raises GraderError."""
    wide = {name: _share(name, *child.bounds) for name, child in _wide(spec).items()}
    if not wide:
        return document
    if not isinstance(spec, MultiSpec):
        threshold = {name: document.pop(name) for name in ("pass_threshold",) if name in document}
        head = {"type": "multi", "name": document["name"], "graders": {ALONE: document}}
        return {**head, "calculate_output": wide[ALONE], **threshold}
    formula = replaced(spec.calculate_output, wide)
    if len(formula) > MAX_CHARS:
        raise GraderError("with the judges' ranges mapped to 0 to 1 this is too long; shorten it.", "calculate_output")
    return {**document, "calculate_output": formula}


def _wide(spec: GraderSpec) -> dict[str, ScoreModelSpec]:
    found = children(spec) if isinstance(spec, MultiSpec) else {ALONE: spec}
    return {n: c for n, c in found.items() if isinstance(c, ScoreModelSpec) and c.bounds != (0.0, 1.0)}


def _share(name: str, low: float, high: float) -> str:
    """How far ``name`` lies from ``low`` to ``high``, as a formula."""
    return f"({name} {'+' if low < 0 else '-'} {_digits(abs(low))}) / {_digits(high - low)}"


def _digits(number: float) -> str:
    return repr(number).removesuffix(".0")


def bedrock_document(config: JsonDict, *, judge_model: str = "") -> JsonDict:
    """``config`` for the Lambda function, a copy; a judge must be a model of Bedrock. Raises GraderError."""
    document = with_judge(config, judge_model)
    for field, judge in judges(parse_grader(document)).items():
        if not _BEDROCK_MODEL.match(judge.model):
            raise GraderError(
                f"Bedrock has no model {judge.model!r}; name one such as us.amazon.nova-premier-v1:0.", f"{field}model"
            )
    return document


def with_judge(config: JsonDict, judge_model: str) -> JsonDict:
    """A copy in which the role ``judge`` is a model. Raises GraderError where there is none for it."""
    parse_grader(config)
    document = copy.deepcopy(config)
    for part in _parts(document):
        if part["type"] == "score_model" and part["model"] == JUDGE:
            if not judge_model:
                raise GraderError("judge is a role; name the model that judges.", "model")
            part["model"] = judge_model
    return document


def judges(spec: GraderSpec) -> dict[str, ScoreModelSpec]:
    """Where each judge stands (``graders.accuracy.``, '' for the grader itself) and the judge."""
    multi = isinstance(spec, MultiSpec)
    return {
        f"graders.{name}." if multi else "": child
        for name, child in children(spec).items()
        if isinstance(child, ScoreModelSpec)
    }


def _parts(document: JsonDict) -> list[JsonDict]:
    return list(document["graders"].values()) if document["type"] == "multi" else [document]


def _close_braces(part: JsonDict) -> None:
    for name in ("input", "reference"):
        if isinstance(part.get(name), str):
            part[name] = _SPACES.sub(r"{{\1}}", part[name])
    for message in part["input"] if part["type"] == "score_model" else []:
        content = message["content"]
        if isinstance(content, str):
            message["content"] = _SPACES.sub(r"{{\1}}", content)
            continue
        for block in content if isinstance(content, list) else [content]:
            if isinstance(block.get("text"), str):
                block["text"] = _SPACES.sub(r"{{\1}}", block["text"])

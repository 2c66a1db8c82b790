"""What a grader measures, in words."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from graders_app.core.presets import PRESETS
from graders_app.core.spec import (
    ChildSpec,
    GraderSpec,
    MultiSpec,
    PythonSpec,
    ScoreModelSpec,
    StringCheckSpec,
    TextSimilaritySpec,
    children,
    parse_source,
)
from graders_app.core.templates import Variable, compile_template

TYPES = {
    "string_check": "String check",
    "text_similarity": "Text similarity",
    "score_model": "Judge",
    "python": "Python",
    "multi": "Multi",
}
OPERATIONS = {
    "eq": "is exactly the reference (eq)",
    "ne": "is not the reference (ne)",
    "like": "contains the reference (like)",
    "ilike": "contains the reference, capitals or not (ilike)",
}
METRICS = {
    "fuzzy_match": "Letters, forgiving of order and typing errors (fuzzy match)",
    "bleu": "Runs of up to four words that both have (BLEU)",
    "gleu": "Runs of up to four words, made for single sentences (GLEU)",
    "meteor": "Words and word stems, in order (METEOR)",
    "rouge_1": "Single words that both have (ROUGE-1)",
    "rouge_2": "Pairs of words (ROUGE-2)",
    "rouge_3": "Runs of three words (ROUGE-3)",
    "rouge_4": "Runs of four words (ROUGE-4)",
    "rouge_5": "Runs of five words (ROUGE-5)",
    "rouge_l": "Longest sequence of words that both have (ROUGE-L)",
}
PRESET_TITLES = {preset.slug: preset.title for preset in PRESETS}

_CHECKS = {
    "eq": "1 where {text} is exactly {reference}, else 0.",
    "ne": "1 where {text} is anything but {reference}, which scores 0.",
    "like": "1 where {text} contains {reference}, else 0.",
    "ilike": "1 where {text} contains {reference} in small letters or capitals, else 0.",
}
_LONGEST_QUOTE = 60  # characters of a template shown in a sentence


@dataclass(frozen=True)
class Part:
    """One component: ``key`` in the document ('' where the grader has no children), a sentence, its Python source."""

    key: str
    kind: str
    sentence: str
    source: str = ""


def parts_of(spec: GraderSpec) -> list[Part]:
    """Every component that scores, in the document's order."""
    multi = isinstance(spec, MultiSpec)
    return [_part(key if multi else "", child) for key, child in children(spec).items()]


def _part(key: str, spec: ChildSpec) -> Part:
    return Part(key, TYPES[spec.type], sentence_of(spec), spec.source if isinstance(spec, PythonSpec) else "")


def sentence_of(spec: ChildSpec) -> str:
    """What one component scores."""
    if isinstance(spec, StringCheckSpec):
        return _CHECKS[spec.operation].format(text=_phrase(spec.input), reference=_phrase(spec.reference))
    if isinstance(spec, TextSimilaritySpec):
        what = METRICS[spec.evaluation_metric]
        return f"How alike {_phrase(spec.input)} and {_phrase(spec.reference)} are. {what}."
    if isinstance(spec, ScoreModelSpec):
        low, high = spec.bounds
        return f"The judge {spec.model} reads the answer and scores it from {low:g} to {high:g}, shown here as 0 to 1."
    return _docstring(spec.source) or "A Python function computes the score."


def _phrase(template: str) -> str:
    parts = compile_template(template).parts
    if len(parts) == 1 and isinstance(parts[0], Variable):
        return _name(parts[0])
    text = " ".join(template.split())
    return f"“{text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + '…'}”"


def _name(variable: Variable) -> str:
    namespace, _, path = variable.path.partition(".")
    if namespace == "item":
        return f"the record's {path}"
    first, _, rest = path.partition(".")
    if first == "output_json" and rest:
        return f"{rest} in the answer's JSON"
    return {"output_text": "the answer", "output_json": "the answer's JSON"}.get(path, f"the answer's {path}")


def _docstring(source: str) -> str:
    for node in parse_source(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "grade":
            return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    return ""

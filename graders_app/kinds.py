"""The ways to make a grader: presets and one form per type."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from graders_app.core.jail import DEFAULT_POLICY
from graders_app.core.presets import PRESETS

from . import forms
from .preset_forms import PRESET_FORMS


@dataclass(frozen=True)
class Kind:
    """``slug`` goes into the address; ``preset`` is the preset's slug or ''; ``needs``: what of the records."""

    slug: str
    title: str
    sentence: str
    form: type[forms.NewGraderForm]
    preset: str = ""
    needs: str = ""


_NEEDS = {
    "exact_label": "A reference answer in each record.",
    "label_partial_credit": "A reference answer in each record, which is one of these labels.",
    "format_compliance": "Nothing but the answer; no reference answer.",
    "numeric_answer": "A reference answer with a number in each record.",
    "similarity": "A reference answer in each record, written as a good answer would be.",
    "tool_call_match": "A reference answer in each record that is a tool call or a list of them.",
    "tool_usage": "Tools in each record.",
    "json_schema": "The schema; no reference answer.",
    "correctness": "A reference answer in each record, and a connection with a judge model.",
    "conciseness": "Nothing but the question and the answer; what the answer says is not looked at.",
}
PRESET_KINDS = [
    Kind(preset.slug, preset.title, preset.measures, PRESET_FORMS[preset.slug], preset.slug, _NEEDS[preset.slug])
    for preset in PRESETS
]
TYPE_KINDS = [
    Kind(
        "string_check",
        "String check",
        "1 or 0: two texts are equal, or one contains the other.",
        forms.StringCheckForm,
    ),
    Kind(
        "text_similarity",
        "Text similarity",
        "How alike the answer and a reference are, by a metric of the field.",
        forms.TextSimilarityForm,
    ),
    Kind(
        "python",
        "Python",
        "A function of your own, grade(sample, item), that returns a number from 0 to 1.",
        forms.PythonForm,
    ),
    Kind(
        "judge",
        "Judge",
        "A model reads the answer and scores it by a criterion in your own words.",
        forms.JudgeForm,
        needs="A connection with a judge model; a reference answer in each record where it is to compare.",
    ),
    Kind(
        "json",
        "JSON document",
        "Any grader of OpenAI's format: several graders joined by a formula, a judge, or one you have already.",
        forms.JsonForm,
    ),
]
KINDS = {kind.slug: kind for kind in [*PRESET_KINDS, *TYPE_KINDS]}


@lru_cache(maxsize=1)
def libraries() -> tuple[str, ...]:
    """The libraries beyond Python's own that a python grader may import on this server."""
    allowed = {name.split(".")[0] for name in DEFAULT_POLICY.allowed} - sys.stdlib_module_names
    return tuple(sorted(name for name in allowed if find_spec(name) is not None))

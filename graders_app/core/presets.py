"""Ready-made graders: what each measures, what it needs, and how many records have that.

A preset builds an ordinary grader document, so that it can be read, changed and sent to any platform. The python parts
use nothing but the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from rft_project.platforms.types import JsonDict

from .errors import GraderError


@dataclass(frozen=True, slots=True)
class PresetContext:
    """What is known of a dataset. ``labels``: distinct reference answers; ``json_fields``: keys that JSON answers are
    to have; ``typical_answer_chars``: median length of a good answer, in characters."""

    labels: list[str] = field(default_factory=list)
    reference_count: int = 0
    total: int = 0
    json_fields: list[str] = field(default_factory=list)
    typical_answer_chars: int = 400


@dataclass(frozen=True, slots=True)
class Preset:
    """``measures`` and ``needs`` are one sentence each."""

    slug: str
    title: str
    measures: str
    needs: str
    _available: Callable[[PresetContext], int]
    _build: Callable[[PresetContext], JsonDict]

    def available(self, context: PresetContext) -> tuple[int, int]:
        """(records that have what it needs, all records)."""
        return self._available(context), context.total

    def build(self, context: PresetContext) -> JsonDict:
        """The grader document, a new one each time. Raises GraderError where the context lacks what it needs."""
        return self._build(context)


def load_preset(slug: str) -> Preset:
    """The preset of that name; ``-`` and ``_`` are the same. Raises GraderError listing the names there are."""
    wanted = slug.strip().replace("-", "_")
    for preset in PRESETS:
        if preset.slug == wanted:
            return preset
    names = ", ".join(preset.slug for preset in PRESETS)
    raise GraderError(f"there is no preset {slug!r}, choose one of {names}.", "preset")


_LABEL_SOURCE = '''\
import re

LABELS = {labels}


def plain(text):
    """Lower case, single spaces, no quotes around it and no punctuation at the end."""
    text = " ".join(str(text).lower().split())
    return text.strip("\\"'`*").rstrip(" .,;:!?").strip("\\"'`*")


# Longest first, so that a label inside a longer one does not count.
KNOWN = sorted({{plain(label) for label in LABELS}} - {{""}}, key=lambda label: (-len(label), label))
PATTERN = re.compile(r"(?<!\\w)(?:" + "|".join(map(re.escape, KNOWN)) + r")(?!\\w)")


def grade(sample, item):
    right = plain(item["reference_answer"])
    answer = plain(sample["output_text"])
    if answer == right:
        return 1.0
    found = set(PATTERN.findall(answer))
    if found == {{right}}:
        return 0.5  # the right label, with words around it
    if found == {{answer}}:
        return 0.1  # a label, but the wrong one
    if len(found) > 1:
        return 0.05  # several labels: a guess
    return 0.0
'''

_JSON_SOURCE = """\
import json


def grade(sample, item):
    try:
        value = json.loads(sample["output_text"])
    except (ValueError, RecursionError):
        return 0.0
    return 1.0 if isinstance(value, dict) else 0.0
"""

_FIELDS_SOURCE = '''\
import json

FIELDS = {fields}


def grade(sample, item):
    """Share of the required fields that are there and not empty."""
    try:
        value = json.loads(sample["output_text"])
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(value, dict):
        return 0.0
    return sum(value.get(name) not in (None, "") for name in FIELDS) / len(FIELDS)
'''

_ANSWERED_SOURCE = '''\
def words(text):
    return set(str(text).lower().split())


def grade(sample, item):
    """1 where there are words of the answer's own, 0 where it is empty or only repeats the question."""
    answer = words(sample["output_text"])
    if not any(char.isalnum() for char in sample["output_text"]):
        return 0.0
    return 0.0 if answer <= words(item.get("user_message") or "") and len(answer) > 3 else 1.0
'''

_BREVITY_SOURCE = '''\
TARGET_CHARS = {target}


def grade(sample, item):
    """1 up to the target length, then target / length: twice as long scores a half."""
    length = len(sample["output_text"].strip())
    return min(1.0, TARGET_CHARS / length) if length else 0.0
'''


def _exact_label(_context: PresetContext) -> JsonDict:
    return {
        "type": "string_check",
        "name": "exact_label",
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.reference_answer}}",
    }


def _label_partial_credit(context: PresetContext) -> JsonDict:
    labels = sorted({label for label in context.labels if label.strip()})
    if not labels:
        raise GraderError("this preset needs records with a reference answer to learn the labels from.", "preset")
    literal = json.dumps(labels, ensure_ascii=False, indent=4)
    return _python("label_partial_credit", _LABEL_SOURCE.format(labels=literal))


def _format_compliance(context: PresetContext) -> JsonDict:
    if not context.json_fields:
        raise GraderError("this preset needs the names of the fields an answer must have.", "preset")
    fields = json.dumps(context.json_fields, ensure_ascii=False)
    return {
        "type": "multi",
        "name": "format_compliance",
        "graders": {
            "valid_json": _python("valid_json", _JSON_SOURCE),
            "required_fields": _python("required_fields", _FIELDS_SOURCE.format(fields=fields)),
        },
        "calculate_output": "0.5 * valid_json + 0.5 * required_fields",
    }


def _conciseness(context: PresetContext) -> JsonDict:
    target = max(1, context.typical_answer_chars)
    return {
        "type": "multi",
        "name": "conciseness",
        "graders": {
            "answered": _python("answered", _ANSWERED_SOURCE),
            "brevity": _python("brevity", _BREVITY_SOURCE.format(target=target)),
        },
        # brevity counts only where there is an answer, or saying nothing would score 0.4
        "calculate_output": "answered * (0.6 + 0.4 * brevity)",
    }


def _python(name: str, source: str) -> JsonDict:
    return {"type": "python", "name": name, "source": source}


PRESETS: tuple[Preset, ...] = (
    Preset(
        slug="exact_label",
        title="Exact label",
        measures="1 where the answer is exactly the reference answer, else 0.",
        needs="A reference answer in each record.",
        _available=lambda context: context.reference_count,
        _build=_exact_label,
    ),
    Preset(
        slug="label_partial_credit",
        title="Label with partial credit",
        measures="1 for the right label alone, less for the right label among other words, a wrong label or several.",
        needs="A reference answer in each record; the labels are taken from them.",
        _available=lambda context: context.reference_count if context.labels else 0,
        _build=_label_partial_credit,
    ),
    Preset(
        slug="format_compliance",
        title="Format compliance",
        measures="Half for an answer that is a JSON object, half for the share of required fields it has.",
        needs="The names of the fields an answer must have; no reference answer.",
        _available=lambda context: context.total if context.json_fields else 0,
        _build=_format_compliance,
    ),
    Preset(
        slug="conciseness",
        title="Conciseness",
        measures="0.6 for answering at all, up to 0.4 for staying within the usual length; blind to the content.",
        needs="Nothing but the question; the usual length is taken from the logged answers.",
        _available=lambda context: context.total,
        _build=_conciseness,
    ),
)

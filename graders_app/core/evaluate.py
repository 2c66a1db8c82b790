"""Runs a grader document on answers: ``with open_grader(config, judge=…) as grader: grader.grade(sample, item)``.

What a failure does to the score, by whose fault it is:

* The **answer's** fault (``sample_parse_error``: the grader reads ``sample.output_json`` and the answer is no JSON, or
  lacks the key): the component scores 0.0, and the error is listed. The reward is a number.
* The **grader's** fault (a variable the record lacks, a python error, a judge that fails or does not answer with a
  number): the component has no score and the error is listed. In a multi grader it enters the formula as 0, as on the
  hosted platforms; if no component has a score, or the formula fails, the reward is None: an error to be counted and
  shown, not a silent 0.

``sub_rewards`` holds the components that have a score. A multi grader's reward is what its formula gives, which may lie
outside 0..1 if the author wrote it so; every component lies in 0..1 (a judge's ``range`` is mapped to it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rft_project.platforms.types import JsonDict, Usage, make_item

from .components import Component, Issue, Judge, JudgeAnswer, JudgeError, Pair, Question, Score, open_component
from .formula import Formula, FormulaError, parse_formula
from .jail import JailUnavailable, Limits
from .samples import make_sample
from .spec import GraderError, GraderSpec, MultiSpec, children, parse_grader

__all__ = [
    "Grader",
    "GraderError",
    "GraderIssue",
    "GraderResult",
    "JailUnavailable",
    "Judge",
    "JudgeAnswer",
    "JudgeError",
    "Limits",
    "Pair",
    "Question",
    "make_item",
    "make_sample",
    "open_grader",
]


@dataclass(frozen=True, slots=True)
class GraderIssue:
    """One thing that went wrong. ``kind`` is the field's name for it; ``component`` the child's key ('': the whole).

    Kinds: invalid_variable_error, sample_parse_error, python_grader_runtime_error, python_grader_server_error,
    model_grader_parse_error, model_grader_server_error, model_grader_refusal_error, formula_parse_error, other_error.
    ``line``: of a python grader's source, counted from 1.
    """

    kind: str
    message: str
    component: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class GraderResult:
    """``reward`` is None where nothing could be computed. ``usage``: judge tokens by model; ``notes``: its words."""

    reward: float | None
    sub_rewards: dict[str, float] = field(default_factory=dict)
    errors: list[GraderIssue] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Grader:
    """An open grader. Thread-safe: judges run side by side, a python grader takes one sample or batch at a time."""

    def __init__(self, spec: GraderSpec, components: dict[str, Component]) -> None:
        self.spec = spec
        self._components = components
        self._formula: Formula | None = parse_formula(spec.calculate_output) if isinstance(spec, MultiSpec) else None

    def grade(self, sample: JsonDict, item: JsonDict) -> GraderResult:
        """Result of one answer. Does not raise for what an answer, a record, a judge or python code does."""
        return self.grade_many([(sample, item)])[0]

    def grade_many(self, pairs: Sequence[Pair]) -> list[GraderResult]:
        """Results in order. Each component runs over the whole batch, which is what makes python graders fast."""
        columns = {name: component.grade_many(pairs) for name, component in self._components.items()}
        return [self._combine({name: scores[row] for name, scores in columns.items()}) for row in range(len(pairs))]

    def _combine(self, scores: dict[str, Score]) -> GraderResult:
        multi = self._formula is not None
        errors = [_issue(score.issue, name if multi else "") for name, score in scores.items() if score.issue]
        values = {name: score.value for name, score in scores.items() if score.value is not None}
        usage: dict[str, Usage] = {}
        for score in scores.values():
            if score.usage is not None:
                usage[score.model] = _plus(usage.get(score.model, Usage()), score.usage)
        reward: float | None = None
        if values and self._formula is None:
            reward = next(iter(values.values()))
        elif values and self._formula is not None:
            try:
                reward = self._formula.evaluate({name: values.get(name, 0.0) for name in scores})
            except FormulaError as error:
                errors.append(GraderIssue("formula_parse_error", f"calculate_output: {error}."))
        notes = {name: score.note for name, score in scores.items() if score.note}
        return GraderResult(reward, values, errors, usage, notes)


@contextmanager
def open_grader(
    config: JsonDict | GraderSpec,
    *,
    judge: Judge | None = None,
    limits: Limits | None = None,
    raw_judges: bool = False,
) -> Iterator[Grader]:
    """Open a grader and everything it needs; python graders start their process here and keep it warm.

    ``raw_judges``: a judge's score is its own number, as the hosted platforms have it, not mapped to 0..1.

    Raises GraderError (naming the field) for a wrong document, for python source that cannot be loaded and for a judge
    grader without ``judge``; JailUnavailable where this machine cannot hold a python grader.
    """
    spec = parse_grader(config) if isinstance(config, dict) else config
    multi = isinstance(spec, MultiSpec)
    with ExitStack() as stack:
        components: dict[str, Component] = {}
        for name, child in children(spec).items():
            prefix = f"graders.{name}." if multi else ""
            components[name] = stack.enter_context(open_component(child, prefix, judge, limits, raw_judges))
        yield Grader(spec, components)


def _issue(issue: Issue, component: str) -> GraderIssue:
    return GraderIssue(issue.kind, issue.message, component, issue.line)


def _plus(left: Usage, right: Usage) -> Usage:
    return Usage(
        prompt_tokens=left.prompt_tokens + right.prompt_tokens,
        completion_tokens=left.completion_tokens + right.completion_tokens,
    )

"""One scoring part of a grader, by type: text in, ``Score`` out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rft_project.platforms.types import JsonDict, Message, Usage

from .errors import GraderError
from .jail import JailReply, Limits, PythonJail, SourceRefused
from .judgement import JUDGE_SCHEMA, read_judgement
from .similarity import similarity
from .spec import ChildSpec, PythonSpec, ScoreModelSpec, StringCheckSpec, TextSimilaritySpec
from .templates import TemplateError, compile_template

Pair = tuple[JsonDict, JsonDict]  # sample, item


@dataclass(frozen=True, slots=True)
class Issue:
    kind: str
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` in 0..1, or None where there is none; an ``issue`` may come with either."""

    value: float | None
    issue: Issue | None = None
    model: str = ""
    usage: Usage | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """What a judge said: its text (JSON by the schema, or a bare number), with the tokens it took when it was asked."""

    text: str
    usage: Usage = field(default_factory=Usage)


class JudgeError(Exception):
    """A judge that did not answer; ``str(error)`` is a sentence. ``refused``: it would not, rather than could not."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is asked: ``messages`` for ``model``, to be answered by ``schema`` (``json_schema`` of a response
    format)."""

    messages: list[Message]
    model: str
    schema: JsonDict
    sampling_params: JsonDict


class Judge(Protocol):
    """Asks a model. Given by the caller, so that no network lives here; called from the thread that grades."""

    def __call__(self, questions: Sequence[Question]) -> Sequence[JudgeAnswer | JudgeError]:
        """An answer per question, in order; a question that failed gets its error. Raises nothing of its own."""


class Component(Protocol):
    def grade_many(self, pairs: Sequence[Pair]) -> list[Score]:
        """A score per pair, in order."""


@contextmanager
def open_component(
    spec: ChildSpec, prefix: str, judge: Judge | None, limits: Limits | None, raw_judges: bool
) -> Iterator[Component]:
    """The running form of ``spec``; ``prefix`` (``graders.label.``) goes before field names in errors."""
    if isinstance(spec, StringCheckSpec | TextSimilaritySpec):
        yield TextComponent(spec)
    elif isinstance(spec, ScoreModelSpec):
        if judge is None:
            raise GraderError("a judge needs a connection to ask, and none is given.", f"{prefix}model")
        yield JudgeComponent(spec, judge, raw=raw_judges)
    else:
        with open_jail(spec, prefix, limits) as jail:
            yield PythonComponent(jail)


@contextmanager
def open_jail(spec: PythonSpec, prefix: str, limits: Limits | None) -> Iterator[PythonJail]:
    try:
        jail = PythonJail(spec.source, limits=limits).open()
    except SourceRefused as error:
        raise GraderError(f"{str(error).rstrip('.')}.", f"{prefix}source") from None
    try:
        yield jail
    finally:
        jail.close()


class TextComponent:
    """string_check and text_similarity: two templates and a comparison."""

    def __init__(self, spec: StringCheckSpec | TextSimilaritySpec) -> None:
        self._spec = spec
        self._input = compile_template(spec.input)
        self._reference = compile_template(spec.reference)

    def grade_many(self, pairs: Sequence[Pair]) -> list[Score]:
        return [self._grade(sample, item) for sample, item in pairs]

    def _grade(self, sample: JsonDict, item: JsonDict) -> Score:
        try:
            text, reference = self._input.render(sample, item), self._reference.render(sample, item)
            return Score(self._compare(text, reference))
        except TemplateError as error:
            return _unresolved(error, sample)
        except ValueError as error:
            return Score(None, Issue("other_error", f"{error}."))

    def _compare(self, text: str, reference: str) -> float:
        spec = self._spec
        if isinstance(spec, TextSimilaritySpec):
            return similarity(spec.evaluation_metric, text, reference)
        if spec.operation == "eq":
            return float(text == reference)
        if spec.operation == "ne":
            return float(text != reference)
        if spec.operation == "like":
            return float(reference in text)
        return float(reference.casefold() in text.casefold())


class PythonComponent:
    def __init__(self, jail: PythonJail) -> None:
        self._jail = jail

    def grade_many(self, pairs: Sequence[Pair]) -> list[Score]:
        return [_from_jail(reply) for reply in self._jail.grade_many(pairs)]


def _from_jail(reply: JailReply) -> Score:
    if reply.score is not None:
        return Score(reply.score)
    kind = "python_grader_server_error" if reply.ours else "python_grader_runtime_error"
    return Score(None, Issue(kind, reply.error, reply.line))


class JudgeComponent:
    """score_model. The answer is clipped to ``range``, as on the platforms, and mapped to 0..1 unless ``raw``."""

    def __init__(self, spec: ScoreModelSpec, judge: Judge, *, raw: bool) -> None:
        self._spec = spec
        self._judge = judge
        self._raw = raw

    def grade_many(self, pairs: Sequence[Pair]) -> list[Score]:
        asked = [self._question(sample, item) for sample, item in pairs]
        questions = [entry for entry in asked if isinstance(entry, Question)]
        answers = iter(self._judge(questions) if questions else ())
        return [self._score(next(answers)) if isinstance(entry, Question) else entry for entry in asked]

    def _question(self, sample: JsonDict, item: JsonDict) -> Question | Score:
        spec = self._spec
        try:
            messages = [_message(message.role, message.content, sample, item) for message in spec.input]
        except TemplateError as error:
            return _unresolved(error, sample)
        return Question(messages, spec.model, JUDGE_SCHEMA, dict(spec.sampling_params or {}))

    def _score(self, answer: JudgeAnswer | JudgeError) -> Score:
        spec = self._spec
        if isinstance(answer, JudgeError):
            kind = "model_grader_refusal_error" if answer.refused else "model_grader_server_error"
            return Score(None, Issue(kind, str(answer)))
        number, note = read_judgement(answer.text)
        if number is None:
            shown = answer.text.strip()[:120]
            issue = Issue("model_grader_parse_error", f"The judge did not answer with a number but with {shown!r}.")
            return Score(None, issue, spec.model, answer.usage, note)
        low, high = spec.bounds
        value = min(high, max(low, number))
        value = value if self._raw else (value - low) / (high - low)
        return Score(value, None, spec.model, answer.usage, note)


def _message(role: str, content: Any, sample: JsonDict, item: JsonDict) -> Message:
    def fill(part: Any) -> Any:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return {**part, "text": compile_template(part["text"]).render(sample, item)}
        return part

    if isinstance(content, str):
        return {"role": role, "content": compile_template(content).render(sample, item)}
    return {"role": role, "content": [fill(part) for part in (content if isinstance(content, list) else [content])]}


def _unresolved(error: TemplateError, sample: JsonDict) -> Score:
    """A variable that is not there: the answer's fault under ``sample.output_json``, else the grader's."""
    if error.variable.startswith("sample.output_json"):
        why = "is not JSON" if sample.get("output_json") is None else f"has no {{{{{error.variable}}}}}"
        return Score(0.0, Issue("sample_parse_error", f"The answer {why}."))
    kind = "invalid_variable_error" if error.variable else "other_error"
    return Score(None, Issue(kind, f"{error}."))

"""Runs a grader document where this application is not: in a Lambda function, in a plain Python file.

Standard library only, Python 3.10 or later. Templates, formula, metrics and the reading of a judge are the engine's own
modules, shipped beside this one; what is written again here is the walk over a document, because the engine's has typed
specs, a jail and connections around it. A test grades the same answers with both.

The document was validated when it was compiled; here it is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graders_app.core.formula import FormulaError, parse_formula
from graders_app.core.judgement import JUDGE_SCHEMA, read_judgement
from graders_app.core.templates import TemplateError, compile_template

from .python_part import PythonPart

Pair = tuple[dict[str, Any], dict[str, Any]]  # sample, item
#: Questions (``messages``, ``model``, ``schema``, ``sampling_params``) to an answer's text each, or what went wrong.
AskJudge = Callable[[Sequence[dict[str, Any]]], Sequence["str | Exception"]]


@dataclass(frozen=True)
class Score:
    """``value`` in 0..1 or None; ``problem``: ``kind``, ``message`` and ``line`` of what went wrong, or None."""

    value: float | None
    problem: dict[str, Any] | None = None
    note: str = ""


def failed(kind: str, message: str, line: int | None = None, value: float | None = None) -> Score:
    return Score(value, {"kind": kind, "message": message, "line": line})


class CompiledGrader:
    """``grade(sample, item)`` of one document. ``judge`` asks a model; without it a judged part has no score."""

    def __init__(self, config: dict[str, Any], judge: AskJudge | None = None) -> None:
        self.config = config
        multi = config["type"] == "multi"
        children = config["graders"] if multi else {config["name"]: config}
        self._parts = {name: _part(child, judge) for name, child in children.items()}
        self._formula = parse_formula(config["calculate_output"]) if multi else None

    def grade(self, sample: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
        """``reward`` (None where there is none), ``sub_rewards``, ``errors`` and the judge's words as ``notes``."""
        return self.grade_many([(sample, item)])[0]

    def grade_many(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        columns = {name: part(pairs) for name, part in self._parts.items()}
        return [self._combine({name: scores[row] for name, scores in columns.items()}) for row in range(len(pairs))]

    def _combine(self, scores: dict[str, Score]) -> dict[str, Any]:
        formula = self._formula
        errors = [
            {**score.problem, "component": name if formula else ""} for name, score in scores.items() if score.problem
        ]
        values = {name: score.value for name, score in scores.items() if score.value is not None}
        reward: float | None = None
        if values and formula is None:
            reward = next(iter(values.values()))
        elif values and formula is not None:
            try:
                reward = formula.evaluate({name: values.get(name, 0.0) for name in scores})
            except FormulaError as error:
                message = f"calculate_output: {error}."
                errors.append({"kind": "formula_parse_error", "message": message, "line": None, "component": ""})
        notes = {name: score.note for name, score in scores.items() if score.note}
        return {"reward": reward, "sub_rewards": values, "errors": errors, "notes": notes}


Part = Callable[[Sequence[Pair]], "list[Score]"]


def _part(config: dict[str, Any], judge: AskJudge | None) -> Part:
    kind = config["type"]
    if kind == "python":
        return _python(config)
    if kind == "score_model":
        return _judged(config, judge)
    compare = _similar(config["evaluation_metric"]) if kind == "text_similarity" else _CHECKS[config["operation"]]
    filled, reference = compile_template(config["input"]), compile_template(config["reference"])

    def grade(sample: dict[str, Any], item: dict[str, Any]) -> Score:
        try:
            return Score(compare(filled.render(sample, item), reference.render(sample, item)))
        except TemplateError as error:
            return _unresolved(error, sample)
        except ValueError as error:
            return failed("other_error", f"{error}.")

    return lambda pairs: [grade(sample, item) for sample, item in pairs]


_CHECKS: dict[str, Callable[[str, str], float]] = {
    "eq": lambda text, reference: float(text == reference),
    "ne": lambda text, reference: float(text != reference),
    "like": lambda text, reference: float(reference in text),
    "ilike": lambda text, reference: float(reference.casefold() in text.casefold()),
}


def _similar(metric: str) -> Callable[[str, str], float]:
    from graders_app.core.similarity import similarity  # noqa: PLC0415 - a file without this type ships without the metrics

    return lambda text, reference: similarity(metric, text, reference)


def _python(config: dict[str, Any]) -> Part:
    part = PythonPart(config["source"])

    def grade(pairs: Sequence[Pair]) -> list[Score]:
        return [
            Score(reply.score) if reply.score is not None else failed(reply.kind, reply.error, reply.line)
            for reply in part.grade_many(pairs)
        ]

    return grade


def _judged(config: dict[str, Any], judge: AskJudge | None) -> Part:
    def grade(pairs: Sequence[Pair]) -> list[Score]:
        asked = [_question(config, sample, item) for sample, item in pairs]
        questions = [entry for entry in asked if isinstance(entry, dict)]
        if judge is None:
            answers: Sequence[str | Exception] = [RuntimeError("There is no judge here to ask.")] * len(questions)
        else:
            answers = judge(questions) if questions else []
        given = iter(answers)
        return [_judgement(config, next(given)) if isinstance(entry, dict) else entry for entry in asked]

    return grade


def _question(config: dict[str, Any], sample: dict[str, Any], item: dict[str, Any]) -> dict[str, Any] | Score:
    try:
        messages = [
            {"role": message["role"], "content": _filled(message["content"], sample, item)}
            for message in config["input"]
        ]
    except TemplateError as error:
        return _unresolved(error, sample)
    params = config.get("sampling_params") or {}
    return {"messages": messages, "model": config["model"], "schema": JUDGE_SCHEMA, "sampling_params": params}


def _filled(content: Any, sample: dict[str, Any], item: dict[str, Any]) -> Any:
    if isinstance(content, str):
        return compile_template(content).render(sample, item)
    parts = content if isinstance(content, list) else [content]
    return [
        {**part, "text": compile_template(part["text"]).render(sample, item)}
        if isinstance(part, dict) and isinstance(part.get("text"), str)
        else part
        for part in parts
    ]


def _judgement(config: dict[str, Any], answer: str | Exception) -> Score:
    if isinstance(answer, Exception):
        return failed("model_grader_server_error", str(answer))
    number, note = read_judgement(answer)
    if number is None:
        shown = answer.strip()[:120]
        score = failed("model_grader_parse_error", f"The judge did not answer with a number but with {shown!r}.")
        return Score(None, score.problem, note)
    low, high = map(float, config.get("range") or (0.0, 1.0))
    return Score((min(high, max(low, number)) - low) / (high - low), None, note)


def _unresolved(error: TemplateError, sample: dict[str, Any]) -> Score:
    """The answer's fault under ``sample.output_json``, which scores 0; else the grader's, which has no score."""
    if error.variable.startswith("sample.output_json"):
        why = "is not JSON" if sample.get("output_json") is None else f"has no {{{{{error.variable}}}}}"
        return failed("sample_parse_error", f"The answer {why}.", value=0.0)
    return failed("invalid_variable_error" if error.variable else "other_error", f"{error}.")

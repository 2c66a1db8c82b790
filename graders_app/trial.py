"""Trying a grader on one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graders_app.core.evaluate import (
    GraderError,
    GraderIssue,
    GraderResult,
    Judge,
    JudgeError,
    Limits,
    Question,
    make_sample,
    open_grader,
)
from graders_app.core.jail import JailUnavailable, probe
from graders_app.core.spec import GraderSpec, PythonSpec, children
from rft_project.platforms.types import JsonDict

from .documents import complete_item

#: A person waits for the answer of a page: start-up gets less time than in a job.
LIMITS = Limits(wall_seconds=2.0, boot_seconds=15.0)


def no_judge(questions: Sequence[Question]) -> list[JudgeError]:
    """The judge where there is no connection: it says so, and the other components are graded."""
    return [JudgeError(f"No connection is given to ask the judge {question.model}.") for question in questions]


@dataclass(frozen=True)
class Line:
    """One component's result: ``score`` None where it has none."""

    name: str
    score: float | None
    problems: list[tuple[str, str, str]]  # (kind, sentence, line of source)
    note: str = ""  # a judge's words


@dataclass(frozen=True)
class Trial:
    """One scored answer, for reading; ``problem`` is a sentence where nothing could be graded at all."""

    result: GraderResult | None = None
    lines: tuple[Line, ...] = ()
    whole: tuple[tuple[str, str, str], ...] = ()  # problems of no single component
    problem: str = ""
    note: str = ""  # the judge's words where it is the whole grader


def run_trial(
    spec: GraderSpec,
    answer: str,
    item: JsonDict,
    *,
    tool_calls: list[JsonDict] | None = None,
    judge: Judge = no_judge,
    limits: Limits = LIMITS,
) -> Trial:
    """Score ``answer`` to ``item``. Does not raise for what the grader, the answer or the machine does."""
    try:
        with open_grader(spec, judge=judge, limits=limits) as grader:
            result = grader.grade(make_sample(answer, tool_calls), complete_item(item))
    except (GraderError, JailUnavailable) as error:
        return Trial(problem=str(error))
    sources = _sources(spec)
    if spec.type != "multi":
        whole = tuple(_problem(issue, sources) for issue in result.errors)
        return Trial(result, (), whole, note=next(iter(result.notes.values()), ""))
    lines = [
        Line(
            name,
            result.sub_rewards.get(name),
            [_problem(issue, sources) for issue in result.errors if issue.component == name],
            result.notes.get(name, ""),
        )
        for name in children(spec)
    ]
    return Trial(
        result, tuple(lines), tuple(_problem(issue, sources) for issue in result.errors if not issue.component)
    )


def jail_problem(spec: GraderSpec, *, limits: Limits = LIMITS) -> str:
    """Why this machine cannot run the grader's python parts; '' where it can or there are none."""
    if not _sources(spec):
        return ""
    try:
        probe().require(limits.memory_bytes)
    except JailUnavailable as error:
        return str(error)
    return ""


def _sources(spec: GraderSpec) -> dict[str, str]:
    multi = spec.type == "multi"
    return {
        name if multi else "": child.source for name, child in children(spec).items() if isinstance(child, PythonSpec)
    }


def _problem(issue: GraderIssue, sources: dict[str, str]) -> tuple[str, str, str]:
    lines = sources.get(issue.component, "").splitlines()
    there = issue.line is not None and issue.line <= len(lines)
    return issue.kind, issue.message, lines[issue.line - 1].strip() if there and issue.line else ""

"""One line of a file of answers: read, graded, and written as one line of results. No Django, no database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from graders_app.core.errors import GraderError
from graders_app.core.evaluate import Grader, GraderResult, Pair, make_sample
from rft_project.platforms.types import JsonDict

from .documents import complete_item, read_object

MAX_LINE = 16 << 20  # bytes
UNREADABLE = "unreadable_line"


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read: ``raw`` is None where it is too long; ``size`` in bytes."""

    number: int
    raw: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class Graded:
    """What is written for a line, and what the report counts; ``problem``: why it could not be read."""

    text: str
    reward: float | None
    kinds: tuple[str, ...] = ()
    problem: str = ""


def grade_lines(grader: Grader, lines: Sequence[Line]) -> list[Graded]:
    """One result per line, in order."""
    read = [_read(line) for line in lines]
    results = iter(grader.grade_many([pair for pair in read if not isinstance(pair, str)]))
    return [_unreadable(pair) if isinstance(pair, str) else _graded(next(results)) for pair in read]


def _graded(result: GraderResult) -> Graded:
    errors = [asdict(issue) for issue in result.errors]
    text = _json({"reward": result.reward, "sub_rewards": result.sub_rewards, "errors": errors})
    return Graded(text, result.reward, tuple(issue.kind for issue in result.errors))


def _unreadable(problem: str) -> Graded:
    errors: list[JsonDict] = [{"kind": UNREADABLE, "message": problem, "component": "", "line": None}]
    return Graded(_json({"reward": None, "sub_rewards": {}, "errors": errors}), None, (UNREADABLE,), problem)


def _read(line: Line) -> Pair | str:
    """What to grade, or the sentence that says why the line cannot be read."""
    if line.raw is None:
        return f"Line {line.number}: it is longer than {MAX_LINE >> 20} MB."
    try:
        return _pair(read_object(line.raw.decode("utf-8-sig" if line.number == 1 else "utf-8")))
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text."
    except GraderError as error:
        problem = str(error)
    return f"Line {line.number}: {problem}"


def _pair(row: JsonDict) -> Pair:
    item, sample = row.get("item"), row.get("sample")
    if not isinstance(item, dict):
        raise GraderError("give the record as a JSON object.", "item")
    if not isinstance(sample, dict):
        raise GraderError("give the answer as a JSON object with output_text.", "sample")
    text, tools = sample.get("output_text", ""), sample.get("output_tools")
    if not isinstance(text, str) or ("output_text" not in sample and not tools):
        raise GraderError("give the answer's text.", "sample.output_text")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise GraderError("give a list of tool calls.", "sample.output_tools")
    given = {key: value for key, value in sample.items() if key not in ("output_text", "output_tools")}
    return {**make_sample(text, tools), **given}, complete_item(item)


def _json(value: JsonDict) -> str:
    return json.dumps(value) + "\n"

"""The command of a grader that was written as a plain Python file: JSON lines in, scores out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from graders_app.core.samples import make_sample

from .runtime import AskJudge, CompiledGrader

BATCH = 256
USAGE = 'Give one file of lines {"item": {…}, "sample": {"output_text": "…"}}, or pipe them in; scores come out.'

Pair = tuple[dict[str, Any], dict[str, Any]]


def run(config: dict[str, Any], arguments: list[str], judge: AskJudge | None = None) -> int:
    """Grade a file or standard input, a line of JSON per answer. Exit code: 1 where an answer got no score."""
    if len(arguments) > 1 or (arguments and arguments[0] in ("-h", "--help")):
        sys.stderr.write(USAGE + "\n")
        return 2
    grader = CompiledGrader(config, judge)
    if not arguments:
        return _grade(grader, sys.stdin)
    with open(arguments[0], encoding="utf-8-sig") as lines:  # noqa: PTH123 - a name as the caller gave it
        return _grade(grader, lines)


def pair_of(row: Any) -> Pair:
    """``sample`` and ``item`` of one line. Raises ValueError, a sentence."""
    item = row.get("item") if isinstance(row, dict) else None
    sample = row.get("sample") if isinstance(row, dict) else None
    if not isinstance(item, dict) or not isinstance(sample, dict):
        raise ValueError("give the record as item and the answer as sample, both JSON objects")
    text, tools = sample.get("output_text", ""), sample.get("output_tools")
    if not isinstance(text, str) or ("output_text" not in sample and not tools):
        raise ValueError("give the answer's text as sample.output_text")
    given = {name: value for name, value in sample.items() if name not in ("output_text", "output_tools")}
    return {**make_sample(text, tools), **given}, _complete(item)


def _complete(item: dict[str, Any]) -> dict[str, Any]:
    messages = item.get("messages")
    if "user_message" in item or not isinstance(messages, list):
        return item
    asked = [message for message in messages if isinstance(message, dict) and message.get("role") == "user"]
    return {**item, "user_message": text_of(asked[-1].get("content")) if asked else ""}


def text_of(content: Any) -> str:
    """A content as it is, of a list of parts the texts by line, else ''."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _grade(grader: CompiledGrader, lines: Iterable[str]) -> int:
    missing, batch = 0, []
    for line in lines:
        if line.strip():
            batch.append(_read(line))
        if len(batch) == BATCH:
            missing += _write(grader, batch)
            batch = []
    return 1 if missing + _write(grader, batch) else 0


def _read(line: str) -> Pair | str:
    try:
        return pair_of(json.loads(line))
    except (ValueError, RecursionError) as error:
        return f"{error}."


def _write(grader: CompiledGrader, batch: list[Pair | str]) -> int:
    """Writes a line per line; how many have no reward."""
    results = iter(grader.grade_many([entry for entry in batch if not isinstance(entry, str)]))
    missing = 0
    for entry in batch:
        result = _unreadable(entry) if isinstance(entry, str) else next(results)
        missing += result["reward"] is None
        sys.stdout.write(json.dumps(result) + "\n")
    return missing


def _unreadable(message: str) -> dict[str, Any]:
    problem = {"kind": "unreadable_line", "message": message, "line": None, "component": ""}
    return {"reward": None, "sub_rewards": {}, "errors": [problem], "notes": {}}

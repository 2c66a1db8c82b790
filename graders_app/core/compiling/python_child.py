"""The process of one python grader, outside the application: ``python -I -c <this text>``, JSON lines in and out.

The first line in is the source; it answers ``ready`` or ``refused``, then a line per sample. It has no environment, so
neither has the grader: the credentials of the function around it stay there.
"""

from __future__ import annotations

import json
import os
import sys
from numbers import Real
from typing import Any

FILE_NAME = "<grader>"
MAX_ERROR_CHARS = 500


def main() -> None:
    dumps, loads, requests = json.dumps, json.loads, sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what the grader prints is swallowed
    os.dup2(nowhere, 2)
    write, readline = replies.write, requests.readline
    namespace: dict[str, Any] = {"__name__": "grader"}
    try:
        exec(compile(loads(readline())["source"], FILE_NAME, "exec", dont_inherit=True), namespace)
        grade = namespace["grade"]
        write(b'{"ready": true}\n')
    except BaseException as problem:
        write(dumps({"refused": explain(problem), "line": line_of(problem)}).encode() + b"\n")
        return
    while line := readline():
        request = loads(line)
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["score"] = number(grade(request["sample"], request["item"]))
        except BaseException as problem:
            reply["error"] = explain(problem)
            reply["line"] = line_of(problem)
        write(dumps(reply).encode() + b"\n")


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        hint = ", write float(...) around it" if isinstance(value, bool) else ""
        raise TypeError(f"grade must return a number, not {type(value).__name__}{hint}")
    found = float(value)
    if found != found or found in (float("inf"), float("-inf")):
        raise ValueError(f"grade returned {found}, which is not a finite number")
    return found


def explain(problem: BaseException) -> str:
    """``KeyError: 'label'``; an exception whose own text fails is named by its type."""
    try:
        kind = type(problem).__name__
        text = str(problem)[:MAX_ERROR_CHARS]
        return f"{kind}: {text}"[:MAX_ERROR_CHARS] if text else kind[:MAX_ERROR_CHARS]
    except BaseException:
        return "an error without a readable text"


def line_of(problem: BaseException) -> int | None:
    """Line of the grader's own source that failed, the innermost one."""
    if isinstance(problem, SyntaxError):
        return problem.lineno
    found = None
    trace = problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


if __name__ == "__main__":
    main()

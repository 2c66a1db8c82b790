"""What a judge is asked to answer with, and how its answer is read. Standard library only: compiled graders ship it."""

from __future__ import annotations

import json
import math
from typing import Any

#: What the hosted platforms force a judge to answer with.
JUDGE_SCHEMA: dict[str, Any] = {
    "name": "grade",
    "strict": True,
    "schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["steps", "result"],
        "properties": {
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["description", "conclusion"],
                    "properties": {"description": {"type": "string"}, "conclusion": {"type": "string"}},
                },
            },
            "result": {"type": "number"},
        },
    },
}
MAX_NOTE_CHARS = 4_000


def read_judgement(text: str) -> tuple[float | None, str]:
    """The score and the words of a judge: ``{"result": 0.5, "steps": […]}`` or a bare number."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, text.strip()[:MAX_NOTE_CHARS]
    note = ""
    if isinstance(value, dict):
        note = _words(value)
        value = value.get("result")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, note
    try:
        number = float(value)
    except OverflowError:
        return None, note
    return (number if math.isfinite(number) else None), note


def _words(judgement: dict[str, Any]) -> str:
    steps = judgement.get("steps")
    lines: list[str] = []
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict):
            words = [step[key] for key in ("description", "conclusion") if isinstance(step.get(key), str)]
            lines.append(": ".join(words))
    return "\n".join(line for line in lines if line)[:MAX_NOTE_CHARS]

"""Where a grader can go, and the file it becomes there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from graders_app.core.errors import GraderError
from rft_project.platforms.types import JsonDict

from .documents import PLATFORMS, openai_document
from .packing import lambda_zip, python_file


@dataclass(frozen=True, slots=True)
class Target:
    """``sentence`` says what the file is for."""

    slug: str
    title: str
    sentence: str
    suffix: str
    media_type: str


_JSON = ("json", "application/json")
TARGETS = {
    target.slug: target
    for target in (
        Target("openai", "JSON for OpenAI", "The document, checked by OpenAI's published rules.", *_JSON),
        Target("azure", "JSON for Azure", "The document, checked by Azure's published rules.", *_JSON),
        Target(
            "bedrock",
            "Zip for Bedrock",
            "A Lambda function for Bedrock's reward function: upload it as it is, give it a time-out of minutes.",
            "zip",
            "application/zip",
        ),
        Target(
            "python",
            "Python file",
            "One file that grades lines of JSON on any machine with Python 3.10 or later; it asks no judge.",
            "py",
            "text/x-python",
        ),
    )
}


def compile_grader(config: JsonDict, target: str, *, judge_model: str = "") -> bytes:
    """The file of ``config`` for ``target``, a key of TARGETS; the same bytes each time.

    ``judge_model`` takes the place of the role ``judge``. Raises GraderError with a sentence naming the field.
    """
    if target in PLATFORMS:
        document = openai_document(config, platform=target, judge_model=judge_model)
        return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
    if target == "bedrock":
        return lambda_zip(config, judge_model=judge_model)
    if target == "python":
        return python_file(config).encode()
    raise GraderError(f"choose one of {', '.join(TARGETS)}.", "target")

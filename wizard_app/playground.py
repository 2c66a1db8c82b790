"""One prompt, two models, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from datasets_app import consent
from rft_project.connections.services import platform_for
from rft_project.platforms.types import Message, SampleRequest

from .attempts import as_trained
from .items import VALID
from .jobs.evaluate import evaluation_plan
from .models import RFTJob


@dataclass(frozen=True)
class Answers:
    prompt: str
    base: str
    tuned: str


def framing(run: RFTJob) -> list[Message]:
    """What stands before the user's words in this run's records: the system prompt and the example turns they share."""
    assert run.snapshot is not None
    talks = [item.trace.messages for item in run.snapshot.items.filter(part=VALID).order_by("pk")[:20]]
    shared: list[Message] = []
    for position, message in enumerate(talks[0][:-1] if talks else []):
        if any(len(talk) - 1 <= position or talk[position] != message for talk in talks):
            break
        shared.append(message)
    # Examples come in pairs; a user turn without its answer would be part of the question.
    while shared and shared[-1].get("role") == "user":
        shared.pop()
    return shared


def ask(run: RFTJob, prompt: str, model: str = "") -> Answers:
    """Greedy answers of base and tuned model, or of another ``model`` of its training.

    Raises PlatformError, and Unasked where nobody may see the framing.
    """
    run = as_trained(run)
    consent.ask_first(consent.about_snapshot(run.frozen, run.platform_connection), by=None)
    platform = platform_for(run.platform_connection)
    messages = [*framing(run), {"role": "user", "content": prompt}]
    texts = []
    for asked in (run.base_model, model or run.tuned_model):
        plan = evaluation_plan(run, asked)
        request = SampleRequest(
            model=asked,
            messages=messages,
            temperature=0.0,
            max_tokens=plan.max_tokens,
            allowed_answers=plan.allowed,
            reasoning_effort=plan.effort,
            response_format=plan.form,
        )
        texts.append(platform.sample(request).answers[0].text)
    return Answers(prompt, *texts)

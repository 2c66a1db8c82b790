"""A training job's whole life at OpenAI: pauses, every number it tells, result files, tools, structured answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from rft_project.platforms import Platform, PlatformError, build
from rft_project.platforms.types import Handle, SampleRequest, State, TrainingEvent, TrainingRequest, TrainingStatus
from tests.emulators import openai
from tests.emulators.openai import Fault, OpenAIEmulator
from tests.engine.process import EXACT, LABELS, rows

JUDGE = {
    "type": "score_model",
    "name": "why",
    "model": "gpt-4.1-2025-04-14",
    "input": [{"role": "user", "content": "gold: {{item.reference_answer}}\ngot: {{sample.output_text}}"}],
}
JUDGED = {
    "type": "multi",
    "name": "total",
    "graders": {"exact": EXACT, "why": JUDGE},
    "calculate_output": "0.5 * exact + 0.5 * why",
}


@pytest.fixture
def platform(emulator: OpenAIEmulator) -> Platform:
    return build("openai", emulator.credentials)


def asked(**changes: Any) -> TrainingRequest:
    values: dict[str, Any] = {
        "key": f"jobs-{time.time_ns()}",
        "model": openai.TRAINABLE,
        "train_rows": rows(0, 4),
        "valid_rows": rows(4, 6),
        "grader": EXACT,
        "hyperparameters": {"n_epochs": 12},
    }
    return TrainingRequest(**{**values, **changes})


def until(platform: Platform, handle: Handle, ready: Callable[[TrainingStatus], bool]) -> TrainingStatus:
    deadline = time.monotonic() + 20
    while not ready(status := platform.training(handle)):
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    return status


def finished(platform: Platform, handle: Handle) -> TrainingStatus:
    return until(platform, handle, lambda status: status.state.final)


def told(events: list[TrainingEvent]) -> dict[int, dict[str, float]]:
    return {event.step: event.metrics for event in events if event.metrics and event.step is not None}


# Pause and resume


def test_a_job_is_paused_used_and_resumed(platform: Platform, emulator: OpenAIEmulator) -> None:
    emulator.step_seconds = 0.03
    handle = platform.start_training(asked(hyperparameters={"n_epochs": 20, "eval_interval": 50}))
    until(platform, handle, lambda _: bool(told(platform.events(handle).events)))
    platform.pause_training(handle)
    platform.pause_training(handle)
    status = until(platform, handle, lambda status: status.state is State.PAUSED)
    assert (status.word, status.model) == ("paused", None)
    steps = len(told(platform.events(handle).events))
    (checkpoint,) = platform.checkpoints(handle)
    assert checkpoint.step == steps
    assert platform.sample(SampleRequest(model=checkpoint.model, messages=[_user("x")])).answers
    platform.pause_training(handle)
    platform.resume_training(handle)
    platform.resume_training(handle)
    emulator.step_seconds = 0.0
    assert finished(platform, handle).state is State.SUCCEEDED
    assert sorted(told(platform.events(handle).events)) == list(range(1, 21))


def test_a_job_that_is_over_is_neither_paused_nor_resumed(platform: Platform) -> None:
    handle = platform.start_training(asked())
    finished(platform, handle)
    for turn in (platform.pause_training, platform.resume_training):
        with pytest.raises(PlatformError) as refusal:
            turn(handle)
        assert refusal.value.status == 400


def test_a_job_is_not_paused_before_its_first_step(platform: Platform, emulator: OpenAIEmulator) -> None:
    emulator.queue_seconds = 5.0
    handle = platform.start_training(asked())
    with pytest.raises(
        PlatformError, match=r"OpenAI refused: A job can be paused while it runs and after its first step"
    ):
        platform.pause_training(handle)
    assert platform.training(handle).state is State.QUEUED


def test_a_pause_that_ended_unclearly_may_be_asked_for_again(platform: Platform, emulator: OpenAIEmulator) -> None:
    emulator.step_seconds = 0.03
    handle = platform.start_training(asked(hyperparameters={"n_epochs": 50}))
    until(platform, handle, lambda _: bool(told(platform.events(handle).events)))
    emulator.faults = [Fault("POST", f"/fine_tuning/jobs/{handle.id}/pause", "500-after")]
    with pytest.raises(PlatformError) as failure:
        platform.pause_training(handle)
    assert failure.value.retryable
    platform.pause_training(handle)
    assert until(platform, handle, lambda status: status.state is State.PAUSED).word == "paused"
    platform.cancel_training(handle)
    assert platform.training(handle).state is State.CANCELLED


# Numbers


def test_every_number_of_a_step_becomes_a_series(platform: Platform, emulator: OpenAIEmulator) -> None:
    handle = platform.start_training(asked(grader=JUDGED, hyperparameters={"n_epochs": 12, "eval_interval": 3}))
    finished(platform, handle)
    series = told(platform.events(handle).events)
    always = {"train_reward", "reward:exact", "reward:why", "answer_tokens", "reasoning_tokens", "errors", "seconds"}
    always |= {"judge_prompt_tokens", "judge_completion_tokens"}
    validated = always | {"valid_reward", "valid_reward:exact", "valid_reward:why"}
    assert {step: set(metrics) for step, metrics in series.items()} == {
        step: validated if step % 3 == 0 else always for step in range(1, 13)
    }
    answers, validations = 8 * len(rows(0, 4)), len(rows(4, 6))
    assert series[1]["judge_prompt_tokens"] == pytest.approx(20 * answers)
    assert series[3]["judge_completion_tokens"] == pytest.approx(5 * (answers + validations))
    for step in series.values():
        assert step["train_reward"] == pytest.approx((step["reward:exact"] + step["reward:why"]) / 2)
    assert series[12]["valid_reward"] > series[1]["train_reward"] + 0.25


def test_gradings_that_fail_are_counted(platform: Platform) -> None:
    missing = {**EXACT, "name": "missing", "reference": "{{item.nowhere}}"}
    grader = {**JUDGED, "graders": {"exact": EXACT, "why": missing}}
    handle = platform.start_training(asked(grader=grader))
    assert finished(platform, handle).state is State.SUCCEEDED
    assert told(platform.events(handle).events)[1]["errors"] == 8 * len(rows(0, 4))


def test_a_grader_that_always_fails_ends_the_job(platform: Platform) -> None:
    handle = platform.start_training(asked(grader={**EXACT, "reference": "{{item.nowhere}}"}))
    status = finished(platform, handle)
    assert (status.state, status.model) == (State.FAILED, None)
    assert status.detail.startswith("The grader failed on every answer of a step: ")


def test_the_three_best_checkpoints_are_kept(platform: Platform, emulator: OpenAIEmulator) -> None:
    handle = platform.start_training(asked(hyperparameters={"n_epochs": 12, "eval_interval": 2}))
    finished(platform, handle)
    checkpoints = platform.checkpoints(handle)
    assert len(checkpoints) == 3
    events = told(platform.events(handle).events)
    worst = min(checkpoint.metrics["valid_reward"] for checkpoint in checkpoints)
    dropped = [m["valid_reward"] for step, m in events.items() if "valid_reward" in m]
    assert len(dropped) == 6
    assert sorted(dropped)[-3] <= worst
    assert {"train_reward", "valid_reward", "answer_tokens", "reasoning_tokens"} <= set(checkpoints[-1].metrics)


# Result files


@pytest.mark.parametrize("encoded", [False, True], ids=["csv", "base64"])
def test_a_silent_job_is_told_by_its_result_file(platform: Platform, emulator: OpenAIEmulator, encoded: bool) -> None:
    emulator.encoded_results = encoded
    handle = platform.start_training(asked())
    finished(platform, handle)
    expected = told(platform.events(handle).events)
    _hush(emulator, handle)
    page = platform.events(handle)
    names = ("train_reward", "valid_reward", "answer_tokens", "reasoning_tokens")
    assert {step: {k: m[k] for k in names if k in m} for step, m in told(page.events).items()} == {
        step: {k: pytest.approx(m[k]) for k in names if k in m} for step, m in expected.items()
    }
    again = platform.events(handle, page.cursor)
    assert (again.events, again.cursor) == ([], page.cursor)


def test_a_result_file_is_read_once_the_job_is_over(platform: Platform, emulator: OpenAIEmulator) -> None:
    """As training is looked at: the log up to a cursor, look after look."""
    emulator.step_seconds = 0.01
    handle = platform.start_training(asked())
    seen: list[TrainingEvent] = []
    cursor, final = None, False
    while not final:
        final = platform.training(handle).state.final
        _hush(emulator, handle)
        page = platform.events(handle, cursor)
        seen, cursor = [*seen, *page.events], page.cursor
    assert sorted(told(seen)) == list(range(1, 13))
    assert len({event.id for event in seen}) == len(seen)


def test_a_job_that_told_numbers_needs_no_result_file(platform: Platform, emulator: OpenAIEmulator) -> None:
    handle = platform.start_training(asked())
    finished(platform, handle)
    page = platform.events(handle)
    platform.events(handle, page.cursor)
    (file,) = emulator.jobs[handle.id]["result_files"]
    assert emulator.count("GET", f"/files/{file}/content") == 0


# Screening, failures inside


def test_safety_checks_are_lines_people_understand(platform: Platform, emulator: OpenAIEmulator) -> None:
    handle = platform.start_training(asked())
    finished(platform, handle)
    results = [{"category": "hate", "flagged": True}, {"category": "illicit", "flagged": False}]
    emulator.tell(emulator.jobs[handle.id], "Blocked", {"blocked": True, "results": results}, kind="moderation_checks")
    lines = [(e.level, e.message) for e in platform.events(handle).events if e.message.startswith("Safety check")]
    assert lines == [
        ("info", "Safety check: Moderation checks of the model passed."),
        ("error", "Safety check: Blocked. Objected to: hate."),
    ]


def test_a_failure_inside_after_a_checkpoint_leaves_a_model(platform: Platform, emulator: OpenAIEmulator) -> None:
    emulator.fails_at = 6
    handle = platform.start_training(asked())
    status = finished(platform, handle)
    assert (status.state, status.model) == (State.SUCCEEDED, platform.checkpoints(handle)[-1].model)


def test_a_failure_inside_before_one_does_not(platform: Platform, emulator: OpenAIEmulator) -> None:
    emulator.fails_at = 2
    handle = platform.start_training(asked())
    status = finished(platform, handle)
    assert (status.state, status.model) == (State.FAILED, None)
    assert status.detail == "The job failed due to an internal error."


# Tools and structured answers


def test_a_model_learns_which_tool_to_call(platform: Platform, emulator: OpenAIEmulator) -> None:
    tools = [_tool(f"open_{label.replace(' ', '_')}") for label in LABELS]
    names = {label: tool["function"]["name"] for label, tool in zip(LABELS, tools, strict=True)}
    parts = [
        [{"messages": row["messages"], "tools": tools, "tool": names[row["reference_answer"]]} for row in part]
        for part in (rows(0, 4), rows(4, 6))
    ]
    called = "{{sample.output_tools[0].function.name}}"
    grader = {**EXACT, "input": called, "reference": "{{item.tool}}"}
    handle = platform.start_training(asked(train_rows=parts[0], valid_rows=parts[1], grader=grader))
    status = finished(platform, handle)
    assert status.state is State.SUCCEEDED
    model = status.model or ""
    for row in parts[0][::5]:
        request = SampleRequest(model=model, messages=row["messages"], tools=tools, seed=None)
        calls = [answer.tool_calls for answer in platform.sample(request.model_copy(update={"n": 5})).answers]
        chosen = [call[0]["function"]["name"] for call in calls if call]
        assert max(set(chosen), key=chosen.count) == row["tool"]
    assert platform.sample(SampleRequest(model=model, messages=row["messages"])).answers[0].tool_calls == []
    assert emulator.problems == ["Unsupported value: 'n' must be 1 with this model."] * len(parts[0][::5])


def test_structured_answers_are_trained_and_kept_to(platform: Platform, emulator: OpenAIEmulator) -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["label"],
        "properties": {"label": {"type": "string"}},
    }
    form = {"type": "json_schema", "json_schema": {"name": "triage", "strict": True, "schema": schema}}
    grader = {**EXACT, "input": "{{sample.output_json.label}}"}
    handle = platform.start_training(asked(grader=grader, response_format=form))
    sent = emulator.jobs[handle.id]["method"]["reinforcement"]
    assert (sent["response_format"], sent["grader"]) == (form, grader)
    status = finished(platform, handle)
    events = platform.events(handle)
    assert told(events.events)[12]["valid_reward"] > 0.6
    for model in (status.model or "", openai.CHAT):
        request = SampleRequest(model=model, messages=[_user("I lost my card")], response_format=form)
        answer = json.loads(platform.sample(request).answers[0].text)
        assert list(answer) == ["label"]
    assert emulator.problems == []


def _hush(emulator: OpenAIEmulator, handle: Handle) -> None:
    """Take the numbers out of the log, as a service does that sends none."""
    with emulator.lock:
        for event in emulator.events[handle.id]:
            if event["type"] == "metrics":
                event |= {"type": "message", "message": "A step is done", "data": {}}


def _tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}

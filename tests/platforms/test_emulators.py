"""What the emulators are made of: limits that hold, what is refused, the table that ``make emulators`` starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import openai as sdk
import pytest

from datasets_app.sample import LABELS, SMALL_PATH
from graders_app.core.evaluate import GraderResult, Pair
from rft_project.platforms import build
from rft_project.platforms.types import SampleRequest
from tests.emulators import openai, table
from tests.emulators.limits import Limits, span
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.policy import UNSURE, Policy, Reply, guessing, replies_for
from tests.emulators.training import Lesson, Settings
from tests.engine.process import EXACT, rows


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# Limits


def test_requests_beyond_the_rate_are_refused_until_it_is_refilled() -> None:
    clock = Clock()
    limits = Limits(requests_per_minute=60, clock=clock)
    assert [limits.enter(0).admitted for _ in range(61)] == [True] * 60 + [False]
    refused = limits.enter(0)
    assert refused.message == "Rate limit reached on requests. Please try again in 1.000s."
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    clock.now += 2.0
    assert [limits.enter(0).admitted for _ in range(3)] == [True, True, False]
    assert (limits.violations, limits.admitted) == (3, 62)


def test_tokens_are_limited_beside_requests() -> None:
    clock = Clock()
    limits = Limits(requests_per_minute=1000, tokens_per_minute=600, clock=clock)
    assert limits.enter(600).admitted
    refused = limits.enter(100)
    assert (refused.admitted, refused.headers["retry-after-ms"]) == (False, "10000")
    clock.now += 10.0
    assert limits.enter(100).admitted
    assert limits.tokens == 700


def test_more_at_once_than_allowed_are_refused() -> None:
    limits = Limits(concurrency=2)
    assert [limits.enter(1).admitted for _ in range(3)] == [True, True, False]
    limits.leave()
    assert limits.enter(1).admitted
    assert (limits.at_once, limits.most_at_once, limits.violations) == (2, 2, 1)


@pytest.mark.parametrize(("seconds", "text"), [(0.012, "12ms"), (1.5, "1.5s"), (20.0, "20s"), (360.0, "6m0s")])
def test_times_in_headers(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_the_server_holds_its_limits_and_says_so_in_headers() -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=100_000)
    with openai.running(limits=limits) as emulator:
        client = sdk.OpenAI(base_url=emulator.url, api_key=emulator.key, max_retries=0)
        ask = client.chat.completions.with_raw_response.create
        answers = [ask(model=openai.CHAT, messages=[{"role": "user", "content": "x"}]) for _ in range(2)]
        with pytest.raises(sdk.RateLimitError) as refused:
            ask(model=openai.CHAT, messages=[{"role": "user", "content": "x"}])
        client.models.list()
        client.close()
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0"]
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) == 30
    assert (limits.violations, limits.at_once) == (1, 0)


# Strictness


@pytest.fixture
def client(emulator: OpenAIEmulator):
    with sdk.OpenAI(base_url=emulator.url, api_key=emulator.key, max_retries=0) as client:
        yield client


def uploaded(client: sdk.OpenAI, lines: list[Any]) -> str:
    content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()
    return client.files.create(file=("rows.jsonl", content), purpose="fine-tune").id


def started(client: sdk.OpenAI, train: list[Any], grader: Any = EXACT, **changes: Any) -> Any:
    inner = {"grader": grader, **changes}
    return client.fine_tuning.jobs.create(
        model=openai.TRAINABLE,
        training_file=uploaded(client, train),
        validation_file=uploaded(client, rows(4, 6)),
        method={"type": "reinforcement", "reinforcement": inner},  # type: ignore[typeddict-item]
    )


USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("{broken", "Row 1 is no JSON object."),
        ({"messages": []}, "Row 1 has no messages."),
        ({"messages": [{"role": "system", "content": "x"}, USER]}, "Row 1 has the role 'system'."),
        ({"messages": [USER, {"role": "assistant", "content": "y"}]}, "Row 1 must end with a user message."),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "neither text nor an image"),
        ({"messages": [{"role": "user", "content": None}]}, "Row 1 has a message without content."),
        ({"messages": [{**USER, "weight": 1}]}, "Row 1 has a weight that is not 0 or 1 of an assistant."),
        ({"messages": [USER], "tools": [{"name": "f"}]}, "Row 1 has a tool that is no function with a name."),
        (rows(4, 5)[0], "A row is in both the training and the validation file."),
    ],
)
def test_rows_the_service_would_refuse(client: sdk.OpenAI, emulator: OpenAIEmulator, row: Any, sentence: str) -> None:
    with pytest.raises(sdk.BadRequestError, match=sentence):
        started(client, [row])
    assert sentence in emulator.problems[-1]
    assert emulator.jobs == {}


MULTI = {"type": "multi", "name": "m", "graders": {"a": EXACT}, "calculate_output": "a"}
JUDGE = {"type": "score_model", "name": "j", "model": "gpt-4.1-2025-04-14", "input": [{"role": "user", "content": "x"}]}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"grader": {**EXACT, "name": ""}}, "Invalid grader"),
        ({"grader": {**MULTI, "calculate_output": "a if a else 0"}}, "Invalid grader"),
        ({"grader": {**MULTI, "graders": {"a": MULTI}}}, "Invalid grader"),
        ({"grader": {"type": "python", "name": "p", "source": "x" * 256_001}}, "Invalid grader"),
        ({"grader": {**JUDGE, "model": "o4-mini"}}, "the model o4-mini is not available for grading"),
        ({"grader": {**JUDGE, "model": "o3", "sampling_params": {"temperature": 0}}}, "temperature is not supported"),
        ({"grader": {**JUDGE, "sampling_params": {"reasoning_effort": "low"}}}, "reasoning_effort is not supported"),
        ({"hyperparameters": {"batch_size": 257}}, "Invalid hyperparameter batch_size: 257."),
        ({"hyperparameters": {"n_epochs": 1.5}}, "Invalid hyperparameter n_epochs: 1.5."),
        ({"hyperparameters": {"compute_multiplier": 0.00001}}, "Invalid hyperparameter compute_multiplier"),
        ({"hyperparameters": {"colour": 1}}, "Invalid hyperparameter colour: 1."),
        ({"response_format": FORM}, "'additionalProperties' is required to be false."),
        ({"response_format": {"type": "json_schema", "name": "x", "schema": {}}}, "json_schema"),
        ({"tools": []}, r"Unknown parameter: 'method\.reinforcement\.tools'\."),
    ],
)  # fmt: skip
def test_jobs_the_service_would_refuse(client: sdk.OpenAI, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(sdk.BadRequestError, match=sentence):
        started(client, rows(0, 4), **changes)


@pytest.mark.parametrize(
    ("model", "changes", "sentence"),
    [
        (openai.TRAINABLE, {"temperature": 0.5}, "'temperature' is not supported with this model"),
        (openai.CHAT, {"reasoning_effort": "low"}, "reasoning_effort"),
        (openai.CHAT, {"temperature": 3}, "'temperature' must be 0 to 2."),
        (openai.CHAT, {"tools": []}, "'tools' may have 1 to 128 functions."),
        (openai.CHAT, {"response_format": FORM}, "'additionalProperties' is required to be false."),
    ],
)
def test_questions_the_service_would_refuse(client: sdk.OpenAI, model: str, changes: Any, sentence: str) -> None:
    with pytest.raises(sdk.BadRequestError, match=sentence):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}], **changes)


def test_a_model_that_was_switched_off_answers_no_more(client: sdk.OpenAI, emulator: OpenAIEmulator) -> None:
    emulator.models[openai.CHAT][0]["shutdown_date"] = "2026-01-01"
    with pytest.raises(sdk.NotFoundError, match="has been deprecated"):
        client.chat.completions.create(model=openai.CHAT, messages=[{"role": "user", "content": "x"}])


# What the policy may say


def test_answers_come_from_the_rows_themselves() -> None:
    call = {"name": "open_ticket", "arguments": {"team": "billing"}}
    tool = {"type": "function", "function": {"name": "open_ticket"}}
    given = [
        {"messages": [USER], "label": "a", "long": "x" * 500},
        {"messages": [USER], "label": "a", "reference_answer": call, "tools": [tool]},
    ]
    assert replies_for(given) == [
        UNSURE,
        Reply("a"),
        Reply(calls=(("open_ticket", '{"team": "billing"}'),)),
        Reply(calls=(("open_ticket", "{}"),)),
    ]


def test_what_the_user_wrote_is_no_answer_and_long_prompts_are_learned_from() -> None:
    """As rows of the sample look: the last message again beside the label, and words that all of them share."""
    given = []
    for line in SMALL_PATH.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        messages = record["input"]["messages"]
        label = record["metadata"]["label"]
        given.append({"messages": messages, "user_message": messages[-1]["content"], "reference_answer": label})
    replies = replies_for(given)
    assert {reply.text for reply in replies} == {UNSURE.text, *LABELS}
    lesson = Lesson(Policy(replies), given[::2], given[1::2], Settings.of({"n_epochs": 20}, 30), seed=0)
    scores = []
    while not lesson.done:
        step = lesson.step(_hits)
        scores.append(sum(result.reward or 0.0 for result in step.train) / len(step.train))
    assert sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.3


def _hits(pairs: Sequence[Pair]) -> list[GraderResult]:
    return [GraderResult(reward=float(sample["output_text"] == item["reference_answer"])) for sample, item in pairs]


def test_an_untrained_model_chooses_among_what_its_prompt_lists() -> None:
    prompt = [
        {"role": "developer", "content": "Sort the request into one of: billing, shipping or returns. One word."},
        {"role": "user", "content": "Where is my package?"},
        {"role": "assistant", "content": "shipping"},
    ]
    policy = guessing([*prompt, USER])
    assert [reply.text for reply in policy.replies] == ["billing", "shipping", "returns"]
    assert policy.best(["my", "package"]).text == "shipping"
    assert guessing([USER]).replies == [UNSURE]


# make emulators


def test_every_emulator_of_the_table_answers_its_own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with table.all_started(table.on_free_ports()) as emulators:
        assert [emulator.name for emulator in emulators] == [f"{entry.label} (emulated)" for entry in table.EMULATED]
        for emulator in emulators:
            for name, value in emulator.environment.items():
                monkeypatch.setenv(name, value)
            assert emulator.places
            assert all(place.startswith("127.0.0.1:") for place in emulator.places)
            platform = build(emulator.kind, emulator.credentials)
            platform.check()
            assert platform.capabilities().train is True


def test_a_slow_platform_takes_its_time(emulator: OpenAIEmulator) -> None:
    emulator.latency = 0.2
    platform = build("openai", emulator.credentials)
    assert platform.sample(SampleRequest(model=openai.CHAT, messages=[USER])).seconds >= 0.2

"""What every platform must do, whatever it is. Subclass, give the three fixtures, inherit every test.

Each test talks to a server through the real SDK; nothing is replaced.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rft_project.platforms import Platform, PlatformError, Unknown, build
from rft_project.platforms.types import (
    DeployRequest,
    Handle,
    SampleRequest,
    State,
    TrainingEvent,
    TrainingRequest,
    TrainingStatus,
)
from tests.engine.process import EXACT, LABELS, TEXTS, rows

MULTI = {
    "type": "multi",
    "name": "total",
    "graders": {"exact": EXACT, "near": {**EXACT, "name": "near", "operation": "ilike"}},
    "calculate_output": "0.9 * exact + 0.1 * near",
}
SYSTEM = {"role": "system", "content": "Name the topic."}


def prompted(first: int, last: int) -> list[dict[str, Any]]:
    return [{**row, "messages": [SYSTEM, *row["messages"]]} for row in rows(first, last)]


class PlatformContract:
    kind: str
    #: A model that can be trained, one that can be sampled untrained, and what sampling it needs.
    model: str
    base: str
    allowed: list[str] = []
    #: The credentials' field with the address.
    address = "base_url"
    #: Whether it embeds texts.
    embeds = True
    #: Whether a deployment is called by a name of its own, not by the model's.
    named_deployments = False
    #: The platform's own word for a training that went well, and the curve it tells.
    done_word = "succeeded"
    curve: frozenset[str] = frozenset(
        {"train_reward", "valid_reward", "reward:exact", "reward:near", "seconds", "errors"}
    )
    #: Whether jobs keep checkpoints, and whether they tell how many steps there will be.
    checkpoints = True
    checkpoint_curve: frozenset[str] = frozenset({"train_reward", "valid_reward"})
    counted_steps = True
    #: How events begin that come from a second source, which has an order and steps of its own; '' where there is none.
    beside = ""
    #: What no deployment is called.
    no_deployment = "ft:nothing"
    #: Hyperparameters of a run of some hundred milliseconds, of one that lasts until it is cancelled.
    short: dict[str, Any] = {}
    long: dict[str, Any] = {}

    @pytest.fixture
    def credentials(self) -> dict[str, Any]:
        raise NotImplementedError

    @pytest.fixture
    def platform(self, credentials: dict[str, Any]) -> Platform:
        return build(self.kind, credentials)

    def train_rows(self) -> list[dict[str, Any]]:
        return prompted(0, 4)

    def package(self, grader: dict[str, Any]) -> bytes:
        """The grader as the platform's jobs run it, where that is not the document."""
        return b""

    def valid_rows(self) -> list[dict[str, Any]]:
        return prompted(4, 6)

    @pytest.fixture
    def request_for(self, request: pytest.FixtureRequest) -> Callable[..., TrainingRequest]:
        """A training request whose key is the test's own."""

        def make(**changes: Any) -> TrainingRequest:
            values = {
                "key": f"{request.node.nodeid}-{time.time_ns()}",
                "model": self.model,
                "train_rows": self.train_rows(),
                "valid_rows": self.valid_rows(),
                "grader": EXACT,
                "hyperparameters": self.short,
                "suffix": "contract",
                "seed": 3,
                "allowed_answers": self.allowed,
            }
            values |= changes
            return TrainingRequest(**{"grader_package": self.package(values["grader"]), **values})

        return make

    def ask(self, model: str, text: str, **more: Any) -> SampleRequest:
        messages = [SYSTEM, {"role": "user", "content": text}]
        return SampleRequest(model=model, messages=messages, allowed_answers=self.allowed, **more)

    def wait(self, platform: Platform, handle: Handle, until: Callable[[TrainingStatus], bool]) -> TrainingStatus:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = platform.training(handle)
            if until(status):
                return status
            time.sleep(0.05)
        raise AssertionError(status)

    def deployed(self, platform: Platform, model: str) -> tuple[Handle, str]:
        """A deployment that answers, and what to call it by."""
        handle = platform.deploy(DeployRequest(key=f"deploy {model}", model=model, name="contract", base=self.model))
        deadline = time.monotonic() + 60
        while not (status := platform.deployment(handle)).state.final and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status.state is State.SUCCEEDED, status
        assert (status.model == model) is not self.named_deployments
        return handle, status.model

    def first_and_last(self, series: dict[str, list[float]]) -> tuple[float, float]:
        """The reward at the beginning, and at the end on rows it was not trained on where that is told."""
        return series["train_reward"][0], series["valid_reward"][-1]

    def finished(self, platform: Platform, handle: Handle) -> TrainingStatus:
        return self.wait(platform, handle, lambda status: status.state.final)

    # Questions that change nothing

    def test_check_passes(self, platform: Platform) -> None:
        assert platform.check() is None

    def test_capabilities_describe_the_trainable_model(self, platform: Platform) -> None:
        found = platform.capabilities()
        assert (found.sample, found.embed, found.train, found.deploy) == (True, self.embeds, True, True)
        (model,) = [m for m in found.models if m.id == self.model]
        assert (model.platform, model.method) == (self.kind, "reinforcement")
        assert set(self.short) <= set(model.hyperparameters)
        assert {"string_check", "multi"} <= set(model.grader_types)
        assert all(bound.help.endswith(".") for bound in model.hyperparameters.values())
        assert model.summary

    def test_sampling_gives_as_many_answers_as_asked(self, platform: Platform) -> None:
        sample = platform.sample(self.ask(self.base, "I lost my card", n=3))
        assert len(sample.answers) == 3
        assert all(answer.text for answer in sample.answers)
        assert sample.usage.prompt_tokens > 0
        assert sample.usage.completion_tokens >= 3
        assert sample.seconds > 0

    def test_embeddings_keep_their_order(self, platform: Platform) -> None:
        if not self.embeds:
            pytest.skip("it embeds no texts")
        texts = ["a", "a much longer text", "b"]
        vectors = platform.embed(texts)
        assert len(vectors) == 3
        assert len({len(vector) for vector in vectors}) == 1
        assert vectors[1] == platform.embed([texts[1]])[0]
        assert vectors[0] != vectors[1]
        assert platform.embed([]) == []

    def test_many_and_long_and_empty_texts_are_embedded(self, platform: Platform) -> None:
        if not self.embeds:
            pytest.skip("it embeds no texts")
        texts = [*(["x"] * 2100), *(["long " * 8000] * 12), *(["長い文章" * 4000] * 3), ""]
        vectors = platform.embed(texts)
        assert len(vectors) == len(texts)
        assert vectors[0] == vectors[2099] != vectors[2100] == vectors[2111]

    def test_an_unknown_model_is_refused_in_a_sentence(self, platform: Platform) -> None:
        with pytest.raises(PlatformError) as refusal:
            platform.sample(self.ask("no-such-model", "x"))
        assert refusal.value.status == 404
        assert not refusal.value.retryable
        assert "no-such-model" in str(refusal.value)
        assert str(refusal.value).count("\n") == 0
        assert str(refusal.value).endswith(".")

    def test_unknown_jobs(self, platform: Platform) -> None:
        assert platform.find_training("nobody started this") is None
        kept = [platform.checkpoints] if self.checkpoints else []
        for call in (platform.training, platform.events, platform.cancel_training, *kept):
            with pytest.raises(PlatformError) as refusal:
                call(Handle(id="ftjob-none"))
            assert refusal.value.status == 404

    # Training

    def test_training_raises_the_reward_and_the_tuned_model_answers(self, platform: Platform, request_for) -> None:
        handle = platform.start_training(request_for(grader=MULTI))
        status = self.finished(platform, handle)
        assert (status.state, status.word, status.detail) == (State.SUCCEEDED, self.done_word, "")
        assert status.model is not None
        series = _series(platform.events(handle).events)
        assert self.curve <= set(series)
        before, after = self.first_and_last(series)
        assert after > before + 0.25, series
        assert sum(series.get("errors", [])) == 0
        checkpoints = platform.checkpoints(handle)
        assert checkpoints == sorted(checkpoints, key=lambda c: c.step)
        assert bool(checkpoints) is self.checkpoints
        deployment, name = self.deployed(platform, status.model)
        for label in LABELS:
            sample = platform.sample(self.ask(name, TEXTS[label][0], n=5, temperature=0))
            assert Counter(answer.text for answer in sample.answers).most_common(1)[0][0] == label
        for checkpoint in checkpoints[:1]:
            _, early = self.deployed(platform, checkpoint.model)
            assert platform.sample(self.ask(early, "x")).answers
            assert self.checkpoint_curve <= set(checkpoints[-1].metrics)
        platform.undeploy(deployment)
        platform.undeploy(deployment)

    def test_starting_twice_makes_one_job(self, platform: Platform, request_for) -> None:
        request = request_for()
        first = platform.start_training(request)
        assert platform.start_training(request) == first
        assert platform.find_training(request.key) == first
        assert platform.start_training(request_for()) != first
        self.finished(platform, first)
        assert platform.start_training(request) == first

    def by_source(self, events: list[TrainingEvent]) -> tuple[list[TrainingEvent], list[TrainingEvent]]:
        beside = [event for event in events if self.beside and event.id.startswith(self.beside)]
        return [event for event in events if event not in beside], beside

    def test_events_come_in_order_and_none_twice(self, platform: Platform, request_for) -> None:
        handle = platform.start_training(request_for())
        seen: list[TrainingEvent] = []
        cursor: str | None = None
        final = False
        while not final:
            final = platform.training(handle).state.final
            page = platform.events(handle, cursor)
            seen, cursor = [*seen, *page.events], page.cursor
        assert len({event.id for event in seen}) == len(seen)
        (own, beside), at_once = self.by_source(seen), self.by_source(platform.events(handle).events)
        assert (own, beside) == at_once
        assert bool(beside) == bool(self.beside)
        steps = [event.step for event in own if event.metrics]
        assert steps == sorted(set(steps))
        assert [event.step for event in beside] == list(range(1, len(beside) + 1))
        (total,) = {event.total_steps for event in own if event.metrics}
        assert steps[-1] > 0
        assert total >= steps[-1] if self.counted_steps else total is None
        assert platform.events(handle, cursor).events == []
        assert platform.events(handle, cursor).cursor == cursor

    def test_cancel_is_final_and_idempotent(self, platform: Platform, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters=self.long))
        self.wait(platform, handle, lambda status: status.state is State.RUNNING)
        platform.cancel_training(handle)
        platform.cancel_training(handle)
        assert self.finished(platform, handle).state is State.CANCELLED

    def test_a_bad_grader_is_refused_before_anything_starts(self, platform: Platform, request_for) -> None:
        request = request_for(grader={"type": "string_check", "name": "x"})
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request)
        assert not isinstance(refusal.value, Unknown)
        assert (refusal.value.status, refusal.value.retryable) == (400, False)
        assert platform.find_training(request.key) is None

    def test_bad_hyperparameters_are_refused(self, platform: Platform, request_for) -> None:
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for(hyperparameters={"eval_interval": 0}))
        assert "eval_interval" in str(refusal.value)

    def test_a_model_that_is_not_there_is_not_deployed(self, platform: Platform) -> None:
        with pytest.raises(PlatformError):
            platform.deploy(DeployRequest(key="d", model="ft:nothing"))
        assert platform.deployment(Handle(id=self.no_deployment, kind="model")).state is State.FAILED

    # Connections

    def test_nobody_there(self, credentials: dict[str, Any], request_for, unused_port: int) -> None:
        platform = build(self.kind, {**credentials, self.address: f"http://127.0.0.1:{unused_port}/v1"})
        for call in (platform.check, lambda: platform.start_training(request_for())):
            with pytest.raises(PlatformError) as failure:
                call()
            assert failure.value.retryable
            assert not isinstance(failure.value, Unknown)
            assert "can't be reached" in str(failure.value)

    def test_credentials_of_the_wrong_shape(self, credentials: dict[str, Any]) -> None:
        for wrong in ({self.address: "ftp://x"}, {self.address: "https://name:secret@host/v1"}, {"colour": "red"}):
            with pytest.raises(PlatformError) as refusal:
                build(self.kind, {**credentials, **wrong})
            assert next(iter(wrong)) in str(refusal.value)
            assert "secret" not in str(refusal.value)


def _series(events: list[TrainingEvent]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for event in events:
        for name, value in event.metrics.items():
            found.setdefault(name, []).append(value)
    return found

"""Whatever a platform answers, people read one sentence, and a start is never made twice. Each against its emulator."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from graders_app.core.compiling import lambda_zip
from rft_project.platforms import Platform, PlatformError, Unknown, build
from rft_project.platforms.types import Handle, SampleRequest, TrainingRequest
from tests.emulators import azure, bedrock, mantle, openai
from tests.emulators.faults import Fault
from tests.emulators.wire import Emulator, started
from tests.engine.process import EXACT
from tests.platforms.contract import prompted

#: Answered without doing the work, and with it.
REFUSED: tuple[str | int, ...] = (401, 403, 404, 409, 429, 500, 503, "drop")
SPOILED = ("drop-after", "cut", "broken-json", "not-json", "huge-json", "deep-json", "deep-error")
WORDS = "The platform says why."
AGAIN = dict.fromkeys((409, 429, 500, 503, "drop", *SPOILED), "again")
FINAL = dict.fromkeys((401, 403, 404), "final")
#: Of one sentence: some 75 MB are the longest answer that is read.
MOST_MEMORY = 400_000_000


@dataclass(frozen=True)
class Side:
    """A platform and where it is asked: to start, about a job, for an answer, for vectors ('' where it has none)."""

    kind: str
    emulator: Callable[[], Emulator]
    model: str
    base: str
    jobs: str
    chat: str
    vectors: str


SIDES = [
    Side("openai", lambda: openai.OpenAIEmulator(queue_seconds=60), openai.TRAINABLE, openai.CHAT,
         "/fine_tuning/jobs", "/chat", "/embeddings"),
    Side("azure", lambda: azure.AzureEmulator(queue_seconds=60), azure.TRAINABLE, azure.TRAINABLE,
         "/openai/v1/fine_tuning/jobs", "/openai/v1/chat", "/openai/v1/embeddings"),
    Side("bedrock", lambda: bedrock.BedrockEmulator(step_seconds=60), bedrock.TRAINABLE, bedrock.TRAINABLE,
         "/model-customization-jobs", "/model/", "/model/"),
    Side("bedrock_openai", lambda: mantle.MantleEmulator(queue_seconds=60), mantle.TRAINABLE, mantle.TRAINABLE,
         "/fine_tuning/jobs", "/chat", ""),
]  # fmt: skip


class Meeting:
    """An adapter and what it talks to."""

    def __init__(self, side: Side, emulator: Any) -> None:
        self.side, self.emulator = side, emulator
        self.package = lambda_zip(EXACT) if side.kind.startswith("bedrock") else b""

    @property
    def platform(self) -> Platform:
        """A new one, which remembers nothing of what went wrong before."""
        return build(self.side.kind, self.emulator.credentials)

    def request(self, key: str) -> TrainingRequest:
        few, some = prompted(0, 4), [{**row, "note": "held out"} for row in prompted(0, 4)]
        rows = few * 9 if self.package else few
        return TrainingRequest(
            key=key, model=self.side.model, train_rows=rows, valid_rows=some, grader=EXACT, grader_package=self.package
        )

    def outcome(self, method: str, path: str, kind: str | int, call: Callable[[], Any]) -> str:
        """How ``call`` ends where its request meets ``kind``; the sentence is looked at here."""
        headers = {"retry-after": "7"} if kind == 429 else {}
        self.emulator.faults[:] = [Fault(method, path, kind, headers=headers, message=WORDS)]
        try:
            call()
        except PlatformError as error:
            one_sentence(error, kind)
            return "unknown" if isinstance(error, Unknown) else "again" if error.retryable else "final"
        finally:
            assert self.emulator.faults == [], kind
        return "made"


def one_sentence(error: PlatformError, kind: str | int) -> None:
    said = str(error)
    assert said.endswith(".") and "\n" not in said and len(said) < 500, said
    assert "Traceback" not in said and "<html>" not in said, said
    if kind in (409, 429, 500, 503):
        assert WORDS.rstrip(".") in said, said
    if kind == 429:
        assert error.retry_after == 7, said
    if kind == "huge-json":
        assert "sent an answer that is too long to be read" in said, said


@pytest.fixture(scope="module", params=SIDES, ids=lambda side: side.kind)
def meeting(request: pytest.FixtureRequest) -> Iterator[Meeting]:
    side: Side = request.param
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        emulator: Any = stack.enter_context(started(side.emulator()))
        for name, value in getattr(emulator, "environment", {}).items():
            patch.setenv(name, value)
        yield Meeting(side, emulator)


def test_a_start(meeting: Meeting) -> None:
    """What may have taken effect is looked for at once: where the work was done it is found."""
    found = {}
    for kind in (*REFUSED, *SPOILED):
        request, before = meeting.request(f"k {kind}"), len(meeting.emulator.jobs)
        start = meeting.platform.start_training
        found[kind] = meeting.outcome("POST", meeting.side.jobs, kind, lambda: start(request))  # noqa: B023
        assert meeting.platform.start_training(request) == meeting.platform.find_training(request.key)
        assert len(meeting.emulator.jobs) == before + 1, kind
    unclear = dict.fromkeys((409, 500, 503, "drop"), "unknown")
    assert found == {**FINAL, **unclear, 429: "again", **dict.fromkeys(SPOILED, "made")}


def test_a_look_at_a_job(meeting: Meeting) -> None:
    handle = meeting.platform.start_training(meeting.request("looked at"))
    look = meeting.platform.training
    kinds = (*REFUSED, *SPOILED)
    found = {kind: meeting.outcome("GET", meeting.side.jobs, kind, lambda: look(handle)) for kind in kinds}
    assert found == {**FINAL, **AGAIN}
    assert look(handle).state.final is False


def test_an_answer_of_a_model(meeting: Meeting) -> None:
    request = SampleRequest(model=meeting.side.base, messages=[{"role": "user", "content": "hello"}])
    kinds = (*REFUSED, *SPOILED)
    found = {
        kind: meeting.outcome("POST", meeting.side.chat, kind, lambda: meeting.platform.sample(request))
        for kind in kinds
    }
    assert found == {**FINAL, **AGAIN}


def test_vectors(meeting: Meeting) -> None:
    if not meeting.side.vectors:
        pytest.skip("it embeds no texts")
    found = {
        kind: meeting.outcome("POST", meeting.side.vectors, kind, lambda: meeting.platform.embed(["a text"]))
        for kind in (*REFUSED, *SPOILED)
    }
    assert found == {**FINAL, **AGAIN}


def test_an_answer_without_end_takes_little_memory(meeting: Meeting) -> None:
    look = meeting.platform.training
    tracemalloc.start()
    try:
        outcome = meeting.outcome("GET", meeting.side.jobs, "huge-json", lambda: look(Handle(id="ftjob-any")))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (outcome, most < MOST_MEMORY) == ("again", True), most

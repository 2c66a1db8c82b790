"""Calls leave as the limits allow: real adapters against emulators that refuse what is too much, and count it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rft_project.platforms import NotYet, Platform, PlatformError, build
from rft_project.platforms.pacing import TURN, UNPACED, Alone, ConnectionPace, Turn, committed
from rft_project.platforms.pool import run_pool
from rft_project.platforms.rates import Ask, Grant
from rft_project.platforms.types import Handle, Sample, SampleRequest
from rft_project.platforms.window import START, Window
from tests.emulators import azure, bedrock, mantle, openai
from tests.emulators.faults import Fault
from tests.emulators.limits import Limits

CHAT = "/chat/completions"


def ask(model: str, number: int, **more: Any) -> SampleRequest:
    return SampleRequest(
        model=model, messages=[{"role": "user", "content": f"Where is parcel {number}?"}], max_tokens=40, **more
    )


def ask_all(platform: Platform, model: str, numbers: range, **more: Any) -> list[Sample | PlatformError]:
    return [answer for _, answer in run_pool(numbers, lambda number: platform.sample(ask(model, number)), **more)]


def from_two_pools(platform: Platform, model: str, each: int) -> list[Sample | PlatformError]:
    found: list[Sample | PlatformError] = []
    pools = [
        threading.Thread(target=lambda first=first: found.extend(ask_all(platform, model, range(first, first + each))))
        for first in (0, each)
    ]
    for pool in pools:
        pool.start()
    for pool in pools:
        pool.join()
    return found


@pytest.fixture
def paced(request: pytest.FixtureRequest) -> Iterator[Callable[..., tuple[Platform, str, Any]]]:
    """``paced(kind, limits, latency)``: an adapter at the pace of its connection, a model it can ask, the emulator."""
    with ExitStack() as stack:

        def make(kind: str, limits: Limits | None, latency: float = 0.02) -> tuple[Platform, str, Any]:
            options: dict[str, Any] = {"limits": limits, "latency": latency}
            match kind:
                case "openai" | "compatible":
                    running, model = stack.enter_context(openai.running(**options)), openai.CHAT
                case "azure":
                    running = stack.enter_context(azure.running(**options))
                    for name, value in running.environment.items():
                        request.getfixturevalue("monkeypatch").setenv(name, value)
                    model = azure.CHAT
                case "bedrock":
                    running, model = stack.enter_context(bedrock.running(**options)), bedrock.BASE
                case _:
                    running, model = stack.enter_context(mantle.running(**options)), mantle.TRAINABLE
            platform = build(kind, running.credentials, ConnectionPace(Alone(), kind))
            return platform, model, running

        yield make


@pytest.mark.parametrize("kind", ["openai", "compatible", "azure", "bedrock_openai"])
def test_two_pools_together_never_pass_the_limit_of_requests(kind: str, paced: Any) -> None:
    limits = Limits(requests_per_minute=100, window=1.0)
    platform, model, _ = paced(kind, limits)
    answers = from_two_pools(platform, model, each=110)
    assert [type(answer) for answer in answers] == [Sample] * 220
    assert (limits.admitted, limits.violations) == (220, 0)


def test_the_limit_of_tokens_holds_as_well(paced: Any) -> None:
    limits = Limits(requests_per_minute=1_000, tokens_per_minute=12_000, window=1.0)
    platform, model, _ = paced("openai", limits)
    answers = from_two_pools(platform, model, each=110)
    assert [type(answer) for answer in answers] == [Sample] * 220
    assert (limits.admitted, limits.violations) == (220, 0)


@pytest.mark.parametrize("kind", ["compatible", "bedrock"])
def test_a_server_that_tells_nothing_is_found_out(kind: str, paced: Any) -> None:
    """Only so many at once, and no header that says so."""
    limits = Limits(concurrency=20)
    platform, model, _ = paced(kind, limits, latency=0.05)
    answers = ask_all(platform, model, range(200))
    assert [type(answer) for answer in answers] == [Sample] * 200
    assert START <= limits.most_at_once <= 20
    assert limits.violations < 40  # each is answered in the end


def test_nothing_overtakes_the_first_answer(paced: Any) -> None:
    limits = Limits(requests_per_minute=50, window=60.0)
    platform, model, emulator = paced("openai", limits, latency=0.3)
    together = threading.Thread(target=ask_all, args=(platform, model, range(20)))
    together.start()
    time.sleep(0.2)
    assert emulator.count("POST", CHAT) == 1
    together.join()
    assert limits.violations == 0
    assert limits.most_at_once > 1


def test_a_wait_that_was_asked_for_is_everybodys(paced: Any) -> None:
    platform, model, emulator = paced("openai", None)
    platform.sample(ask(model, 0))
    emulator.faults.append(Fault("POST", f"{CHAT}", 429, {"retry-after-ms": "600"}))
    started = time.monotonic()
    with pytest.raises(PlatformError) as refused:
        platform.sample(ask(model, 1))
    assert (refused.value.status, refused.value.retry_after) == (429, 0.6)
    before = emulator.count("POST", CHAT)
    answers = ask_all(platform, model, range(10))
    assert [type(answer) for answer in answers] == [Sample] * 10
    assert emulator.count("POST", CHAT) - before == 10
    assert time.monotonic() - started >= 0.6


def test_a_storm_of_refusals_is_met_with_fewer_calls_at_once(paced: Any) -> None:
    platform, model, emulator = paced("compatible", None)
    ask_all(platform, model, range(60))
    emulator.faults += [Fault("POST", CHAT, 503) for _ in range(12)]
    before = emulator.count("POST", CHAT)
    answers = ask_all(platform, model, range(60))
    assert [type(answer) for answer in answers] == [Sample] * 60
    assert emulator.count("POST", CHAT) - before == 72


def test_a_long_wait_is_handed_back_and_nothing_is_sent(paced: Any) -> None:
    platform, model, emulator = paced("openai", None)
    emulator.faults.append(Fault("POST", CHAT, 429, {"retry-after": "100"}))
    with pytest.raises(PlatformError):
        platform.sample(ask(model, 0))
    started = time.monotonic()
    answers = ask_all(platform, model, range(5))
    assert [type(answer) for answer in answers] == [NotYet] * 5
    assert time.monotonic() - started < 2
    assert emulator.count("POST", CHAT) == 1
    assert str(answers[0]).startswith("The rate limit of openai has no room now; the next call can be made in ")
    assert 90 < (answers[0].retry_after or 0) <= 100
    with pytest.raises(NotYet):
        platform.sample(ask(model, 0))


def test_managing_calls_honour_the_wait_and_cancelling_does_not(paced: Any) -> None:
    platform, model, emulator = paced("openai", None)
    emulator.faults.append(Fault("GET", "/models", 429, {"retry-after": "100"}))
    with pytest.raises(PlatformError):
        platform.check()
    with pytest.raises(NotYet):
        platform.check()
    with pytest.raises(NotYet):
        platform.sample(ask(model, 0))
    with pytest.raises(PlatformError) as unknown:
        platform.cancel_training(Handle(id="ftjob-nothing"))
    assert unknown.value.status == 404


def test_managing_calls_take_no_share_of_the_limits(paced: Any) -> None:
    platform, model, _ = paced("openai", Limits(requests_per_minute=1, window=60.0))
    platform.sample(ask(model, 0))
    for _ in range(3):
        platform.check()
    with pytest.raises(NotYet) as full:
        platform.sample(ask(model, 1))
    assert 10 < (full.value.retry_after or 0) < 70


def test_a_busy_service_beside_does_not_slow_the_asking(paced: Any) -> None:
    platform, model, emulator = paced("openai", None)
    platform.sample(ask(model, 0))
    emulator.faults += [Fault("GET", "/models", 503) for _ in range(6)]
    for _ in range(6):
        with pytest.raises(PlatformError):
            platform.check()
    limits = emulator.limits = Limits()
    emulator.latency = 0.3
    ask_all(platform, model, range(START))
    assert limits.most_at_once == START


def test_stopping_ends_a_wait_at_once(paced: Any) -> None:
    platform, model, _ = paced("openai", Limits(requests_per_minute=4, window=20.0))
    stop, answers = threading.Event(), []
    started = time.monotonic()
    for _, answer in run_pool(range(50), lambda n: platform.sample(ask(model, n)), should_stop=stop.is_set):
        answers.append(answer)
        if len(answers) == 3:
            stop.set()
    assert [type(answer) for answer in answers[:3]] == [Sample] * 3
    assert {type(answer) for answer in answers[3:]} <= {NotYet}
    assert time.monotonic() - started < 3


def test_an_answer_of_several_calls_is_not_given_up_halfway(paced: Any) -> None:
    """Each of Converse's answers is a call of its own; what is paid for by then would be lost."""
    platform, model, emulator = paced("bedrock", None, latency=0.1)
    platform.sample(ask(model, 0))
    stop = threading.Event()
    threading.Timer(0.15, stop.set).start()
    before = len(emulator.requests)
    asked = run_pool([1], lambda n: platform.sample(ask(model, n, n=12)), should_stop=stop.is_set)
    ((_, sample),) = list(asked)
    assert isinstance(sample, Sample)
    assert (len(sample.answers), len(emulator.requests) - before) == (12, 12)


def test_no_more_are_in_flight_than_the_window_says(paced: Any) -> None:
    limits = Limits()
    platform, model, _ = paced("openai", limits)
    platform.pace = ConnectionPace(Alone(), "Local engine", window=Window(most=5), alone_first=False)
    ask_all(platform, model, range(40))
    assert limits.most_at_once == 5


def test_an_adapter_without_a_pace_does_not_wait(paced: Any) -> None:
    platform, model, emulator = paced("openai", None)
    platform.pace = UNPACED
    emulator.faults.append(Fault("POST", CHAT, 429, {"retry-after": "100"}))
    with pytest.raises(PlatformError):
        platform.sample(ask(model, 0))
    assert len(platform.sample(ask(model, 0)).answers) == 1


def test_a_turn_is_handed_on_when_the_first_gives_up() -> None:
    pace = ConnectionPace(Alone(), "Test", window=Window(most=1), alone_first=False)
    went: list[str] = []

    def wait(name: str, stop: threading.Event) -> None:
        TURN.set(Turn(stop.is_set, patient=True))
        try:
            with pace.permit(1):
                went.append(name)
        except NotYet:
            went.append(f"{name} gave up")

    impatient, patient = threading.Event(), threading.Event()
    with pace.permit(1):
        threads = [threading.Thread(target=wait, args=args) for args in (("a", impatient), ("b", patient))]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        impatient.set()
        threads[0].join()
    threads[1].join()
    assert went == ["a gave up", "b"]


def test_what_is_paid_for_in_part_waits_for_its_turn_however_long_and_goes_first() -> None:
    now, went = [0.0], []
    pace = ConnectionPace(Alone(), "Test", window=Window(most=1), alone_first=False, clock=lambda: now[0])

    def wait(name: str, *, paid: bool) -> None:
        TURN.set(Turn(patient=True))
        try:
            with ExitStack() as stack:
                if paid:
                    stack.enter_context(committed())
                stack.enter_context(pace.permit(1))
                went.append(name)
        except NotYet:
            went.append(f"{name} gave up")

    with pace.permit(1):
        threads = [
            threading.Thread(target=wait, args=(name,), kwargs={"paid": paid})
            for name, paid in (("new", False), ("begun", True), ("begun too", True))
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.03)
        now[0] = 1_000.0
        time.sleep(0.35)  # each looked at the clock
    for thread in threads:
        thread.join()
    assert went == ["begun", "begun too", "new"]


def test_pauses_one_after_the_other_do_not_hold_a_managing_call_for_ever() -> None:
    now, looks = [0.0], []
    pace = ConnectionPace(Alone(), "Test", clock=lambda: now[0])

    def paused_again() -> bool:
        looks.append(now[0])
        assert len(looks) < 20
        now[0] += 1.0
        pause(pace, "0.002")
        return False

    pause(pace, "0.001")
    TURN.set(Turn(paused_again, longest=4.0))
    try:
        with pytest.raises(NotYet), pace.management():
            pass
    finally:
        TURN.set(Turn())
    assert looks == [0.0, 1.0, 2.0, 3.0, 4.0]


def pause(pace: ConnectionPace, seconds: str) -> None:
    """As a managing call that another thread made before hears of it."""
    with ConnectionPace(Alone(), "Test").management() as sent:
        pace.heard(sent, 429, {"retry-after": seconds})  # type: ignore[arg-type]


class Interrupted(Alone):
    """A store that does something in another thread before its answer is read."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def exchange(self, ask: Ask) -> Grant:
        grant = super().exchange(ask)
        if ask.least:
            threading.Thread(target=self._meanwhile).start()
            time.sleep(0.05)
        return grant


def test_a_call_does_not_leave_once_another_thread_was_told_to_wait() -> None:
    pace = ConnectionPace(Interrupted(lambda: pause(pace, "60")), "Test")
    with pytest.raises(NotYet) as told, pace.permit(1):
        pass
    assert 55 < (told.value.retry_after or 0) <= 60

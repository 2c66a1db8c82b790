from __future__ import annotations

import heapq
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from rft_project.platforms.errors import NotYet
from rft_project.platforms.pacing import TURN, Alone, ConnectionPace, Turn
from rft_project.platforms.rates import (
    KEPT_BACK,
    Ask,
    Bucket,
    Reading,
    Seen,
    Shares,
    exchanged,
    readings_of,
    retry_after_of,
    span_of,
)
from rft_project.platforms.window import START, Window
from tests.emulators.limits import Limits, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1.5s", 1.5),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-1s", None),
        ("nan", None),
        ("1_0s", None),
        ("9" * 40, None),
    ],
)
def test_times_of_headers(text: str, seconds: float | None) -> None:
    assert span_of(text) == pytest.approx(seconds)


@given(st.floats(0, 50_000))
def test_every_time_that_is_written_is_read(seconds: float) -> None:
    read = span_of(span(seconds))
    assert read is not None
    assert read == pytest.approx(seconds, abs=0.6 if seconds >= 60 else 0.001)


@given(st.dictionaries(st.sampled_from(["x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]), st.text()))
def test_any_header_is_read_or_left_out(headers: dict[str, str]) -> None:
    for reading in readings_of(headers).values():
        assert reading.remaining >= 0
        assert reading.reset is None or reading.reset >= 0


def test_headers_of_both_limits() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-remaining-tokens": "100",
    }
    assert readings_of(headers) == {
        "requests": Reading(500.0, 499.0, 0.12),
        "tokens": Reading(None, 100.0, None),
    }
    assert readings_of({}) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers) == seconds


def learned(limit: float = 100, remaining: float = 60, reset: float | None = 24.0, **more: Any) -> Shares:
    ask = Ask(seen={"requests": Seen(Reading(limit, remaining, reset), None)}, heard=True)
    return exchanged(Shares(at=0.0), ask, 1000.0)[0]


def test_the_rate_is_what_refills_what_is_used_and_a_twentieth_is_kept_back() -> None:
    bucket = learned().buckets["requests"]
    assert bucket == Bucket(limit=100, rate=39 / 24, level=55, guessed=False)
    assert (bucket.most, KEPT_BACK) == (95.0, 0.05)


def test_a_limit_is_refilled_in_a_minute_until_more_is_seen() -> None:
    bucket = learned(remaining=99, reset=None).buckets["requests"]
    assert (bucket.rate, bucket.level, bucket.guessed) == (100 / 60, 94.0, True)
    assert learned(remaining=98, reset=0.5).buckets["requests"].rate == 2.0  # at least: (2 - 1) / 0.5


def test_two_processes_share_what_is_there() -> None:
    shares, given = learned(), []
    for _ in range(3):
        shares, grant = exchanged(shares, Ask({"requests": 1}, {"requests": 40}), 1000.0)
        given.append(grant.given.get("requests", 0.0))
    assert given == [40.0, 15.0, 0.0]
    assert grant.wait == pytest.approx(1 / (39 / 24 * 0.95))
    assert (grant.out, grant.back) == ({"requests": 55.0}, {"requests": 0.0})


def test_what_is_given_back_can_be_given_out_again_and_never_more_than_there_can_be() -> None:
    shares, _ = exchanged(learned(), Ask({"requests": 1}, {"requests": 40}), 1000.0)
    shares, _ = exchanged(shares, Ask(back={"requests": 30}), 1000.0)
    bucket = shares.buckets["requests"]
    assert (bucket.level, bucket.out, bucket.back) == (45.0, 40.0, 30.0)
    shares, _ = exchanged(shares, Ask(), 2000.0)
    assert shares.buckets["requests"].level == 95.0


def test_a_clock_that_goes_back_refills_nothing() -> None:
    shares, _ = exchanged(learned(), Ask(), 900.0)
    assert (shares.buckets["requests"].level, shares.at) == (55.0, 1000.0)


def test_a_reading_counts_less_what_may_not_have_arrived() -> None:
    shares, grant = exchanged(learned(), Ask({"requests": 1}, {"requests": 10}), 1000.0)
    seen = Seen(Reading(100, 70, None), 4.0)  # 4 of the 10 had been given out when the call was made
    shares, _ = exchanged(shares, Ask(seen={"requests": seen}), 1000.0)
    assert (grant.given, shares.buckets["requests"].level) == ({"requests": 10.0}, 70 - 5 - 6)


def test_a_call_that_is_larger_than_the_limit_takes_all_there_can_be() -> None:
    _, grant = exchanged(learned(remaining=100, reset=None), Ask({"requests": 1000}), 1000.0)
    assert (grant.given, grant.wait) == ({"requests": 95.0}, 0.0)


def test_a_pause_is_everybodys() -> None:
    shares, _ = exchanged(learned(), Ask(pause=30.0), 1000.0)
    shares, grant = exchanged(shares, Ask({"requests": 1}, pause=5.0), 1010.0)
    assert (grant.given, grant.paused) == ({}, 20.0)
    assert exchanged(shares, Ask({"requests": 1}), 1031.0)[1].given["requests"] >= 1


@dataclass
class Simulated:
    """Processes that ask as much as they may, of a server with limits; time is simulated."""

    limits: dict[str, float]
    window: float
    processes: int
    dice: random.Random
    latency: float
    now: float = 1000.0
    answers: int = 0
    _order: Any = field(default_factory=count)

    def run(self, windows: float) -> Limits:
        server = Limits(**self.limits, window=self.window, clock=lambda: self.now)
        store = Alone(lambda: self.now)
        paces = [ConnectionPace(store, "Test", clock=lambda: self.now) for _ in range(self.processes)]
        events: list[Any] = []
        ends, step = self.now + windows * self.window, self.window / 400
        while self.now < ends:
            while events and events[0][0] <= self.now:
                self._happens(*heapq.heappop(events)[2:], server, events)
            for pace in paces:
                self._send(pace, events)
            self.now += step
        return server

    def _send(self, pace: ConnectionPace, events: list[Any]) -> None:
        while len(events) < 64:
            tokens = self.dice.randint(50, 400)
            held = ExitStack()
            try:
                permit = held.enter_context(pace.permit(tokens + 50))  # estimates are too high
            except NotYet:
                return
            arrives = self.now + self.dice.uniform(0.0, 0.3)
            heapq.heappush(events, (arrives, next(self._order), "arrives", held, permit, tokens))

    def _happens(self, what: str, held: ExitStack, permit: Any, told: Any, server: Limits, events: list[Any]) -> None:
        if what == "arrives":
            admission = server.enter(told)
            at = self.now + self.dice.uniform(0.5, 1.5) * self.latency
            heapq.heappush(events, (at, next(self._order), "answered", held, permit, admission))
        else:
            permit.answered(200 if told.admitted else 429, told.headers)
            held.close()
            self.answers += told.admitted


@hypothesis(max_examples=6, deadline=None)
@given(
    st.sampled_from([{"requests_per_minute": 60.0}, {"tokens_per_minute": 30_000.0}, {"requests_per_minute": 400.0}]),
    st.sampled_from([4.0, 60.0]),
    st.integers(1, 3),
    st.integers(0, 10**6),
    st.sampled_from([0.05, 0.5]),
)
def test_processes_that_share_never_pass_a_limit_and_use_most_of_it(
    limits: dict[str, float], window: float, processes: int, seed: int, latency: float
) -> None:
    simulated = Simulated(limits, window, processes, random.Random(seed), latency)
    at_once = TURN.set(Turn(stop=lambda: True))  # nobody waits in simulated time
    try:
        server = simulated.run(windows=4)
    finally:
        TURN.reset(at_once)
    assert server.violations == 0
    used = server.admitted if "requests_per_minute" in limits else server.tokens
    (most,) = limits.values()
    assert used >= 0.6 * most * 5  # a full bucket and four refills


def rounds(window: Window, server: int, times: int) -> list[int]:
    """Sizes after each round with a server that works on ``server`` calls at once, a second each."""
    now, sizes = 10.0, []
    for _ in range(times):
        size = window.size
        window.sent(now)
        for _ in range(size):
            now += max(1.0 / size, 1.0 / server)
            window.answered(now, size)
        sizes.append(window.size)
    return sizes


def test_the_window_doubles_while_answers_come_faster() -> None:
    assert rounds(Window(), 10_000, 6) == [16, 32, 64, 128, 256, 256]
    assert rounds(Window(most=8), 10_000, 2) == [8, 8]


def test_a_server_that_only_queues_is_not_asked_for_more_at_once() -> None:
    assert rounds(Window(), 8, 5) == [16, 8, 8, 8, 8]


def test_a_window_that_is_not_full_stays() -> None:
    window = Window()
    for at in range(100):
        window.sent(float(at))
        window.answered(at + 0.5, 5)
    assert window.size == START


def test_a_refusal_halves_the_window_once_and_it_grows_one_by_one_again() -> None:
    window = Window(size=64)
    for _ in range(10):  # all sent before the first of these answers came
        window.refused(sent_at=1.0, now=2.0)
    assert window.size == 32
    window.refused(sent_at=3.0, now=4.0)
    assert window.size == 16
    assert rounds(window, 10_000, 3) == [17, 18, 19]

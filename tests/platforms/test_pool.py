from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rft_project.platforms import NotSupported, PlatformError, Unknown
from rft_project.platforms.pool import run_pool
from rft_project.platforms.retry import LONGEST, delay, should_retry


def test_every_item_comes_back_once_with_its_own_result() -> None:
    found = dict(run_pool(range(200), lambda item: item * item, in_flight=8))
    assert found == {item: item * item for item in range(200)}


def test_no_more_calls_run_than_allowed() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def call(_item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    list(run_pool(range(40), call, in_flight=5))
    assert most == 5


def test_results_come_as_they_are_ready() -> None:
    gate = threading.Event()
    results = run_pool([1, 0], lambda item: gate.wait(10) if item else "quick", in_flight=2)
    assert next(results) == (0, "quick")
    gate.set()
    assert list(results) == [(1, True)]


def test_items_are_read_only_as_they_are_needed() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            read.append(item)
            yield item

    results = run_pool(items(), lambda item: item, in_flight=3)
    next(results)
    results.close()
    assert len(read) <= 6


def test_a_retryable_error_is_tried_again_after_what_the_platform_asked() -> None:
    calls: list[float] = []

    def call(_item: int) -> str:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise PlatformError("Slow down.", retryable=True, retry_after=0.1)
        return "done"

    assert list(run_pool([1], call, in_flight=1)) == [(1, "done")]
    assert len(calls) == 3
    assert calls[2] - calls[0] >= 0.2


def test_errors_are_results_and_do_not_stop_the_others() -> None:
    final = PlatformError("No.")

    def call(item: int) -> int:
        if item == 3:
            raise final
        return item

    assert dict(run_pool(range(6), call, in_flight=2)) == {0: 0, 1: 1, 2: 2, 3: final, 4: 4, 5: 5}


def test_the_last_error_is_the_result_when_tries_are_used_up() -> None:
    calls: list[int] = []

    def call(_item: int) -> None:
        calls.append(1)
        raise PlatformError(f"Failure {len(calls)}.", retryable=True, retry_after=0)

    ((_, error),) = run_pool([1], call, in_flight=1, attempts=3)
    assert str(error) == "Failure 3."


def test_other_exceptions_are_raised() -> None:
    def call(_item: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_pool([1], call, in_flight=1))


def test_stopping_starts_nothing_new_and_ends_waits() -> None:
    stop = threading.Event()
    calls: list[int] = []

    def call(item: int) -> int:
        calls.append(item)
        if item == 4:
            stop.set()
            raise PlatformError("Later.", retryable=True, retry_after=100)
        return item

    started = time.monotonic()
    found = dict(run_pool(range(1000), call, in_flight=1, should_stop=stop.is_set))
    assert time.monotonic() - started < 5
    assert list(found) == [0, 1, 2, 3, 4]
    assert str(found[4]) == "Later."
    assert calls == [0, 1, 2, 3, 4]


def test_the_pool_needs_a_thread() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(run_pool([1], str, in_flight=0))


@pytest.mark.parametrize(
    ("attempt", "retry_after", "jitter", "seconds"),
    [
        (1, None, 1.0, 1.0),
        (3, None, 1.0, 4.0),
        (3, None, 0.5, 2.0),
        (50, None, 1.0, LONGEST),
        (1, 7.5, 0.0, 7.5),
        (1, 0.0, 1.0, 0.0),
        (1, 9999.0, 1.0, LONGEST),
    ],
)
def test_delay(attempt, retry_after, jitter, seconds) -> None:
    assert delay(attempt, retry_after, jitter) == seconds


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (PlatformError("x", retryable=True), 1, True),
        (PlatformError("x", retryable=True), 5, True),
        (PlatformError("x", retryable=True), 6, False),
        (PlatformError("x"), 1, False),
        (NotSupported("x", retryable=True), 1, False),
        (Unknown("x", retryable=True), 1, False),
    ],
)
def test_what_is_tried_again(error, attempt, expected) -> None:
    assert should_retry(error, attempt) is expected

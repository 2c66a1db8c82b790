"""Many calls to a platform at once, a bounded number in flight, results as they come."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .errors import PlatformError
from .retry import ATTEMPTS, delay, should_retry

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds between two looks at ``should_stop``.
_LOOK = 0.25


def run_pool(
    items: Iterable[Item],
    call: Callable[[Item], Result],
    *,
    in_flight: int,
    should_stop: Callable[[], bool] = lambda: False,
    attempts: int = ATTEMPTS,
) -> Iterator[tuple[Item, Result | PlatformError]]:
    """``call(item)`` for every item on at most ``in_flight`` threads; pairs in the order they finish.

    A retryable PlatformError is tried again, up to ``attempts`` tries in all, after what the platform asked for or a
    growing random wait; the last one is the item's result. ``items`` is read only as fast as it is worked off.
    When ``should_stop()`` is true, or the caller stops iterating, no new call starts and no wait goes on; calls in
    flight are finished and yielded (or dropped with the iterator). Other exceptions of ``call`` are raised here.
    """
    if in_flight < 1:
        raise ValueError("in_flight must be at least 1.")
    stop = threading.Event()
    source = iter(items)
    waiting: dict[Future[Result | PlatformError], Item] = {}
    executor = ThreadPoolExecutor(in_flight, thread_name_prefix="platform-pool")
    try:
        while True:
            if should_stop():
                stop.set()
            while not stop.is_set() and len(waiting) < in_flight:
                try:
                    item = next(source)
                except StopIteration:
                    break
                waiting[executor.submit(_patiently, call, item, stop, attempts)] = item
            if not waiting:
                return
            done, _ = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


def _patiently(
    call: Callable[[Item], Result], item: Item, stop: threading.Event, attempts: int
) -> Result | PlatformError:
    attempt = 1
    while True:
        try:
            return call(item)
        except PlatformError as error:
            if stop.is_set() or not should_retry(error, attempt, attempts):
                return error
            # Jitter needs no cryptographic randomness.
            if stop.wait(delay(attempt, error.retry_after, random.random())):
                return error
            attempt += 1

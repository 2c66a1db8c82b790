"""Many calls to a platform at once, a bounded number in flight, results as they come."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from .errors import NotYet, PlatformError
from .pacing import TURN, Turn
from .retry import ATTEMPTS, LONGEST, delay, should_retry

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Calls handed out at once; the pace of a connection lets fewer leave where it must.
IN_FLIGHT = 64
#: Seconds; a longer wait is the caller's: a worker has other jobs to do meanwhile.
LONGEST_WAIT = 15.0
#: The same for callers that have nothing else to do.
PATIENT = LONGEST
#: Seconds between two looks at ``should_stop``.
_LOOK = 0.25


def run_pool(
    items: Iterable[Item],
    call: Callable[[Item], Result],
    *,
    in_flight: int = IN_FLIGHT,
    should_stop: Callable[[], bool] = lambda: False,
    attempts: int = ATTEMPTS,
    longest: float = LONGEST_WAIT,
) -> Iterator[tuple[Item, Result | PlatformError]]:
    """``call(item)`` for every item on at most ``in_flight`` threads; pairs in the order they finish.

    How many are really in flight, and when each leaves, is up to the pace of the platform's connection. A retryable
    PlatformError is tried again, up to ``attempts`` tries in all, after what the platform asked for or a growing random
    wait; the last one is the item's result. Waiting for the pace is no try. Where it is known to last more than
    ``longest`` seconds, and where a stop ends it, the result is NotYet: such an item was not asked, or was told to come
    back later. ``items`` is read only as fast as it is worked off.
    When ``should_stop()`` is true, or the caller stops iterating, no new call starts and no wait goes on; calls in
    flight are finished and yielded (or dropped with the iterator). Other exceptions of ``call`` are raised here.
    """
    if in_flight < 1:
        raise ValueError("in_flight must be at least 1.")
    stop = threading.Event()
    source = iter(items)
    waiting: dict[Future[Result | PlatformError], Item] = {}
    done: SimpleQueue[Future[Result | PlatformError]] = SimpleQueue()
    # Each thread has the turn from its start on, and nothing else runs in it.
    turn = Turn(stop.is_set, longest, patient=True)
    executor = ThreadPoolExecutor(in_flight, "platform-pool", initializer=TURN.set, initargs=(turn,))
    try:
        while True:
            if should_stop():
                stop.set()
            while not stop.is_set() and len(waiting) < in_flight:
                try:
                    item = next(source)
                except StopIteration:
                    break
                future = executor.submit(_patiently, call, item, stop, attempts, longest)
                waiting[future] = item
                future.add_done_callback(done.put)
            if not waiting:
                return
            try:
                future = done.get(timeout=_LOOK)
            except Empty:
                continue
            yield waiting.pop(future), future.result()
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


def persistently(call: Callable[[], Result], *, attempts: int = 3) -> Result:
    """``call()``, tried again after a second or two where that may help: for one call of a question whose other calls
    are paid for, and would be made anew with it. Raises its last PlatformError."""
    for attempt in itertools.count(1):
        try:
            return call()
        except PlatformError as error:
            if isinstance(error, NotYet) or not should_retry(error, attempt, attempts):
                raise
            time.sleep(delay(attempt, None, random.random()))
    raise AssertionError("unreachable")


def _patiently(
    call: Callable[[Item], Result], item: Item, stop: threading.Event, attempts: int, longest: float
) -> Result | PlatformError:
    attempt = 1
    while True:
        try:
            return call(item)
        except NotYet as not_yet:
            return not_yet
        except PlatformError as error:
            if not should_retry(error, attempt, attempts):
                return error
            # Jitter needs no cryptographic randomness.
            seconds = delay(attempt, error.retry_after, random.random())
            told = error.retry_after is not None
            if (told and seconds > longest) or stop.wait(seconds):
                return NotYet(str(error), seconds) if told else error
            attempt += 1

"""Rate limits as platforms enforce them: token buckets for requests and tokens, and a number of requests at once.

Headers are those of OpenAI and Azure: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` and ``retry-after``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Admission:
    """Whether a request may go on, the headers of its answer, and why it may not."""

    admitted: bool
    headers: dict[str, str]
    message: str = ""


@dataclass
class _Bucket:
    """``most`` in ``window`` seconds, refilled all the time."""

    name: str
    most: float
    window: float
    level: float
    filled_at: float

    def refill(self, now: float) -> None:
        self.level = min(self.most, self.level + (now - self.filled_at) * self.most / self.window)
        self.filled_at = now

    def wait(self, wanted: float) -> float:
        """Seconds until ``wanted`` are there; 0 where they are."""
        return max(0.0, (min(wanted, self.most) - self.level) * self.window / self.most)


@dataclass
class Limits:
    """``violations`` counts the requests that were refused, ``most_at_once`` how many were at work together.

    Both rates are per ``window`` seconds (a minute; shorter in tests). ``burst``: the share of a rate that may be used
    at once. Platforms with their own header names take ``Admission.headers`` away.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None
    window: float = 60.0
    burst: float = 1.0
    clock: Callable[[], float] = time.monotonic
    violations: int = 0
    admitted: int = 0
    tokens: int = 0
    at_once: int = 0
    most_at_once: int = 0
    _buckets: list[_Bucket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        now = self.clock()
        for name, rate in (("requests", self.requests_per_minute), ("tokens", self.tokens_per_minute)):
            if rate is not None:
                most, window = max(1.0, rate * self.burst), self.window * self.burst
                self._buckets.append(_Bucket(name, most, window, most, now))

    def enter(self, tokens: int) -> Admission:
        """Ask for one request of ``tokens``. An admitted one is followed by ``leave``."""
        with self._lock:
            now, wait, short = self.clock(), 0.0, ""
            for bucket in self._buckets:
                bucket.refill(now)
                needed = bucket.wait(1 if bucket.name == "requests" else tokens)
                if needed > wait:
                    wait, short = needed, bucket.name
            if self.concurrency is not None and self.at_once >= self.concurrency and not short:
                wait, short = 0.05, "concurrent requests"
            if short:
                self.violations += 1
                after = {"retry-after": str(max(1, math.ceil(wait))), "retry-after-ms": str(math.ceil(wait * 1000))}
                message = f"Rate limit reached on {short}. Please try again in {wait:.3f}s."
                return Admission(False, {**self._headers(), **after}, message)
            for bucket in self._buckets:
                bucket.level -= 1 if bucket.name == "requests" else min(tokens, bucket.most)
            self.admitted, self.tokens, self.at_once = self.admitted + 1, self.tokens + tokens, self.at_once + 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            return Admission(True, self._headers())

    def leave(self) -> None:
        with self._lock:
            self.at_once -= 1

    def _headers(self) -> dict[str, str]:
        found = {}
        for bucket in self._buckets:
            found[f"x-ratelimit-limit-{bucket.name}"] = str(math.floor(bucket.most))
            found[f"x-ratelimit-remaining-{bucket.name}"] = str(math.floor(bucket.level))
            found[f"x-ratelimit-reset-{bucket.name}"] = span(bucket.wait(bucket.most))
        return found


def span(seconds: float) -> str:
    """A time as these headers write it: ``12ms``, ``1.5s``, ``6m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{seconds % 60:.0f}s"

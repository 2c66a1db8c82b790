"""What a platform says of its rate limits, and how much of them may be used: pure arithmetic, no clock and no lock.

A limit is believed to be a bucket: so much at most, refilled all the time. The headers
``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` tell the most, what is there, and in how many seconds it is
full again, which gives the rate. A twentieth is kept back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from pydantic import BaseModel

#: The share of every limit that is left alone: for rounding in the headers, and for calls that overtake each other.
KEPT_BACK = 0.05
#: Seconds in which a limit is refilled where nothing tells it: platforms name their limits by the minute.
MINUTE = 60.0
#: Of a limit this much must be used before the time it takes to refill tells the rate exactly enough.
_TELLING = 20
#: Seconds for which given shares may lie unused, and for which a call may be on its way to the platform: a fortieth of
#: the time in which the limit is refilled, within these bounds.
_SHARE, _LONGEST_USE, _LONGEST_WAY, _SHORTEST_USE, _SHORTEST_WAY = 40, 1.5, 1.5, 0.02, 0.4
_SPAN = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII)
_SECONDS = (86_400.0, 3600.0, 60.0, 1.0, 0.001)


class Reading(NamedTuple):
    """What one answer's headers tell of one limit; ``reset`` in seconds. None: not told."""

    limit: float | None
    remaining: float
    reset: float | None


@dataclass(frozen=True)
class Seen:
    """A reading, and all that was surely used before it was taken; None where that is not known, or the reading is too
    old to tell what is there now."""

    reading: Reading
    spent: float | None


@dataclass(frozen=True)
class Ask:
    """What a process wants of a connection's shares. Amounts are by limit (``requests``, ``tokens``).

    ``least``: what the next call needs, {} where nothing is wanted. ``most``: what all that wait need. ``back``: shares
    of an earlier grant that were not used. ``pause``: seconds for which the platform wants no call. ``heard``: an
    answer came, with headers or without.
    """

    least: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    back: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    pause: float = 0.0
    heard: bool = False

    @property
    def tells(self) -> bool:
        """Whether others must know of it."""
        return bool(self.seen or self.pause or self.heard or any(self.back.values()))


@dataclass(frozen=True)
class Grant:
    """``given`` may be used for ``lasting`` seconds; {} where ``least`` is not there for ``wait`` more seconds, and
    where nothing limits. ``paused``: seconds in which nobody calls. ``settled``: seconds after which what was given is
    used or back, and has arrived; ``refill``: seconds in which an empty limit is full again. ``heard_ago``: seconds
    since an answer told of the limits, None where none did. ``out`` and ``back``: all that was ever given out of each
    limit, and what of it came back unused.
    """

    given: dict[str, float]
    wait: float
    paused: float
    lasting: float
    settled: float
    refill: float
    heard_ago: float | None
    out: dict[str, float]
    back: dict[str, float]

    @property
    def limited(self) -> bool:
        return bool(self.out)


class Bucket(BaseModel):
    """One limit. ``level``: what may still be given out, below zero where others use the account too; ``out``: all that
    was ever given out; ``back``: what of it came back; ``guessed``: the rate is the limit in a minute, until enough was
    seen."""

    limit: float
    rate: float
    level: float
    out: float = 0.0
    back: float = 0.0
    guessed: bool = True

    @property
    def most(self) -> float:
        return self.limit * (1 - KEPT_BACK)

    def add(self, amount: float) -> None:
        self.level = min(self.most, self.level + amount)

    def refill(self, seconds: float) -> None:
        self.add(seconds * self.rate * (1 - KEPT_BACK))

    def take(self, amount: float) -> float:
        self.level -= amount
        self.out += amount
        return amount

    def take_back(self, amount: float) -> None:
        self.add(amount)
        self.back += amount

    def needed(self, amount: float) -> float:
        """What a call of ``amount`` takes: never more than there can be, or it would wait for ever."""
        return min(amount, self.most)

    def wait(self, amount: float) -> float:
        """Seconds until ``amount`` is there."""
        return max(0.0, (self.needed(amount) - self.level) / (self.rate * (1 - KEPT_BACK)))

    def learn_rate(self, reading: Reading) -> None:
        """From how long it takes to refill what is used. One less than is used: the headers are rounded."""
        used = self.limit - reading.remaining
        if not reading.reset or used < 2:
            return
        rate = min(self.limit, (used - 1) / reading.reset)
        if used >= _TELLING:
            self.rate = rate if self.guessed else (self.rate + rate) / 2
            self.guessed = False
        elif self.guessed:
            self.rate = max(self.rate, rate)


class Shares(BaseModel):
    """What is known of a connection's limits, at a time: seconds since 1970, as all times here."""

    at: float = 0.0
    heard: float | None = None
    paused_until: float = 0.0
    buckets: dict[str, Bucket] = {}

    def learn(self, name: str, seen: Seen) -> None:
        """What is there is what the platform says, less all that may not have arrived there when it said so."""
        reading, known = seen.reading, self.buckets.get(name)
        limit = reading.limit or (known.limit if known else 0.0) or reading.remaining
        if limit < 1:
            return
        if known is None or known.limit != limit:
            new = Bucket(limit=limit, rate=limit / MINUTE, level=reading.remaining - limit * KEPT_BACK)
            self.buckets[name] = known = new.model_copy(update={"out": known.out, "back": known.back} if known else {})
        known.learn_rate(reading)
        if seen.spent is not None:
            there = reading.remaining - limit * KEPT_BACK - max(0.0, known.out - known.back - seen.spent)
            known.level = min(known.most, max(-limit, there))


def exchanged(shares: Shares, ask: Ask, now: float) -> tuple[Shares, Grant]:
    """``shares`` after ``ask`` at ``now``, and what the asking process got. Clocks that go back refill nothing."""
    after = shares.model_copy(deep=True)
    passed, after.at = max(0.0, now - shares.at), max(now, shares.at)
    for name, bucket in after.buckets.items():
        bucket.refill(passed)
        bucket.take_back(ask.back.get(name, 0.0))
    for name, seen in ask.seen.items():
        after.learn(name, seen)
    if ask.heard:
        after.heard = now
    if ask.pause:
        after.paused_until = max(after.paused_until, now + ask.pause)
    paused = max(0.0, after.paused_until - now)
    buckets = after.buckets if ask.least else {}
    wait = max((bucket.wait(ask.least.get(name, 0.0)) for name, bucket in buckets.items()), default=0.0)
    refill = min((bucket.limit / bucket.rate for bucket in after.buckets.values()), default=MINUTE)
    lasting = min(_LONGEST_USE, max(_SHORTEST_USE, refill / _SHARE))
    given = {}
    if not wait and not paused:
        for name, bucket in buckets.items():
            least = bucket.needed(ask.least.get(name, 0.0))
            wanted = max(least, ask.most.get(name, 0.0), bucket.rate * lasting)
            given[name] = bucket.take(max(least, min(bucket.level, wanted)))
    return after, Grant(
        given=given,
        wait=wait,
        paused=paused,
        lasting=lasting,
        settled=lasting + min(_LONGEST_WAY, max(_SHORTEST_WAY, refill / _SHARE)),
        refill=refill,
        heard_ago=None if after.heard is None else max(0.0, now - after.heard),
        out={name: bucket.out for name, bucket in after.buckets.items()},
        back={name: bucket.back for name, bucket in after.buckets.items()},
    )


def readings_of(headers: Mapping[str, str]) -> dict[str, Reading]:
    """What an answer's headers tell, by limit. ``headers`` finds names in lower case."""
    found = {}
    for name in ("requests", "tokens"):
        remaining = _number(headers.get(f"x-ratelimit-remaining-{name}"))
        if remaining is not None:
            limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
            found[name] = Reading(limit or None, remaining, span_of(headers.get(f"x-ratelimit-reset-{name}") or ""))
    return found


def span_of(text: str) -> float | None:
    """Seconds of a time as these headers write it: ``12ms``, ``1.5s``, ``6m0s``, or a bare number of seconds."""
    if (number := _number(text)) is not None:
        return number
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); None where absent or unusable."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _number(text: str | None) -> float | None:
    """A count that is not negative; None for anything else. ``float`` alone would take ``nan`` and ``1_0``."""
    return float(text) if text and len(text) < 16 and re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else None

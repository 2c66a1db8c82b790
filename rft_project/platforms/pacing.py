"""When a call to a platform may leave: one pace for each connection, shared by all threads that use it.

A call asks for a permit with the tokens it may take. It gets one in its turn once

1. nobody was told to wait (``Retry-After`` holds for the whole connection, not for one thread),
2. fewer calls are in flight than :class:`~rft_project.platforms.window.Window` allows,
3. the shares that this process holds of the connection's limits suffice; else it takes new ones from a ``Store``, which
   other processes take theirs from too (:mod:`~rft_project.platforms.rates`).

Until the first answer told what the limits are, one call is alone in flight.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .errors import NotYet
from .rates import Ask, Grant, Reading, Seen, Shares, exchanged, readings_of, retry_after_of
from .retry import LONGEST
from .window import Window

#: Seconds between two looks at whether a waiting call is to be given up, and at what other processes were told.
_POLL, _LOOK = 0.25, 1.0
#: Seconds after which what was heard of the limits is old: then one call goes ahead alone again.
_OLD = 600.0
#: Statuses with which platforms ask for fewer calls.
_REFUSED = (429, 503, 529)
#: A reading older than this share of the time a limit takes to refill does not tell what is there now.
_FRESH = 0.25


class Turn(NamedTuple):
    """How the calls of a thread wait. ``longest``: seconds; a wait that is known to last longer is not begun. Where
    ``patient``, waiting for one's turn behind others may last longer than that. Where ``ahead()``, the turn comes
    before those of all calls that are not."""

    stop: Callable[[], bool] = lambda: False
    longest: float = 10.0
    patient: bool = False
    ahead: Callable[[], bool] = lambda: False


#: Set by whoever makes many calls; a page that makes one waits as the default says.
TURN: ContextVar[Turn] = ContextVar("turn", default=Turn())  # noqa: B039 - a turn never changes


@contextmanager
def committed(gone: Callable[[], bool] = lambda: False, paid: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Around what is left of a question that takes several calls, the first of which is made: giving up would throw
    away what is paid for, so neither a stop nor a long queue does. ``gone``: the first has failed. ``paid``: it is
    answered, and the others go before questions that are not begun, which a stop can still take back."""
    token = TURN.set(Turn(gone, LONGEST, patient=True, ahead=paid))
    try:
        yield
    finally:
        TURN.reset(token)


class Permit(Protocol):
    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Tell the status and the headers (found by names in lower case) of the answer, whatever it was."""


class Pace(Protocol):
    def permit(self, tokens: float) -> AbstractContextManager[Permit]:
        """Around one request that may take ``tokens``. Waits; raises NotYet where that lasts too long."""

    def management(self) -> AbstractContextManager[Permit]:
        """Around a request that takes no share of the limits; it waits only while the connection was told to."""


class Store(Protocol):
    def exchange(self, ask: Ask) -> Grant:
        """Raises NotYet where the shares can't be reached."""


class Alone:
    """The store of a connection that one process uses."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._shares, self._lock = clock, Shares(), threading.Lock()

    def exchange(self, ask: Ask) -> Grant:
        with self._lock:
            self._shares, grant = exchanged(self._shares, ask, self._clock())
        return grant


class _Unpaced:
    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        pass

    @contextmanager
    def permit(self, tokens: float) -> Iterator[Permit]:
        yield self

    @contextmanager
    def management(self) -> Iterator[Permit]:
        yield self


#: For adapters that nobody gave a pace.
UNPACED: Pace = _Unpaced()


@dataclass(eq=False)
class _Ticket:
    tokens: float
    ahead: bool = False
    rung: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Sent:
    """A call on its way. ``counted``: it takes a place of the window."""

    pace: ConnectionPace
    at: float
    counted: bool

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.pace.heard(self, status, headers)


class ConnectionPace:
    """A :class:`Pace`; thread-safe. ``alone_first``: limits are to be heard of before several calls are in flight.

    ``clock``: seconds that never go back.
    """

    def __init__(
        self,
        store: Store,
        label: str,
        *,
        window: Window | None = None,
        alone_first: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._label, self._clock = store, label, clock
        self._window = window or Window()
        self._alone_first = alone_first
        self._lock, self._exchanging = threading.Lock(), threading.Lock()
        self._queue: deque[_Ticket] = deque()
        self._in_flight = 0
        self._paused_until = self._have_until = self._looked_at = self._heard_at = float("-inf")
        self._have: dict[str, float] = {}
        self._limited = False
        self._settled, self._lasting, self._refill = 2.0, 1.0, 60.0
        self._seen: dict[str, tuple[float, Reading]] = {}  # when the call was sent, what its answer told
        #: What had been given out in all and come back, and when.
        self._past: deque[tuple[float, Grant]] = deque(maxlen=512)

    @contextmanager
    def permit(self, tokens: float) -> Iterator[Permit]:
        self._enter(tokens)
        try:
            yield _Sent(self, self._clock(), counted=True)
        finally:
            with self._lock:
                self._in_flight -= 1
                self._ring()

    @contextmanager
    def management(self) -> Iterator[Permit]:
        turn, began = TURN.get(), self._clock()
        while (wait := self._paused_until - (now := self._clock())) > 0:
            if turn.stop() or wait + now - began > turn.longest:
                raise self._not_yet(wait)
            time.sleep(min(wait, _POLL))
        yield _Sent(self, self._clock(), counted=False)

    def heard(self, sent: _Sent, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer; what others must know at once is told to the store."""
        now, refused = self._clock(), status in _REFUSED
        wait = retry_after_of(headers) if refused else None
        pause = min(wait or 0.0, LONGEST)
        readings = readings_of(headers) if sent.counted else {}
        with self._lock:
            if sent.counted and refused:
                self._window.refused(sent.at, now)
            elif sent.counted:
                self._window.answered(now, self._in_flight)
            for name, reading in readings.items():
                if name not in self._seen or sent.at >= self._seen[name][0]:
                    self._seen[name] = (sent.at, reading)
            self._paused_until = max(self._paused_until, now + pause)
            tell = bool(pause) or (sent.counted and not self._heard_within(_OLD / 2, now))
        if tell:
            with suppress(NotYet):  # the answer is there; what it told is told again with the next
                self._exchange(pause=pause, heard=sent.counted and status < 500)

    # One call's way through the queue

    def _enter(self, tokens: float) -> None:
        turn, began = TURN.get(), self._clock()
        ticket = _Ticket(tokens, turn.ahead())
        with self._lock:
            before = sum(other.ahead for other in self._queue) if ticket.ahead else len(self._queue)
            self._queue.insert(before, ticket)
        try:
            while (wait := self._step(ticket)) != 0:
                if turn.stop() or (wait or 0.0) > turn.longest:
                    raise self._not_yet(wait or _LOOK)
                if not turn.patient and self._clock() - began > turn.longest:
                    raise self._not_yet(wait or _LOOK)
                ticket.rung.wait(min(wait or _POLL, _POLL))
                ticket.rung.clear()
        except BaseException:
            with self._lock:
                self._queue.remove(ticket)
                self._ring()
            raise

    def _step(self, ticket: _Ticket) -> float | None:
        """0 where the call may leave now; else the seconds to wait, None where they are not known."""
        with self._lock:
            now = self._clock()
            if self._queue[0] is not ticket:
                return None
            if self._paused_until > now:
                return self._paused_until - now
            if not self._place(now):
                return None
            if self._enough(ticket, now):
                return self._leave(ticket, now)
            places = self._window.size - self._in_flight
            waiting = [other.tokens for other in list(self._queue)[:places]]
        grant = self._exchange(
            least={"requests": 1.0, "tokens": ticket.tokens},
            most={"requests": float(len(waiting)), "tokens": sum(waiting)},
        )
        if grant.paused or grant.wait:
            return max(grant.paused, grant.wait)
        with self._lock:
            now = self._clock()
            if self._paused_until > now:  # another thread was told to wait meanwhile
                return self._paused_until - now
            if not self._holds(ticket, grant):  # another thread gave back what was granted
                ticket.rung.set()
                return None
            return self._leave(ticket, now) if self._place(now) else None

    def _place(self, now: float) -> bool:
        """Whether one more may be in flight."""
        if self._alone_first and not self._heard_within(_OLD, now):
            return self._in_flight == 0
        return self._in_flight < self._window.size

    def _heard_within(self, seconds: float, now: float) -> bool:
        return now - self._heard_at < seconds

    def _enough(self, ticket: _Ticket, now: float) -> bool:
        if not self._limited:
            return now - self._looked_at < _LOOK
        wanted = {"requests": 1.0, "tokens": ticket.tokens}
        if not self._have or self._have_until <= now:
            return False
        return all(amount >= wanted[name] for name, amount in self._have.items())

    def _holds(self, ticket: _Ticket, grant: Grant) -> bool:
        """Whether what was granted for the ticket is still there; less than it asks for where a limit is smaller."""
        wanted = {"requests": 1.0, "tokens": ticket.tokens}
        return all(self._have.get(name, 0.0) >= min(wanted[name], given) for name, given in grant.given.items())

    def _leave(self, ticket: _Ticket, now: float) -> float:
        for name, amount in (("requests", 1.0), ("tokens", ticket.tokens)):
            if name in self._have:
                self._have[name] = max(0.0, self._have[name] - amount)
        self._queue.remove(ticket)
        self._in_flight += 1
        self._window.sent(now)
        self._ring()
        return 0.0

    def _ring(self) -> None:
        """Wake the call whose turn it is."""
        if self._queue:
            self._queue[0].rung.set()

    def _not_yet(self, wait: float) -> NotYet:
        seconds = "a second" if wait < 1.5 else f"{wait:,.0f} seconds"
        return NotYet(f"The rate limit of {self._label} has no room now; the next call can be made in {seconds}.", wait)

    # The shares of this process

    def _exchange(
        self,
        *,
        least: dict[str, float] | None = None,
        most: dict[str, float] | None = None,
        pause: float = 0.0,
        heard: bool = False,
    ) -> Grant:
        with self._exchanging:
            with self._lock:
                back, self._have = self._have, {}
                seen = {name: self._as_seen(name, *told) for name, told in self._seen.items()}
                self._seen = {}
            grant = self._store.exchange(Ask(least or {}, most or {}, back, seen, pause, heard))
            with self._lock:
                now = self._clock()
                self._have, self._have_until = dict(grant.given), now + grant.lasting
                self._looked_at, self._limited = now, grant.limited
                self._settled, self._lasting, self._refill = grant.settled, grant.lasting, grant.refill
                self._paused_until = max(self._paused_until, now + grant.paused)
                if grant.heard_ago is not None:
                    self._heard_at = now - grant.heard_ago
                if not self._past or now - self._past[-1][0] > grant.settled / 16:
                    self._past.append((now, grant))
        return grant

    def _as_seen(self, name: str, sent_at: float, reading: Reading) -> Seen:
        """With what had been given out so long before the call that it was used and had arrived when the platform
        counted, or had come back unused."""
        if self._clock() - sent_at > self._refill * _FRESH:
            return Seen(reading, None)
        before = [grant for at, grant in self._past if at <= sent_at - self._settled]
        since = [grant for at, grant in self._past if at >= sent_at - self._settled + self._lasting]
        if not before or not since:
            return Seen(reading, None)
        return Seen(reading, before[-1].out.get(name, 0.0) - since[0].back.get(name, 0.0))

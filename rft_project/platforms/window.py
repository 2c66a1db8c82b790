"""How many calls may be in flight where no header tells: found out by trying, given up when the platform objects."""

from __future__ import annotations

from dataclasses import dataclass

#: Calls in flight to begin with, and the most there ever are.
START, MOST = 8, 256
#: More in flight must answer by this factor faster, or the server only lets them queue.
_WORTH = 1.15
#: The share of places taken where a window counts as full: a call follows one that was answered a little later.
_FULL = 0.75
#: Seconds until more is tried again after it was not worth it.
_TRY_AGAIN = 120.0


@dataclass
class Window:
    """Doubled while that makes answers come faster, as TCP starts; halved on a refusal, and one more each round then.

    A round is as many answers as may be in flight; one in which the window was not nearly full tells nothing. Times are
    seconds of any clock that does not go back.
    """

    most: int = MOST
    size: int = START
    _cautious: bool = False
    _quiet_until: float = 0.0
    _halved_at: float = float("-inf")
    _best: float = 0.0
    _answers: int = 0
    _began: float | None = None

    def __post_init__(self) -> None:
        self.size = min(self.size, self.most)

    def sent(self, now: float) -> None:
        if self._began is None:
            self._began = now

    def answered(self, now: float, in_flight: int) -> None:
        """An answer came, of a call that was among ``in_flight``."""
        full = in_flight >= self.size * _FULL
        if not full or self.size >= self.most or now < self._quiet_until or self._began is None:
            self._new_round(None if not full else now)
            return
        self._answers += 1
        if self._answers < self.size or now <= self._began:
            return
        rate = self._answers / (now - self._began)
        self._new_round(now)
        if self._cautious:
            self.size += 1
        elif rate >= self._best * _WORTH:
            self._best, self.size = rate, min(self.most, self.size * 2)
        else:
            self.size, self._best, self._quiet_until = max(START, self.size // 2), 0.0, now + _TRY_AGAIN

    def refused(self, sent_at: float, now: float) -> None:
        """Refused as too much. What was sent before the last halving tells nothing new."""
        if sent_at >= self._halved_at:
            self.size, self._halved_at, self._cautious = max(1, self.size // 2), now, True
        self._new_round(now)

    def _new_round(self, now: float | None) -> None:
        self._answers, self._began = 0, now

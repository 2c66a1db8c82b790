"""What a handler may raise to say how its slice ended; returning a result means the job succeeded.

Outcome
 ├─ Again         my time is used up, queue me again at once
 ├─ WaitUntil     nothing to do for a while: park me and wake me later
 ├─ JobFailed     it cannot be done, here is why
 ├─ Cancelled     a person asked to stop and I stopped
 └─ Lost          somebody else runs this job now: stop without a trace
"""

from __future__ import annotations


class Outcome(Exception):
    """Base of the ways a slice ends other than with a result."""


class Again(Outcome):
    """The slice of time is used up and work is left; everything done so far is committed."""


class WaitUntil(Outcome):
    """Park the job for ``seconds`` (0 or more), showing ``note`` ("waiting for OpenAI to train")."""

    def __init__(self, seconds: float, note: str = "") -> None:
        super().__init__(note or f"waits {seconds} s")
        self.seconds = max(0.0, float(seconds))
        self.note = note


class JobFailed(Outcome):
    """The job ends here; ``message`` is one sentence for people: what happened, what to do."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Cancelled(Outcome):
    """Raised by ``ctx.check()`` when a stop was asked for.

    A handler that started something elsewhere catches it, stops that, and raises it again.
    """


class Lost(Outcome):
    """The lease passed to another worker; nothing this one writes counts any more. Never catch it."""

"""When to try again: pure arithmetic, no clock and no sleeping."""

from __future__ import annotations

from .errors import NotSupported, PlatformError, Unknown

#: Tries in all of one read or sampling call.
ATTEMPTS = 6
#: Seconds; the longest wait between two tries, also where a platform asks for more.
LONGEST = 120.0


def delay(attempt: int, retry_after: float | None, jitter: float) -> float:
    """Seconds to wait before try ``attempt + 1`` (``attempt`` counts from 1).

    What the platform asked for, else full jitter under 1, 2, 4, … 120 s: ``jitter`` is a random number in 0..1.
    """
    if retry_after is not None and retry_after >= 0:
        return min(retry_after, LONGEST)
    return jitter * min(LONGEST, 2.0 ** min(attempt - 1, 16))


def should_retry(error: PlatformError, attempt: int, attempts: int = ATTEMPTS) -> bool:
    """Whether a call that does not start paid work may be made again after its try number ``attempt`` failed."""
    return attempt < attempts and error.retryable and not isinstance(error, NotSupported | Unknown)

"""The one error that leaves an adapter.

PlatformError
 ├─ NotSupported      the platform cannot do this at all
 ├─ NotYet            its rate limit has no room: nothing was sent, ask again after ``retry_after``
 └─ Unknown           a spending call ended without a clear answer: look the job up before trying again
"""

from __future__ import annotations


class PlatformError(Exception):
    """Something a platform refused or failed to do; ``str(error)`` is a sentence for people.

    ``retryable``: the same call may work later. ``retry_after``: seconds the platform asked us to wait.
    ``code``: its own error code, for support. ``status``: the HTTP status, if there was one. ``remedy``: text to copy
    that would help, such as a missing policy; '' where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        code: str = "",
        status: int | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.code = code
        self.status = status
        self.remedy = remedy


class NotSupported(PlatformError):
    """The platform has no such ability."""


class NotYet(PlatformError):
    """The call was not made: there is no room for it now. It counts as no attempt."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, retryable=True, retry_after=max(0.0, seconds))


class Unknown(PlatformError):
    """A call that may have taken effect ended without an answer."""

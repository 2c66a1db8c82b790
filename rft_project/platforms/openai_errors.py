"""Whatever the OpenAI SDK raises, as one PlatformError with a sentence for people.

| what happened | reading or sampling | a call that starts paid work |
|---|---|---|
| no connection was made | retryable | retryable: nothing was sent |
| 400, 401, 403, 404, 413, 422 | final | final |
| 409 | retryable | Unknown |
| 429 | retryable, ``retry_after`` (final where the quota is used up) | the same: nothing was started |
| 408, 5xx, time-out, dropped connection, unreadable answer | retryable | Unknown |
| a redirect | final (never followed: it would carry the request elsewhere) | final |
"""

from __future__ import annotations

import json

import httpx2
import openai

from .bounded import TooLong
from .errors import PlatformError, Unknown
from .rates import retry_after_of

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_LONGEST_WORDS = 300
#: 429 codes that waiting does not mend.
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached")


def translate(
    error: Exception, *, platform: str, doing: str, spending: bool = False, secret: str = ""
) -> PlatformError:
    """``doing`` completes "… did not answer while …", e.g. "listing models". ``secret`` is never repeated."""
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, platform, doing, spending, secret)
    if isinstance(error, openai.APIConnectionError):
        return _of_connection(error, platform, doing, spending)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | openai.APIResponseValidationError):
        return unreadable(platform, doing, spending=spending)
    words = scrubbed(str(error) or type(error).__name__, secret)
    return _unclear(f"The call to {platform} failed while {doing}: {words}", spending)


def unreadable(platform: str, doing: str, *, spending: bool = False) -> PlatformError:
    """The answer was no JSON of the expected shape."""
    return _unclear(f"{platform} sent an answer that can't be read while {doing}.", spending)


def _of_connection(error: openai.APIConnectionError, platform: str, doing: str, spending: bool) -> PlatformError:
    if isinstance(error.__cause__, _NEVER_SENT):
        return PlatformError(f"{platform} can't be reached: check the address and the network.", retryable=True)
    if isinstance(error.__cause__, TooLong):
        return _unclear(f"{platform} sent an answer that is too long to be read while {doing}.", spending)
    if isinstance(error, openai.APITimeoutError):
        return _unclear(f"{platform} did not answer in time while {doing}.", spending)
    return _unclear(f"The connection to {platform} broke while {doing}.", spending)


def _of_status(error: openai.APIStatusError, platform: str, doing: str, spending: bool, secret: str) -> PlatformError:
    status, code = error.status_code, error.code or ""
    words = _words(error, secret)
    if status == 401:
        return PlatformError(f"{platform} does not accept the key: {words}", code=code, status=status)
    if status == 403:
        return PlatformError(f"{platform} does not allow this: {words}", code=code, status=status)
    if 300 <= status < 400:
        sentence = f"{platform} answered with a redirect, which is not followed: check the address."
        return PlatformError(sentence, code=code, status=status)
    if status == 429:
        return PlatformError(
            f"{platform} asks for fewer requests: {words}",
            retryable=code not in _QUOTA_CODES,
            retry_after=retry_after_of(error.response.headers),
            code=code,
            status=status,
        )
    if status in (408, 409) or status >= 500:
        sentence = f"{platform} failed while {doing} (HTTP {status}): {words}"
        return _unclear(sentence, spending, code, status, retry_after_of(error.response.headers))
    return PlatformError(f"{platform} refused: {words}", code=code, status=status)


def _unclear(
    sentence: str, spending: bool, code: str = "", status: int | None = None, retry_after: float | None = None
) -> PlatformError:
    kind = Unknown if spending else PlatformError
    return kind(sentence, retryable=True, retry_after=retry_after, code=code, status=status)


def _words(error: openai.APIStatusError, secret: str) -> str:
    """The platform's own message."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(message, str) and message.strip():
            return scrubbed(message, secret)
    return "it gave no reason."


def scrubbed(words: str, secret: str) -> str:
    """One line of bounded length without ``secret``, ending like a sentence."""
    if secret:
        words = words.replace(secret, "…")
    line = " ".join(words.split())
    if len(line) > _LONGEST_WORDS:
        line = line[:_LONGEST_WORDS].rstrip() + "…"
    return line if line.endswith((".", "!", "?", "…")) else line + "."

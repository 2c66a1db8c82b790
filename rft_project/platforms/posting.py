"""One JSON request and its answer, with less than half of the SDK's work: for questions, of which many are in flight.

What goes wrong is raised as the SDK raises it, so that one table (``openai_errors``) says what that means. As with the
SDK's client no redirect is followed, no proxy is read from the environment, no cookie is kept, nothing is tried again,
and no answer fills the memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import httpx2
import openai
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from .bounded import MOST_BYTES, TooLong

CONNECT_TIMEOUT = 10.0
#: Seconds after which an idle connection is not used again: before servers drop it (uvicorn: 5 s), so that none breaks
#: just when it is used.
IDLE = 3.0
#: Connections kept to one server; more are made where they are needed, and closed afterwards.
_KEPT = 300
_PART = 65_536


@dataclass(frozen=True)
class Answered:
    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Idles(HTTPConnection):
    answered_at = 0.0

    @property
    def is_connected(self) -> bool:
        return super().is_connected and time.monotonic() - self.answered_at < IDLE

    def getresponse(self) -> Any:
        response = super().getresponse()
        self.answered_at = time.monotonic()
        return response


class _IdlesSafely(_Idles, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Idles


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _IdlesSafely


@lru_cache(maxsize=1)
def _pools(_process: int) -> urllib3.PoolManager:
    """The connections of a process; certificates are checked by the same authorities as the SDK's."""
    manager = urllib3.PoolManager(
        num_pools=50, maxsize=_KEPT, ssl_context=httpx2.create_ssl_context(trust_env=False), retries=False
    )
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
    return manager


def posted(process: int, url: str, headers: Mapping[str, str], body: Any, *, timeout: float) -> Answered:
    """POST ``body`` as JSON. ``timeout``: seconds between two bytes of the answer.

    Raises openai.APIStatusError for any status but 2xx, openai.APIConnectionError and openai.APITimeoutError as the SDK
    does, with the cause in httpx2's words.
    """
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    limits = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout)
    try:
        response = _pools(process).request(
            "POST", url, body=content, headers=headers, timeout=limits, redirect=False, preload_content=False
        )
        answer = Answered(response.status, response.headers, _bounded(response, url))
    except (HTTPError, OSError, TooLong) as error:
        _raise_as_sdk(error, url)
    except ValueError:  # a header that can't be sent; the error's text holds the key
        raise openai.APIConnectionError(request=httpx2.Request("POST", url)) from None
    if not 200 <= answer.status_code < 300:
        raise _refusal(answer, url)
    return answer


def _bounded(response: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """The body; the connection goes back to its pool only where all of it was read."""
    parts, size = [], 0
    try:
        for part in response.stream(_PART):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise TooLong("The answer is too long.", request=httpx2.Request("POST", url))
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return b"".join(parts)


def _raise_as_sdk(error: Exception, url: str) -> NoReturn:
    request = httpx2.Request("POST", url)
    if isinstance(error, ConnectTimeoutError):
        raise openai.APITimeoutError(request=request) from httpx2.ConnectTimeout(str(error))
    if isinstance(error, NewConnectionError | NameResolutionError | LocationValueError | SSLError):
        raise openai.APIConnectionError(request=request) from httpx2.ConnectError(str(error))
    if isinstance(error, ReadTimeoutError | TimeoutError):
        raise openai.APITimeoutError(request=request) from error
    raise openai.APIConnectionError(request=request) from error


def _refusal(answer: Answered, url: str) -> openai.APIStatusError:
    body: object
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        body = answer.content.decode("utf-8", "replace")
    said = body.get("error", body) if isinstance(body, dict) else body
    response = httpx2.Response(
        answer.status_code, headers=list(answer.headers.items()), request=httpx2.Request("POST", url)
    )
    return openai.APIStatusError(f"Error code: {answer.status_code}", response=response, body=said)

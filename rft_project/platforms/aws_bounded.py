"""No answer of AWS fills the memory, and none that was cut off is taken for a whole one.

botocore reads an answer to its end before it looks at it, however long it is, and does not miss what a broken
connection left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.exceptions as raised
import urllib3.exceptions
from botocore.awsrequest import AWSResponse

from .bounded import MOST_BYTES

_PART = 65_536


class TooLong(Exception):
    """An answer of more than ``MOST_BYTES``."""


class BoundedSession:
    """botocore's HTTP session with a bound on every answer's body; a body that is streamed on is read with
    :func:`bounded`. Raises what botocore's own raises, and TooLong."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def send(self, request: Any) -> Any:
        streams, request.stream_output = request.stream_output, True  # else all of it is read in there
        answer = self._inner.send(request)
        if streams and answer.status_code < 300:
            return answer
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Whole(_content(answer, request)))

    def close(self) -> None:
        self._inner.close()


class _Whole:
    """A body that has come."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def bounded(body: Any) -> bytes:
    """The whole of a streamed body. Raises TooLong and what botocore raises, also where it was cut off."""
    parts, size = [], 0
    while part := body.read(_PART):  # the empty one at the end is where botocore counts
        size += len(part)
        if size > MOST_BYTES:
            body.close()
            raise TooLong
        parts.append(part)
    return b"".join(parts)


def _content(answer: Any, request: Any) -> bytes:
    parts, size = [], 0
    try:
        for part in answer.raw.stream(_PART):
            size += len(part)
            if size > MOST_BYTES:
                answer.raw.close()
                raise TooLong
            parts.append(part)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise raised.ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except urllib3.exceptions.HTTPError as error:
        raise raised.ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from error
    promised = answer.headers.get("content-length", "")
    if request.method != "HEAD" and promised.isdecimal() and size < int(promised):
        raise raised.ConnectionClosedError(endpoint_url=request.url, request=request, error="the answer was cut off")
    return b"".join(parts)

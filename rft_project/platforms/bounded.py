"""No answer fills the memory: what is longer than any platform's longest answer is cut off as it comes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2

#: Bytes of one answer. The longest real one: 2,048 embeddings of 3,072 numbers, some 75 MB.
MOST_BYTES = 96 * 1024 * 1024


class TooLong(httpx2.TransportError):
    """An answer of more than ``MOST_BYTES``."""


class BoundedTransport(httpx2.BaseTransport):
    """``inner`` with a bound on every answer's body."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        stream = response.stream
        assert isinstance(stream, httpx2.SyncByteStream)
        response.stream = _Bounded(stream, request)
        return response

    def close(self) -> None:
        self._inner.close()


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._inner:
            size += len(part)
            if size > MOST_BYTES:
                raise TooLong("The answer is too long.", request=self._request)
            yield part

    def close(self) -> None:
        self._inner.close()

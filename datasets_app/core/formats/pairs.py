"""Logs that hold the request and the response of one call in one line, whatever the vendor.

``request``/``response`` under several spellings, with either side as JSON text, in an envelope ``{"body": …}``, or with
the response as a stream. The vendors' formats differ only in how they know their own bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasets_app.core.formats.base import Format, parsed, session_of
from datasets_app.core.formats.bodies import exchange_of, failed
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.records import Trace
from rft_project.platforms.types import JsonDict

Knows = Callable[[JsonDict, Any], bool]
_PAIRS = (("request", "response"), ("req", "res"), ("body", "response"), ("input", "output"))
_TIMES = ("timestamp", "started_at", "start_time", "created_at", "time")


def sides(line: JsonDict) -> tuple[JsonDict, Any, frozenset[str]] | None:
    """(request, response, the line's keys that hold them); None where the line is no such log.

    The response may still be a stream, or None where it was lost.
    """
    for first, second in _PAIRS:
        if first in line and (second in line or first == "request"):
            request = _body(line[first])
            if isinstance(request, dict):
                return request, _body(line.get(second)), frozenset({first, second})
    return None


def _body(side: Any) -> Any:
    side = parsed(side)
    if isinstance(side, dict) and "body" in side and "messages" not in side and "choices" not in side:
        return parsed(side["body"])
    return side


def vendor_format(name: str, label: str, knows: Knows, bare: Callable[[JsonDict], bool] | None = None) -> Format:
    """A format for one vendor's calls.

    ``knows`` recognises the vendor by its request (and response), ``bare`` a response that was logged alone with its
    request beside it in the same object.
    """

    def recognise(line: JsonDict) -> bool:
        pair = sides(line)
        if pair is not None and knows(pair[0], pair[1]):
            return True
        return bare is not None and bare(line)

    def read(line: JsonDict) -> Trace:
        pair = sides(line)
        if pair is None:
            return trace_of(exchange_of(line, line), line, beside(line, frozenset(line)), session_id=session_of(line))
        request, response, used = pair
        refuse_status(line, response)
        exchange = exchange_of(request, response)
        return trace_of(
            exchange,
            line,
            beside(line, used),
            session_id=session_of(line, line.get("metadata"), request.get("metadata")),
            started=next((line[name] for name in _TIMES if line.get(name)), None),
        )

    return Format(name, label, recognise, read)


def refuse_status(line: JsonDict, response: Any) -> None:
    """Raises ``Unreadable`` with the call's own words where the log gives it an HTTP status of failure."""
    status = line.get("status", line.get("response_status", line.get("status_code")))
    if isinstance(status, int) and not isinstance(status, bool) and status >= 400:
        words = response.get("error", response) if isinstance(response, dict) else response
        raise failed(words or f"status {status}")

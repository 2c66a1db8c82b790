"""What every request of the engine passes: sign-in, size limits, JSON bodies, errors in OpenAI's shape."""

from __future__ import annotations

import hmac
import json
from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rft_project.engine.wire import ApiError
from rft_project.platforms.types import JsonDict

#: Bytes of one uploaded file (OpenAI's limit), with room for the form around it, and of any other request.
MOST_FILE_BYTES = 512 * 1024 * 1024
MOST_UPLOAD_BYTES = MOST_FILE_BYTES + 64 * 1024
MOST_BODY_BYTES = 16 * 1024 * 1024
FILES_PATH = "/v1/files"
HEALTH_PATH = "/healthz"


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address) can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """ASGI middleware. With a key, a request needs it as bearer token.

    Without one the engine serves this machine only, and web pages open in a browser on it must not reach it: a foreign
    ``Host`` (DNS rebinding) and any ``Origin`` are refused. Bodies over their limit end with 413.
    """

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app, self._key = app, api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
            return
        await self._app(scope, _limited(request, receive), send)

    def _refusal(self, request: Request) -> ApiError | None:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > _limit(request):
            return _too_large(_limit(request))
        if request.url.path == HEALTH_PATH:
            return None
        if self._key:
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._key):
                return ApiError(
                    401, "This engine needs its key: set ENGINE_KEY's value as bearer token.", code="invalid_api_key"
                )
            return None
        if "origin" in request.headers or not is_loopback(request.url.hostname or ""):
            return ApiError(403, "An engine without a key answers programs on its own machine only.", code="no_key_set")
        return None


def _limit(request: Request) -> int:
    return MOST_UPLOAD_BYTES if request.url.path == FILES_PATH else MOST_BODY_BYTES


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The request is larger than {limit // 1024 // 1024} MB.", code="request_too_large")


def _limited(request: Request, receive: Receive) -> Receive:
    """``receive`` that counts, for bodies sent without a length."""
    limit, seen = _limit(request), 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return counted


async def json_body(request: Request) -> JsonDict:
    """Raises ApiError where the body is no JSON object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "Send the request as application/json.", code="unsupported_media_type")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError(400, "The request is no valid JSON.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The request must be a JSON object.", code="invalid_json")
    return body


def page_arguments(request: Request, *, default: int, most: int) -> tuple[str | None, int]:
    """``after`` and ``limit`` of a list. Raises ApiError."""
    limit = request.query_params.get("limit", str(default))
    if not limit.isdigit() or not 1 <= int(limit) <= most:
        raise ApiError(400, f"The limit must be a whole number from 1 to {most}.", code="invalid_value", param="limit")
    return request.query_params.get("after"), int(limit)


def api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


def http_error(_request: Request, error: Exception) -> Response:
    """Starlette's own refusals: unknown path, wrong method, a broken form."""
    assert isinstance(error, HTTPException)
    words = {404: "There is no such address here.", 405: "This address does not take that method."}
    return ApiError(error.status_code, words.get(error.status_code, f"{error.detail}"), code="bad_request").response()


def server_error(_request: Request, _error: Exception) -> Response:
    message = "The engine failed on this request; its log says why."
    return ApiError(500, message, code="internal_error").response()


def health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})

"""What the emulators of all platforms are made of: a loopback server, its answers, forms, pages and errors.

A platform subclasses :class:`Emulator` and answers ``route``. Requests are kept, refusals are collected in
``problems``, faults are used up in order.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from .faults import DEEP, HUGE, Fault, taken
from .limits import Limits

Json = dict[str, Any]
_Emulator = TypeVar("_Emulator", bound="Emulator")

#: Headers every answer has; the cookie is one that must not travel to another account.
_HEADERS = {"content-type": "application/json", "x-request-id": "req_1", "set-cookie": "__cf_bm=1; path=/"}


class Refused(Exception):
    """What the platform would refuse; the emulator's ``refusal`` writes it in the platform's shape."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Request:
    """``path`` is unquoted and without the emulator's prefix; ``parts`` are its pieces, unquoted one by one.

    ``headers`` have names in lower case.
    """

    method: str
    path: str
    parts: list[str]
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    def json(self) -> Json:
        """The body. Raises Refused where it is no JSON object."""
        try:
            body = json.loads(self.content or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(400, "We could not parse the JSON body of your request.")
        return body

    def form(self) -> dict[str, Any]:
        """Fields of a multipart form; a file is (name, content)."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        if boundary is None:
            raise Refused(400, "The request is no form.")
        found: dict[str, Any] = {}
        for part in self.content.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]+)"', head)
            file = re.search(rb'filename="([^"]+)"', head)
            if name is not None:
                text = value.removesuffix(b"\r\n")
                found[name[1].decode()] = (file[1].decode(), text) if file else text.decode()
        return found


@dataclass(frozen=True)
class Answer:
    """``body``: JSON, or bytes as they go out."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that went away are no news."""


class Emulator:
    """A platform on loopback. ``url`` and ``key`` are what a client needs.

    ``limits`` hold for the requests that ``limited`` names; ``latency`` is how many seconds each of those takes.
    """

    prefix = ""

    def __init__(self, *, port: int = 0, key: str = "", limits: Limits | None = None, latency: float = 0.0) -> None:
        self.key = key or f"sk-emulated-{uuid.uuid4().hex}"
        self.limits = limits
        self.latency = latency
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        #: Headers of the requests, names in lower case.
        self.headers: list[dict[str, str]] = []
        #: What was refused, in the words of the refusal.
        self.problems: list[str] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()
        emulator = self

        class Handler(_Handler):
            pass

        Handler.emulator = emulator
        self.server = _Server(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.prefix}"

    def count(self, method: str, path: str) -> int:
        return sum(1 for request in self.requests if request == (method, path))

    def stop(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    # What a platform overrides

    def authorize(self, request: Request) -> None:
        """Raises Refused for a wrong key."""
        given = request.headers.get("authorization", "")
        if given != f"Bearer {self.key}":
            raise Refused(401, f"Incorrect API key provided: {given.removeprefix('Bearer ')}.", code="invalid_api_key")

    def route(self, request: Request) -> Any:
        """The answer's JSON, or an :class:`Answer`. Called with ``lock`` held. Raises Refused."""
        raise NotImplementedError

    def refusal(self, refused: Refused) -> Answer:
        error = {"message": refused.message, "type": "invalid_request_error", "param": refused.param}
        return Answer(refused.status, {"error": {**error, "code": refused.code}}, refused.headers)

    def limited(self, request: Request) -> int | None:
        """Tokens of a request that counts against the limits; None where it does not."""
        return None

    # One request

    def answer(self, request: Request) -> Answer:
        try:
            self.authorize(request)
            tokens = self.limited(request)
            if tokens is None:
                return self._routed(request)
            return self._within_limits(request, tokens)
        except Refused as refused:
            with self.lock:
                self.problems.append(refused.message)
            return self.refusal(refused)

    def _within_limits(self, request: Request, tokens: int) -> Answer:
        if self.limits is None:
            self.closing.wait(self.latency)
            return self._routed(request)
        admission = self.limits.enter(tokens)
        if not admission.admitted:
            answer = self.refusal(Refused(429, admission.message, code="rate_limit_exceeded"))
            return Answer(answer.status, answer.body, {**answer.headers, **admission.headers})
        try:
            self.closing.wait(self.latency)
            answer = self._routed(request)
        finally:
            self.limits.leave()
        return Answer(answer.status, answer.body, {**answer.headers, **admission.headers})

    def _routed(self, request: Request) -> Answer:
        with self.lock:
            answer = self.route(request)
        return answer if isinstance(answer, Answer) else Answer(200, answer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body of an answer are 40 ms apart
    emulator: Emulator

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        request = self._request()
        emulator = self.emulator
        with emulator.lock:
            emulator.requests.append((request.method, request.path))
            emulator.headers.append(request.headers)
            fault = taken(emulator.faults, request.method, request.path)
        if fault is None:
            return self._send(emulator.answer(request))
        if fault.kind == "drop":
            return self._drop()
        if fault.kind == "redirect":
            return self._send(Answer(307, {}, {"location": fault.headers["location"]}))
        if isinstance(fault.kind, int):
            answer = emulator.refusal(Refused(fault.kind, fault.message, code=fault.code))
            return self._send(Answer(answer.status, answer.body, {**answer.headers, **fault.headers}))
        return self._spoiled(emulator.answer(request), fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

    def _request(self) -> Request:
        url = urlsplit(self.path)
        raw = url.path.removeprefix(self.emulator.prefix)
        return Request(
            method=self.command,
            path=unquote(raw),
            parts=[unquote(part) for part in raw.strip("/").split("/")],
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            content=self._body(),
        )

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("transfer-encoding") or ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _spoiled(self, answer: Answer, fault: Fault) -> None:
        """The work is done; what the caller hears of it is not."""
        if fault.kind == "drop-after":
            return self._drop()
        if fault.kind == "500-after":
            return self._send(self.emulator.refusal(Refused(500, "The server had an error.")))
        if fault.kind == "hang":
            self.emulator.closing.wait(fault.seconds)
        if fault.kind == "broken-json":
            return self._send(Answer(200, b'{"id": "ftjob-'))
        if fault.kind in ("deep-json", "deep-error"):
            return self._send(Answer(200 if fault.kind == "deep-json" else 500, b"[" * DEEP + b"]" * DEEP))
        if fault.kind == "not-json":
            return self._send(Answer(200, b"<html>Bad gateway</html>", {"content-type": "text/html"}))
        if fault.kind == "huge-json":
            return self._send_without_end()
        if fault.kind == "cut":
            return self._send(answer, cut=True)
        return self._send(answer)

    def _send_without_end(self) -> None:
        """JSON that goes on until the caller has had enough."""
        self.close_connection = True
        try:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(HUGE))
            self.end_headers()
            self.wfile.write(b'{"padding": "')
            for _ in range(HUGE // 65_536):
                self.wfile.write(b"x" * 65_536)
        except OSError:
            pass

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, answer: Answer, *, cut: bool = False) -> None:
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            for name, value in {**_HEADERS, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.wfile.flush()
                self._drop()
        except OSError:
            self.close_connection = True


@contextmanager
def started(emulator: _Emulator) -> Iterator[_Emulator]:
    """``emulator``, answering until the block ends."""
    emulator.thread.start()
    try:
        yield emulator
    finally:
        emulator.stop()


def page(items: list[Json], query: dict[str, str], most: int) -> Json:
    """One page of a cursor list, newest first as given; ``most`` is the largest ``limit`` that may be asked for."""
    wanted = query.get("limit", "20")
    limit = int(wanted) if wanted.isdecimal() else 0
    if not 1 <= limit <= most:
        raise Refused(400, f"'limit' must be 1 to {most}.", param="limit")
    ids = [item["id"] for item in items]
    if "after" in query:
        if query["after"] not in ids:
            raise Refused(400, f"'after' is unknown: {query['after']}.", param="after")
        items = items[ids.index(query["after"]) + 1 :]
    return {"object": "list", "data": items[:limit], "has_more": len(items) > limit}


def found(table: dict[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise Refused(404, f"Could not find {kind}: {name}", code="not_found")
    return table[name]


def only(body: Json, fields: set[str], prefix: str = "") -> None:
    """Refuse what the platform does not know."""
    unknown = sorted(set(body) - fields)
    if unknown:
        name = f"{prefix}{unknown[0]}"
        raise Refused(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def now() -> int:
    return int(time.time())

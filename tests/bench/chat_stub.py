"""``python -m tests.bench.chat_stub LATENCY [REQUESTS_PER_WINDOW WINDOW]``: answers chat completions after a while.

As cheap as a server can be, so that what is measured is the client. Prints its port; a line on standard input makes it
print what it has seen as JSON, and the end of the input ends it. With a limit it sends OpenAI's headers and refuses
what is too much, by the emulators' own arithmetic.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

from tests.emulators.limits import Limits

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "billing " * 40}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 180, "completion_tokens": 80, "total_tokens": 260},
}


class Chat(asyncio.Protocol):
    latency = 0.3
    limits: Limits | None = None
    at_once = most_at_once = seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.given = transport, b""

    def data_received(self, data: bytes) -> None:
        self.given += data
        head, separator, body = self.given.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if separator and length is not None and len(body) >= int(length[1]):
            self.given = b""
            self.asked()

    def asked(self) -> None:
        Chat.seen += 1
        admission = Chat.limits.enter(0) if Chat.limits else None
        headers = admission.headers if admission else {}
        if admission and not admission.admitted:
            return self.send(429, {"error": {"message": admission.message, "code": "rate_limit_exceeded"}}, headers)
        Chat.at_once += 1
        Chat.most_at_once = max(Chat.most_at_once, Chat.at_once)
        asyncio.get_running_loop().call_later(Chat.latency, self.answer, headers)
        return None

    def answer(self, headers: dict[str, str]) -> None:
        Chat.at_once -= 1
        if Chat.limits:
            Chat.limits.leave()
        self.send(200, _ANSWER, headers)

    def send(self, status: int, answer: object, headers: dict[str, str]) -> None:
        body = json.dumps(answer).encode()
        all_headers = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
        self.transport.write("\r\n".join(lines).encode() + body)  # type: ignore[attr-defined]


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Chat, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    while await loop.run_in_executor(None, sys.stdin.readline):
        limits = Chat.limits
        told = {"seen": Chat.seen, "most_at_once": Chat.most_at_once, "refused": limits.violations if limits else 0}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    Chat.latency = given[0]
    if len(given) == 3:
        Chat.limits = Limits(requests_per_minute=given[1], window=given[2])
    asyncio.run(serve())

"""A chat server on loopback that answers what a function says, for judges and helper models."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class ChatServer:
    """``reply`` gets a request's body and returns the answer's text, an HTTP status, or a whole choice.

    ``asked`` are the bodies in the order they came.
    """

    def __init__(self, reply: Callable[[Json], str | int | Json]) -> None:
        self.reply = reply
        self.asked: list[Json] = []
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat.asked.append(body)
                status, answer = chat.completion(body)
                sent = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def completion(self, body: Json) -> tuple[int, Json]:
        answer = self.reply(body)
        if isinstance(answer, int):
            return answer, {"error": {"message": f"Emulated status {answer}.", "type": "error"}}
        choice = answer if isinstance(answer, dict) else {"message": {"role": "assistant", "content": answer}}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        whole = {"index": 0, "finish_reason": "stop", **choice}
        return 200, {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [whole],
            "usage": usage,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def chat_server(reply: Callable[[Json], str | int | Json]) -> Iterator[ChatServer]:
    chat = ChatServer(reply)
    thread = threading.Thread(target=chat.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        chat.server.shutdown()
        chat.server.server_close()
        thread.join()

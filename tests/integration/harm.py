"""Ways to hurt the product's processes while they work, and what the tests need to look at the outcome."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from rft_project.jobs.models import Job
from tests.worker import WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]
FAST = ("--ping-every", "0.5", "--patience", "3", "--grace", "8")
PATIENCE = 120.0  # seconds: the machine may be busy with other things
STOPPED = "The worker stopped while this was running; it goes on from where it was."


def ended(job: Job) -> bool:
    job.refresh_from_db()
    return not job.is_live


def owner_pid(job: Job) -> int:
    """The process that runs the job now; 0 when none does."""
    job.refresh_from_db()
    return int(job.lease_owner.split("/")[2]) if job.state == "RUNNING" else 0


def wait_ended(job: Job, seconds: float = PATIENCE) -> Job:
    wait_for(lambda: ended(job), seconds)
    return job


def times_lost(job: Job) -> int:
    """How often the job was put back because its worker was gone."""
    return sum(event.message == STOPPED for event in job.events.filter(level="warning"))


def kill_worker(pid: int) -> bool:
    """``kill -9`` of one process; False when it is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_while_it_works(
    job: Job, counts: list[int], dice: random.Random, *, delay: float, hurt: Callable[[int], object] = kill_worker
) -> int:
    """Kill the job's worker up to ``delay`` seconds after each of the ``counts`` is done; how often that hit.

    A random moment later, so that a kill falls anywhere in a batch. A job whose worker dies twice without progress is
    given up by design, so between two kills something must have been committed.
    """
    landed, above = 0, -1
    for count in counts:
        target = max(above + 1, count)
        wait_for(lambda: ended(job) or (job.state == "RUNNING" and job.done >= target), PATIENCE, every=0.01)  # noqa: B023
        if not job.is_live:
            return landed
        time.sleep(dice.uniform(0, delay))
        pid = owner_pid(job)
        if pid:
            hurt(pid)
            wait_for(lambda: owner_pid(job) != pid, PATIENCE, every=0.02)  # noqa: B023
            landed += times_lost(job) > landed
            above = job.done
    return landed


_TEXT = """
parcel invoice refund password account delivery courier receipt voucher warranty screen battery charger subscription
address order exchange damaged missing late broken locked expired double weekly colour size router signal contract
upgrade cable adapter keyboard printer ticket booking hotel flight seat luggage passport visa card payment transfer
limit balance statement branch loan interest deposit mortgage salary pension
"""
WORDS = _TEXT.split()


def lines_of_every_kind(count: int, seed: int) -> list[str]:
    """Lines of a file: mostly good records, and a few repeated, nearly repeated, invalid and unreadable ones."""
    dice = random.Random(seed)
    lines: list[str] = []
    said: list[str] = []
    while len(lines) < count:
        kind = dice.random()
        if kind < 0.03 and lines:
            lines.append(dice.choice(lines))  # the same line again, wherever it stood
        elif kind < 0.05:
            lines.append(dice.choice(['{"input": {"messages": [', "not json at all", '"a text"', "[1, 2", "\x00\x00"]))
        elif kind < 0.08 and said:
            text = dice.choice(said) + " please"
            lines.append(_line(text, dice))
        elif kind < 0.11:
            broken = dice.choice(
                [
                    {"input": {"messages": []}},
                    {"input": {"messages": [{"role": "robot", "content": "beep"}]}},
                    {"input": {"messages": [{"role": "user", "content": ""}]}},
                    {
                        "input": {
                            "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": 1}]
                        }
                    },
                ]
            )
            lines.append(json.dumps({**broken, "metadata": {"n": len(lines)}}))
        else:
            text = " ".join(dice.choices(WORDS, k=dice.randint(8, 25)))
            said.append(text)
            lines.append(_line(text, dice))
    return lines


def _line(text: str, dice: random.Random) -> str:
    system = {"role": "system", "content": "Sort the request into one of the teams."}
    user = {"role": "user", "content": text}
    reference = dice.choice(["billing", "shipping", "returns"])
    return json.dumps(
        {"input": {"messages": [system, user]}, "output": {"messages": []}, "reference_answer": reference}
    )


class CountingProxy:
    """Passes requests on to an engine, counts the answers it was asked for, and may hold each for a moment.

    ``asked`` counts per question (what is asked of which model, the seed included) the calls that reached the engine;
    the calls whose number is in ``refused`` (the first is 1) get 401 instead and do not reach it. ``paths`` counts all
    requests by method and path; the answer to one that ``closed`` names is kept back until ``open`` is set.
    """

    def __init__(self, target: str, *, hold: float = 0.0, refused: Iterable[int] = ()) -> None:
        self.target = urlsplit(target)
        self.hold = hold
        self.refused = set(refused)
        self.closed: set[str] = set()
        self.open = threading.Event()
        self.calls = 0
        self.asked: Counter[str] = Counter()
        self.in_flight = 0
        self.paths: Counter[str] = Counter()
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = proxy.answer(self.command, self.path, dict(self.headers), body)
                try:
                    self.send_response(status)
                    for name, value in headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True  # who asked was killed meanwhile

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a connection whose client was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.target.path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        name = f"{method} {path.partition('?')[0]}"
        if name != "POST /v1/chat/completions":
            answer = self._forward(method, path, headers, body)
            with self._lock:
                self.paths[name] += 1
            if name in self.closed:
                self.open.wait(60)
            return answer
        with self._lock:
            self.calls += 1
            if self.calls in self.refused:
                return 401, [("Content-Type", "application/json")], b'{"error": {"message": "The key has expired."}}'
            self.asked[json.dumps(json.loads(body), sort_keys=True)] += 1
            self.in_flight += 1
        try:
            answer = self._forward(method, path, headers, body)
            time.sleep(self.hold)
            return answer
        finally:
            with self._lock:
                self.in_flight -= 1

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        assert self.target.hostname is not None
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        passed = {k: v for k, v in headers.items() if k.lower() not in ("host", "connection", "content-length")}
        try:
            connection.request(method, path, body or None, passed)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            return 503, [("Content-Type", "application/json")], b'{"error": {"message": "The engine is away."}}'
        finally:
            connection.close()
        dropped = ("connection", "transfer-encoding", "content-length", "keep-alive")
        return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in dropped], content

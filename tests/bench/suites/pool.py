"""Many calls to a platform at once: how close to what its latency allows, at what cost, and never above its limits.

The server is a process of its own that answers after 0.3 s (``tests/bench/chat_stub.py``). All is measured through the
adapter of OpenAI, at the pace of a connection. The first round, in which connections are made, is not timed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from tests.bench.contest import Run, once
from tests.bench.figures import Bar, Section
from tests.bench.work import Bench

LATENCY = 0.3
#: In flight, and the share of (in flight ÷ latency) that must be reached.
BARS = {64: 0.90, 256: 0.85}
#: Requests in a window of so many seconds, with which the limit is tried.
LIMIT, WINDOW = 600, 4.0


class Stub:
    """The server, until ``told`` ends it with what it has seen."""

    def __init__(self, *arguments: float) -> None:
        command = [sys.executable, "-m", "tests.bench.chat_stub", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._line())}/v1"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def told(self) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._line())
        self._process.stdin.close()
        self._process.wait()
        return found


def questions() -> list[Any]:
    from rft_project.platforms.types import SampleRequest

    system = {"role": "system", "content": "You sort mails into topics. " * 8}
    mails = [{"role": "user", "content": f"My parcel {number} has not come. " * 12} for number in range(50)]
    return [SampleRequest(model="m", messages=[system, mail], max_tokens=100) for mail in mails]


def ours(calls: int, in_flight: int, limits: tuple[float, ...] = ()) -> Callable[[], Callable[[], dict[str, int]]]:
    """Through the pool and the adapter, at a connection's pace."""
    from rft_project.platforms import build
    from rft_project.platforms.pacing import Alone, ConnectionPace
    from rft_project.platforms.pool import run_pool
    from rft_project.platforms.window import Window

    stub, asked = Stub(LATENCY, *limits), questions()
    pace = ConnectionPace(Alone(), "The server", window=Window(size=in_flight), alone_first=bool(limits))
    platform = build("openai", {"base_url": stub.url, "api_key": "sk-bench"}, pace)

    def ask(number: int) -> Any:
        return platform.sample(asked[number % len(asked)])

    def answered(count: int) -> int:
        return sum(hasattr(answer, "answers") for _, answer in run_pool(range(count), ask, in_flight=in_flight))

    if not limits:
        answered(in_flight)

    def timed() -> Callable[[], dict[str, int]]:
        count = answered(calls)
        return lambda: {"answered": count, **stub.told()}

    return timed


def sdk(calls: int, in_flight: int) -> Callable[[], Callable[[], dict[str, int]]]:
    """The platform's own client on as many threads, each answer read as JSON."""
    from concurrent.futures import ThreadPoolExecutor

    import openai

    stub, asked = Stub(LATENCY), questions()
    client = openai.OpenAI(base_url=stub.url, api_key="sk-bench", max_retries=0)
    create = client.chat.completions.with_raw_response.create

    def ask(number: int) -> Any:
        one = asked[number % len(asked)]
        return json.loads(create(model="m", messages=one.messages, max_completion_tokens=100).content)

    pool = ThreadPoolExecutor(in_flight)
    list(pool.map(ask, range(in_flight)))

    def timed() -> Callable[[], dict[str, int]]:
        count = sum("choices" in answer for answer in pool.map(ask, range(calls)))
        return lambda: {"answered": count, **stub.told()}

    return timed


def share(run: Run, calls: int, in_flight: int) -> float:
    return calls / run.wall / (in_flight / LATENCY)


def run(bench: Bench) -> Section:
    rounds, section, rows = bench.size(20, 10), Section("Calls to a platform"), []
    for in_flight, bar in BARS.items():
        calls = rounds * in_flight
        play = {who: partial(once, f"{__name__}:{who}", calls=calls, in_flight=in_flight) for who in ("ours", "sdk")}
        runs = {who: [play_one() for _ in range(bench.pairs)] for who, play_one in play.items()}
        for who, name in (("ours", "RFT Studio"), ("sdk", "the openai SDK on threads")):
            reached = [share(one, calls, in_flight) for one in runs[who]]
            cpu = median(one.cpu for one in runs[who]) / calls * 1000
            rows.append((name, str(in_flight), f"{median(reached):.3f}", f"{cpu:.2f}"))
        reached = [share(one, calls, in_flight) for one in runs["ours"]]
        said = f"{median(reached):.3f} ({min(reached):.3f}–{max(reached):.3f}, {len(reached)} runs)"
        what = f"{in_flight} in flight, {LATENCY:g} s latency: share of (in flight ÷ latency)"
        section.bars.append(Bar(what, said, f"≥ {bar:g}", median(reached) >= bar))
        bench.tell(f"{in_flight} in flight: {said}")
    section.bars += limited(bench)
    section.tables = [(("", "in flight", "share of (in flight ÷ latency)", "CPU ms / call"), rows)]
    section.notes.append(__doc__.partition("\n\n")[2].replace("``", "`").replace("\n", " "))
    return section


def limited(bench: Bench) -> list[Bar]:
    """The same calls under a limit that the server tells in its headers and enforces."""
    calls = LIMIT * bench.size(6, 2)
    found = once(f"{__name__}:ours", calls=calls, in_flight=64, limits=(LIMIT, WINDOW))
    used = calls / (LIMIT + LIMIT * found.wall / WINDOW)
    limit = f"{LIMIT} requests in {WINDOW:g} s"
    return [
        Bar(
            f"requests refused under a limit of {limit}",
            f"{found.result['refused']:,}",
            "0",
            not found.result["refused"],
        ),
        Bar("share of that limit used, its first burst included", f"{used:.3f}"),
    ]

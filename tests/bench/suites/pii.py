"""Personal data and secrets: one pass of an RE2 set against a loop of ``re`` patterns, the same findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tests.bench import data
from tests.bench.contest import contest, once
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench

WARM = 200
Spans = list[list[Any]]


def texts(count: int, seed: int = data.SEED) -> list[str]:
    """The texts of each valid record's prompt, joined."""
    found = []
    for made in data.made(count, seed):
        if made.kind == "valid":
            messages = data.msgspec.json.decode(made.line)["input"]["messages"]
            found.append("\n".join(m["content"] for m in messages if m["content"]))
    return found


def spans(findings: Iterable[Iterable[Any]]) -> Spans:
    return [[number, f.kind, f.start, f.end] for number, found in enumerate(findings) for f in found]


def ours(count: int) -> Callable[[], Callable[[], Spans]]:
    from datasets_app.core.pii.scanning import find

    given = texts(count)
    for text in texts(WARM, data.SEED + 1):  # the automaton grows with the first texts
        find(text)

    def timed() -> Callable[[], Spans]:
        found = [find(text) for text in given]
        return lambda: spans(found)

    return timed


def theirs(count: int) -> Callable[[], Callable[[], Spans]]:
    from tests.datasets_app.pii.speed import loop

    given = texts(count)
    for text in texts(WARM, data.SEED + 1):
        loop(text)

    def timed() -> Callable[[], Spans]:
        found = [loop(text) for text in given]
        return lambda: spans(found)

    return timed


def run(bench: Bench) -> Section:
    count = bench.size(3_000, 300)
    play = [partial(once, f"{__name__}:{name}", count=count) for name in ("ours", "theirs")]
    found = contest(*play, bench.pairs, tell=bench.tell)
    given, seen = texts(count), found.ours[0].result
    section = Section("Personal data and secrets")
    section.bars = [ratio_bar("scan ÷ loop of re patterns, the same spans", found, 0.02)]
    section.tables = [seconds_row(f"{len(given):,} records", found, len(given))]
    section.notes.append(
        f"{len({number for number, *_ in seen}):,} of the records hold {len(seen):,} findings. Both sides have the "
        "same rules and checks; the loop tries every pattern on every text (`tests/datasets_app/pii/speed.py`). Both "
        f"have scanned {WARM} other records before."
    )
    return section

"""The core of sanitizing: decode a file's lines, judge them by every rule, and tell exact duplicates by digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.contest import contest, once
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench

NO_LIMIT = 1 << 30  # tokens: they are not counted on either side


def ours(path: str) -> Callable[[], dict[str, int]]:
    """The judge of lines on a file's lines; those it leaves to the full rules go there."""
    from datasets_app.core.fast import Judge
    from datasets_app.core.formats import AUTO, readings
    from datasets_app.core.judging import judged
    from datasets_app.core.records import Trace, Unreadable, decode_json
    from datasets_app.core.sanitizing import SanitizeConfig

    config = SanitizeConfig(max_tokens=NO_LIMIT)

    def slowly(raw: bytes) -> Any:
        try:
            _, trace = next(iter(readings(decode_json(raw), AUTO, "canonical")))
        except Unreadable:
            return None
        return judged(trace, config, "", exact=False) if isinstance(trace, Trace) else None

    def timed() -> dict[str, int]:
        judge, tally = Judge(config, exact=False), Tally()
        with Path(path).open("rb") as lines:
            for line in lines:
                tally.add(judge.quick(line.strip()) or slowly(line))
        return tally.counts

    return timed


def reading(path: str) -> Callable[[], dict[str, int]]:
    """The same behind the reader of files, which numbers lines, recognises formats and keeps what cannot be read."""
    from datasets_app.core.judging import judged
    from datasets_app.core.quick import QuickHere, Ready
    from datasets_app.core.reading import Rejected, read_traces
    from datasets_app.core.sanitizing import SanitizeConfig

    config = SanitizeConfig(max_tokens=NO_LIMIT)

    def timed() -> dict[str, int]:
        tally = Tally()
        for entry in read_traces(Path(path), quick=QuickHere(config, exact=False)):
            if isinstance(entry, Rejected):
                tally.add(None)
            else:
                found = entry.judged if isinstance(entry, Ready) else judged(entry.trace, config, "", exact=False)
                tally.add(found)
        return tally.counts

    return timed


class Tally:
    """Verdicts by first code; a valid record with the digest of an earlier one is a duplicate."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._seen: set[str] = set()

    def add(self, judged: Any) -> None:
        """``judged``: the record with its issues and digest, None for a line that cannot be read."""
        if judged is None:
            code = "unreadable"
        elif judged.issues:
            code = judged.issues[0].code
        else:
            code = "duplicate" if judged.digest in self._seen else "valid"
            self._seen.add(judged.digest)
        self._counts[code] += 1

    @property
    def counts(self) -> dict[str, int]:
        return dict(sorted(self._counts.items()))


def naive(path: str) -> Callable[[], dict[str, int]]:
    from tests.bench.peers import naive as script

    return lambda: script.sanitize(Path(path))


def typed(path: str) -> Callable[[], dict[str, int]]:
    from tests.bench.peers import typed as script

    return lambda: script.decode(Path(path))


def run(bench: Bench) -> Section:
    count = bench.size(30_000, 2_000)
    path = str(bench.traces(count))
    play = {name: partial(once, f"{__name__}:{name}", path=path) for name in ("ours", "reading", "naive", "typed")}
    against_naive = contest(play["ours"], play["naive"], bench.pairs, tell=bench.tell)
    against_typed = contest(play["ours"], play["typed"], bench.pairs, same=lambda *_: True, tell=bench.tell)
    with_reading = contest(play["reading"], play["naive"], bench.pairs, tell=bench.tell)
    verdicts = against_naive.ours[0].result
    section = Section("Sanitize core: decode, rules and digest")
    section.bars = [
        ratio_bar("sanitize core ÷ naive json.loads script, equal verdict counts", against_naive, 0.40),
        ratio_bar("sanitize core ÷ bare msgspec typed decode of the same lines", against_typed, 1.8),
        replace(
            ratio_bar("the core behind the reader of files ÷ the naive script", with_reading, 1), bar="", holds=None
        ),
    ]
    section.tables = [
        seconds_row(f"{count:,} lines, against the naive script", against_naive, count),
        seconds_row(f"{count:,} lines, against the bare decode", against_typed, count),
        (("verdict", "records"), [(code, f"{n:,}") for code, n in verdicts.items()]),
    ]
    section.notes.append("One process each. Tokens are not counted here on either side.")
    return section

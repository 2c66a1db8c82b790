"""The core of sanitizing: decode a file's lines, judge them by every rule, and tell exact duplicates by digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.contest import contest, once
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench


def ours(path: str) -> Callable[[], dict[str, int]]:
    from datasets_app.core.fast import judged
    from datasets_app.core.quick import QuickHere, Ready
    from datasets_app.core.reading import Rejected, read_traces
    from datasets_app.core.sanitizing import SanitizeConfig

    def timed() -> dict[str, int]:
        config, counts, seen = SanitizeConfig(max_tokens=1 << 30), Counter[str](), set[str]()
        for entry in read_traces(Path(path), quick=QuickHere(config, exact=False)):
            if isinstance(entry, Rejected):
                counts["unreadable"] += 1
                continue
            found = entry.judged if isinstance(entry, Ready) else judged(entry.trace, config, "", exact=False)
            own = found.digest
            code = found.issues[0].code if found.issues else "duplicate" if own in seen else "valid"
            if code == "valid":
                seen.add(own)
            counts[code] += 1
        return dict(sorted(counts.items()))

    return timed


def naive(path: str) -> Callable[[], dict[str, int]]:
    from tests.bench.peers import naive as script

    return lambda: script.sanitize(Path(path))


def typed(path: str) -> Callable[[], dict[str, int]]:
    from tests.bench.peers import typed as script

    return lambda: script.decode(Path(path))


def run(bench: Bench) -> Section:
    count = bench.size(30_000, 2_000)
    path = str(bench.traces(count))
    play = {name: partial(once, f"{__name__}:{name}", path=path) for name in ("ours", "naive", "typed")}
    against_naive = contest(play["ours"], play["naive"], bench.pairs, tell=bench.tell)
    against_typed = contest(play["ours"], play["typed"], bench.pairs, same=lambda *_: True, tell=bench.tell)
    verdicts = against_naive.ours[0].result
    section = Section("Sanitize core: decode, rules and digest")
    section.bars = [
        ratio_bar("sanitize core ÷ naive json.loads script, equal verdict counts", against_naive, 0.40),
        ratio_bar("sanitize core ÷ bare msgspec typed decode of the same lines", against_typed, 1.8),
    ]
    section.tables = [
        seconds_row(f"{count:,} lines, against the naive script", against_naive, count),
        seconds_row(f"{count:,} lines, against the bare decode", against_typed, count),
        (("verdict", "records"), [(code, f"{n:,}") for code, n in verdicts.items()]),
    ]
    section.notes.append("One process each. Tokens are not counted here on either side.")
    return section

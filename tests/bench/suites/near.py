"""Near-duplicates against datasketch at the same threshold, and both against the exact truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b

from tests.bench import data
from tests.bench.contest import contest, once
from tests.bench.figures import Bar, Section, ratio_bar, seconds_row
from tests.bench.peers import near
from tests.bench.work import Bench

THRESHOLD = 0.85
Pairs = list[list[int]]


def texts(count: int) -> list[str]:
    """User texts of the records that can be compared, each once: exact copies are found by their digests."""
    found: dict[str, None] = {}
    for made in data.made(count):
        if made.kind in ("valid", "near_duplicate"):
            messages = data.msgspec.json.decode(made.line)["input"]["messages"]
            found.setdefault("\n".join(m["content"] for m in messages if m["role"] == "user"))
    return list(found)


def ours(count: int) -> Callable[[], Pairs]:
    from datasets_app.core.dedupe import DuplicateIndex, Said, prints_of

    given = texts(count)
    said = [Said(blake2b(text.encode(), digest_size=16).hexdigest(), "", [text]) for text in given]
    lot = 1000

    def timed() -> Pairs:
        index = DuplicateIndex(THRESHOLD)
        found = []
        for at in range(0, len(said), lot):
            some = said[at : at + lot]
            keys = range(at, at + len(some))
            for number, match in zip(keys, index.add_all(keys, prints_of(some, THRESHOLD)), strict=True):
                if match is not None:
                    found.append([number, match.kept_key])
        return found

    return timed


def theirs(count: int) -> Callable[[], Pairs]:
    given = texts(count)
    return lambda: [list(pair) for pair in near.by_datasketch(given, THRESHOLD)]


def quality(found: Pairs, truth: Sequence[tuple[int, int]], given: Sequence[str]) -> tuple[float, float]:
    """Recall: of the records that repeat an earlier one, the share that was found. Precision: of the pairs found, the
    share whose texts are as near as was asked for."""
    repeated, said = {number for number, _ in truth}, {number for number, _ in found}
    right = sum(near.jaccard(near.shingles(given[a]), near.shingles(given[b])) >= THRESHOLD for a, b in found)
    return len(repeated & said) / len(repeated), right / max(1, len(found))


def run(bench: Bench) -> Section:
    count = bench.size(20_000, 1_500)
    play = [partial(once, f"{__name__}:{name}", count=count) for name in ("ours", "theirs")]
    found = contest(*play, bench.pairs, same=lambda *_: True, tell=bench.tell)
    given = texts(count)
    truth = near.exactly(given, THRESHOLD)
    (recall, precision), others = (quality(runs[0].result, truth, given) for runs in (found.ours, found.theirs))
    section = Section("Near-duplicates")
    section.bars = [
        ratio_bar(f"index of duplicates ÷ datasketch, threshold {THRESHOLD}", found, 0.15),
        Bar("recall against all verified pairs", f"{recall:.4f}", "≥ 0.98", recall >= 0.98),
        Bar("precision against verified pairs", f"{precision:.4f}", "≥ 0.98", precision >= 0.98),
    ]
    section.tables = [seconds_row(f"{len(given):,} texts", found, len(given))]
    section.notes.append(
        f"Word 3-shingles of user texts (average {sum(map(len, given)) // len(given):,} characters), 128 permutations, "
        f"every candidate verified, on both sides. The truth is an exact join of all pairs (prefix filtering): "
        f"{len(truth):,} records repeat an earlier one. datasketch: recall {others[0]:.4f}, precision {others[1]:.4f}."
    )
    return section

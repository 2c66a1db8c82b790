"""Exact and near duplicates, one record at a time in file order; the earlier record is kept.

Near duplicates are compared over what the *user* says, and without what many records share: system prompts never count,
and lines of user text that a large part of a sample repeats (few-shot example turns, instruction templates) are left
out. Candidates come from MinHash signatures in bands (Broder 1997; Leskovec et al., Mining of Massive Datasets §3.4);
every candidate is verified with the exact Jaccard similarity of the word 3-shingles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH

from datasets_app.core.records import Trace, clean_text, digest, fold, user_turns
from datasets_app.core.sanitizing import DEFAULT_THRESHOLD, Issue

SHINGLE = 3  # words
PERMUTATIONS = 128
SEED = 42
SHARED_PART = 0.2  # of the sample: fewer than that can't make unrelated records alike
SHARED_AT_LEAST = 5  # records
SHARED_SAMPLE = 2000  # records that `shared_lines` needs at most
_RECALL = 0.99  # chance that a pair exactly at the threshold becomes a candidate
_CANDIDATES = 256  # verified per record, earliest first: a bound for files made from one template


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier record that this one repeats. ``kind`` is ``duplicate`` or ``near_duplicate``; ``similarity`` 0–1."""

    kind: str
    kept_key: Any
    similarity: float
    same_span: bool = False


def duplicate_issue(match: Match, kept_name: str) -> Issue:
    """The match as an issue; ``kept_name`` names the record kept, such as "line 12"."""
    if match.kind == "near_duplicate":
        return Issue(match.kind, f"User text is {match.similarity:.0%} the same as that of {kept_name}, which is kept.")
    same = "Same span id as" if match.same_span else "Same conversation as"
    return Issue(match.kind, f"{same} {kept_name}, which is kept.")


def shared_lines(traces: Iterable[Trace]) -> frozenset[str]:
    """The folded lines of user text that at least ``SHARED_PART`` of these (sampled) records have."""
    counts: Counter[str] = Counter()
    total = 0
    for trace in traces:
        total += 1
        counts.update({line for turn in user_turns(trace) for line in _lines(turn)})
    least = max(SHARED_AT_LEAST, SHARED_PART * total)
    return frozenset(line for line, n in counts.items() if n >= least)


def compared_words(trace: Trace, shared: frozenset[str] = frozenset()) -> list[str]:
    """The words by which a record is compared: user text without shared lines, or else the last user turn as it is."""
    turns = user_turns(trace)
    if shared and turns:
        own = [line for turn in turns for line in _lines(turn) if line not in shared]
        turns = own or turns[-1:]
    return clean_text("\n".join(turns).casefold()).split()


def shingles(words: list[str]) -> set[str]:
    """Word 3-shingles; none for a shorter text, which can only be an exact duplicate."""
    return {*map(" ".join, zip(*(words[i:] for i in range(SHINGLE)), strict=False))}


class DuplicateIndex:
    """Remembers records and tells which earlier one a new one repeats. Deterministic for one order of records.

    Args:
        threshold: Jaccard similarity from which two records are near duplicates (0–1], or None for exact only.
        shared: what ``shared_lines`` found in a sample of the same records.

    Memory: about 2 kB per record kept, whatever the size of the records.
    """

    def __init__(self, threshold: float | None = DEFAULT_THRESHOLD, shared: frozenset[str] = frozenset()) -> None:
        self.threshold = threshold
        self.shared = shared
        self._by_digest: dict[bytes, int] = {}
        self._by_span: dict[str, int] = {}
        self._keys: list[Hashable] = []
        self._hashes: dict[int, bytes] = {}
        if threshold is not None:
            bands = bands_for(threshold)
            self._lsh = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: Hashable, trace: Trace) -> Match | None:
        """The match of this record with one kept before; None if it is new, and then it is kept under ``key``.

        A record without messages matches nothing and is not kept.
        """
        if not trace.messages:
            return None
        own = bytes.fromhex(digest(trace))
        found = self._by_digest.get(own)
        if found is not None:
            return Match("duplicate", self._keys[found], 1.0)
        if trace.span_id and (found := self._by_span.get(trace.span_id)) is not None:
            return Match("duplicate", self._keys[found], 1.0, same_span=True)
        number = len(self._keys)
        if self.threshold is not None:
            match = self._near(number, trace)
            if match is not None:
                return match
        self._keys.append(key)
        self._by_digest[own] = number
        if trace.span_id:
            self._by_span[trace.span_id] = number
        return None

    def _near(self, number: int, trace: Trace) -> Match | None:
        """Compares with the records kept; keeps this one's signature when nothing is near enough."""
        assert self.threshold is not None
        tokens = list(shingles(compared_words(trace, self.shared)))
        if not tokens:
            return None
        hashes = _hashed(tokens)
        signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        signature.update(tokens)
        for other in sorted(self._lsh.query(signature))[:_CANDIDATES]:
            similarity = _jaccard(hashes, np.frombuffer(self._hashes[other], dtype=np.uint32), self.threshold)
            if similarity >= self.threshold:
                return Match("near_duplicate", self._keys[other], similarity)
        self._lsh.insert(number, signature)
        self._hashes[number] = hashes.tobytes()
        return None


def bands_for(threshold: float) -> int:
    """Bands of the signature: as few as find a pair at the threshold with ``_RECALL``; P = 1 − (1 − sʳ)ᵇ."""
    for rows in (16, 8, 4, 2):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands
    return PERMUTATIONS


def _hashed(tokens: list[str]) -> NDArray[np.uint32]:
    """Sorted 32-bit hashes of the shingles. Two different ones of a 1,000-word text agree by chance once in 4,000."""
    wide = np.array(RMinHash.hash_token_sets([tokens])[0], dtype=np.uint64)
    hashes = (wide >> np.uint64(32)).astype(np.uint32)
    hashes.sort()
    return hashes


def _jaccard(a: NDArray[np.uint32], b: NDArray[np.uint32], threshold: float) -> float:
    """Exact Jaccard similarity of two sorted sets of hashes; 0 where their sizes alone rule the threshold out."""
    if min(len(a), len(b)) < threshold * max(len(a), len(b)):
        return 0.0
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _lines(turn: str) -> Iterable[str]:
    return (folded for line in turn.splitlines() if (folded := fold(line)))

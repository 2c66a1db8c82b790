"""Exact and near duplicates, one record at a time in file order; the earlier record is kept.

Near duplicates are compared over what the *user* says, and without what many records share: system prompts never count,
and lines of user text that a large part of a sample repeats (few-shot example turns, instruction templates) are left
out. Candidates come from MinHash signatures in bands (Broder 1997; Leskovec et al., Mining of Massive Datasets §3.4);
every candidate is verified with the exact Jaccard similarity of the word 3-shingles.

Records are taken a few hundred at a time: what can be computed without knowing the others (``prints_of``) may be done
in any process, and the index itself (``DuplicateIndex``) holds about 200 bytes per record.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from tempfile import SpooledTemporaryFile

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash
from xxhash import xxh3_64_intdigest

from datasets_app.core.identity import digest
from datasets_app.core.records import Trace, fold, user_turns
from datasets_app.core.sanitizing import DEFAULT_THRESHOLD, Issue

SHINGLE = 3  # words
PERMUTATIONS = 128
SEED = 42
SHARED_PART = 0.2  # of the sample: fewer than that can't make unrelated records alike
SHARED_AT_LEAST = 5  # records
SHARED_SAMPLE = 2000  # records that `shared_lines` needs at most
_RECALL = 0.99  # chance that a pair exactly at the threshold becomes a candidate
_IN_MEMORY = 4 << 20  # bytes of shingles kept in memory before they go to a file
_CANDIDATES = 256  # verified per record, earliest first: a bound for files made from one template


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier record that this one repeats. ``kind`` is ``duplicate`` or ``near_duplicate``; ``similarity`` 0–1."""

    kind: str
    kept_key: int
    similarity: float
    same_span: bool = False


def duplicate_issue(match: Match, kept_name: str) -> Issue:
    """The match as an issue; ``kept_name`` names the record kept, such as "line 12"."""
    if match.kind == "near_duplicate":
        return Issue(match.kind, f"User text is {match.similarity:.0%} the same as that of {kept_name}, which is kept.")
    same = "Same span id as" if match.same_span else "Same conversation as"
    return Issue(match.kind, f"{same} {kept_name}, which is kept.")


def shared_lines(records: Iterable[Sequence[str]]) -> frozenset[str]:
    """The folded lines of user text that at least ``SHARED_PART`` of these (sampled) records have.

    Each record is given by its user turns.
    """
    counts: Counter[str] = Counter()
    total = 0
    for turns in records:
        total += 1
        counts.update({line for turn in turns for line in _lines(turn)})
    least = max(SHARED_AT_LEAST, SHARED_PART * total)
    return frozenset(line for line, n in counts.items() if n >= least)


def compared_words(turns: Sequence[str], shared: frozenset[str] = frozenset()) -> list[str]:
    """The words by which a record is compared: user text without shared lines, or else the last user turn as it is."""
    if shared and turns:
        own = [line for turn in turns for line in _lines(turn) if line not in shared]
        turns = own or turns[-1:]
    return "\n".join(turns).casefold().split()


@dataclass(slots=True)
class Prints:
    """Some records, reduced to what finding duplicates needs. All parts have the records' order.

    ``digests`` and ``spans``: 64 bits of the conversation's digest (None: no messages) and of the span id (0: none).
    ``bands``: one row of 32-bit hashes per record, empty without near duplicates. ``shingles``: 32-bit hashes of the
    word 3-shingles of all records; record i has ``shingles[ends[i - 1]:ends[i]]``, none where its text is shorter.
    """

    digests: list[int | None]
    spans: list[int]
    bands: NDArray[np.uint32]
    shingles: NDArray[np.uint32]
    ends: NDArray[np.int64]

    @classmethod
    def joined(cls, rows: Sequence[tuple[Prints, int]]) -> Prints:
        """The prints of single records, each given by where it stands, as those of one lot."""
        shingles = [prints.of(row) for prints, row in rows]
        return cls(
            [prints.digests[row] for prints, row in rows],
            [prints.spans[row] for prints, row in rows],
            np.stack([prints.bands[row] for prints, row in rows]) if rows else np.zeros((0, 0), np.uint32),
            np.concatenate(shingles) if rows else np.zeros(0, np.uint32),
            np.cumsum([len(own) for own in shingles], dtype=np.int64),
        )

    def of(self, number: int) -> NDArray[np.uint32]:
        """The shingles of one record."""
        return self.shingles[self.ends[number - 1] if number else 0 : self.ends[number]]


@dataclass(frozen=True, slots=True)
class Said:
    """What of a record is compared: its digest in hexadecimal ('' without messages), its span id, the user's turns."""

    digest: str
    span_id: str
    turns: Sequence[str]

    @classmethod
    def of(cls, trace: Trace) -> Said:
        return cls(digest(trace) if trace.messages else "", trace.span_id, user_turns(trace))


def prints_of(records: Sequence[Said], threshold: float | None, shared: frozenset[str] = frozenset()) -> Prints:
    """``shared``: what ``shared_lines`` found in a sample of the same records."""
    digests = [int(said.digest[:16], 16) if said.digest else None for said in records]
    spans = [_hash(said.span_id) if said.span_id else 0 for said in records]
    count = len(records)
    none = np.zeros(0, np.uint32)
    if threshold is None:
        return Prints(digests, spans, np.zeros((count, 0), np.uint32), none, np.zeros(count, np.int64))
    words = [compared_words(said.turns, shared) for said in records]
    hashes, ends = _shingle_hashes(words)
    rows = RMinHash.digest_matrix_from_flat_token_hashes(hashes, np.append(0, ends), PERMUTATIONS, SEED).to_rows()
    bands = _banded(np.array(rows, np.uint64).reshape(count, PERMUTATIONS), bands_for(threshold))
    return Prints(digests, spans, bands, (hashes >> np.uint64(32)).astype(np.uint32), ends)


def _hash(text: str) -> int:
    """64 bits; never 0."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) or 1


class _WordHashes(dict[str, int]):
    """64-bit hashes of words; the same few thousand come again and again."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _WORDS_KNOWN:
            self.clear()
        found = self[word] = _hash(word)
        return found


_word_hashes = _WordHashes()
_WORDS_KNOWN = 30_000  # a few MB in each process
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))  # odd, well mixed


def _shingle_hashes(words: Sequence[Sequence[str]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of the word 3-shingles of all texts, one after the other, and where each text's end."""
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    flat = np.fromiter(map(_word_hashes.__getitem__, chain.from_iterable(words)), np.uint64, int(lengths.sum()))
    counts = np.maximum(lengths - (SHINGLE - 1), 0)
    ends = np.cumsum(counts)
    if not counts.any():
        return np.zeros(0, np.uint64), ends
    # The place of each shingle's first word: its number among all shingles and two more for each text before it.
    starts = np.cumsum(lengths) - lengths
    at = np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)
    mixed = flat[at] * _MIX[0] ^ (flat[at + 1] * _MIX[1] + (flat[at + 2] * _MIX[2] >> np.uint64(29)) + flat[at + 2])
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MIX[1]
    return mixed ^ (mixed >> np.uint64(29)), ends


def _banded(signatures: NDArray[np.uint64], bands: int) -> NDArray[np.uint32]:
    """One 32-bit hash per band of each signature; bands do not meet each other's hashes."""
    rows = signatures.shape[1] // bands
    hashes = np.tile(np.arange(1, bands + 1, dtype=np.uint64) * _MIX[2], (len(signatures), 1))
    for row in range(rows):
        hashes = (hashes ^ signatures[:, row::rows]) * _MIX[0]
        hashes ^= hashes >> np.uint64(31)
    return (hashes >> np.uint64(32)).astype(np.uint32)


def bands_for(threshold: float) -> int:
    """Bands of the signature: as few as find a pair at the threshold with ``_RECALL``; P = 1 − (1 − sʳ)ᵇ."""
    for rows in (16, 8, 4, 2):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands
    return PERMUTATIONS


class _Table:
    """64-bit numbers to small numbers, in 20 bytes each: open addressing in two arrays. 0 is not a key."""

    def __init__(self) -> None:
        self._size, self._held = 1024, 0
        self._keys, self._values = array("Q", bytes(8 * self._size)), array("I", bytes(4 * self._size))

    def _place(self, key: int) -> int:
        keys, mask = self._keys, self._size - 1
        at = key & mask
        while keys[at] and keys[at] != key:
            at = (at + 1) & mask
        return at

    def get(self, key: int) -> int | None:
        at = self._place(key)
        return self._values[at] if self._keys[at] else None

    def put(self, key: int, value: int) -> None:
        if 3 * self._held >= 2 * self._size:
            old = zip(self._keys, self._values, strict=True)
            self._size, self._held = 2 * self._size, 0
            self._keys, self._values = array("Q", bytes(8 * self._size)), array("I", bytes(4 * self._size))
            for known, number in old:
                if known:
                    self.put(known, number)
        at = self._place(key)
        self._held += not self._keys[at]
        self._keys[at], self._values[at] = key, value


class DuplicateIndex:
    """Remembers records and tells which earlier one a new one repeats. Deterministic for one order of records.

    Args:
        threshold: Jaccard similarity from which two records are near duplicates (0–1], or None for exact only.
        shared: what ``shared_lines`` found in a sample of the same records.

    Memory: about 200 bytes per record kept, whatever the size of the records; the shingles to verify with lie in a
    temporary file.
    """

    def __init__(self, threshold: float | None = DEFAULT_THRESHOLD, shared: frozenset[str] = frozenset()) -> None:
        self.threshold = threshold
        self.shared = shared
        self._by_digest, self._by_span = _Table(), _Table()
        self._keys = array("q")
        self._bands: list[NDArray[np.uint64]] = []  # sorted: 32 bits of a band's hash, 32 of the record's number
        self._shingles = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - ends with the index
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, trace: Trace) -> Match | None:
        """``add_all`` of one record."""
        return self.add_all([key], prints_of([Said.of(trace)], self.threshold, self.shared))[0]

    def add_all(self, keys: Sequence[int], prints: Prints) -> list[Match | None]:
        """For each record its match with one kept before; None if it is new, and then it is kept under its key.

        A record without messages matches nothing and is not kept.
        """
        alike = _Alike(prints.bands)
        candidates = self._candidates(prints.bands)
        matches: list[Match | None] = []
        kept: list[tuple[int, int]] = []
        for row, (key, own, span) in enumerate(zip(keys, prints.digests, prints.spans, strict=True)):
            match = None
            if own is not None:
                own = own or 1
                match = self._same(own, span) or self._near(prints.of(row), candidates.get(row, []), alike.kept(row))
                if match is None:
                    number = len(self._keys)
                    self._keep(key, own, span, prints.of(row))
                    if len(prints.of(row)):
                        kept.append((row, number))
                        alike.keep(row, number)
            matches.append(match)
        self._remember(prints.bands, kept)
        return matches

    def _same(self, own: int, span: int) -> Match | None:
        if (found := self._by_digest.get(own)) is not None:
            return Match("duplicate", self._keys[found], 1.0)
        if span and (found := self._by_span.get(span)) is not None:
            return Match("duplicate", self._keys[found], 1.0, same_span=True)
        return None

    def _near(self, own: NDArray[np.uint32], before: list[int], beside: list[int]) -> Match | None:
        """The first of the candidates that is as similar as the threshold says."""
        if self.threshold is None or not len(own) or not (before or beside):
            return None
        own = np.unique(own)
        for other in sorted({*before, *beside})[:_CANDIDATES]:
            similarity = _jaccard(own, np.unique(self._shingles_of(other)), self.threshold)
            if similarity >= self.threshold:
                return Match("near_duplicate", self._keys[other], similarity)
        return None

    def _keep(self, key: int, own: int, span: int, shingles: NDArray[np.uint32]) -> None:
        number = len(self._keys)
        self._keys.append(key)
        self._by_digest.put(own, number)
        if span:
            self._by_span.put(span, number)
        before = self._ends[-1] if number else 0
        if len(shingles):
            self._shingles.seek(before)
            self._shingles.write(shingles.tobytes())
        self._ends.append(before + shingles.nbytes)

    def _shingles_of(self, number: int) -> NDArray[np.uint32]:
        start = self._ends[number - 1] if number else 0
        self._shingles.seek(start)
        return np.frombuffer(self._shingles.read(self._ends[number] - start), dtype=np.uint32)

    def _candidates(self, bands: NDArray[np.uint32]) -> dict[int, list[int]]:
        """Numbers of records kept that share a band, by row."""
        found: dict[int, list[int]] = {}
        least = bands.astype(np.uint64).ravel() << np.uint64(32)
        for level in self._bands:
            first = np.searchsorted(level, least)
            last = np.searchsorted(level, least | np.uint64(0xFFFFFFFF), "right")
            for place in np.flatnonzero(last > first):
                few = level[first[place] : min(last[place], first[place] + _CANDIDATES)]
                numbers = (few & np.uint64(0xFFFFFFFF)).tolist()
                found.setdefault(int(place) // bands.shape[1], []).extend(numbers)
        return found

    def _remember(self, bands: NDArray[np.uint32], kept: list[tuple[int, int]]) -> None:
        """Adds the bands of what was kept: sorted runs, merged so that each is more than twice as long as the next."""
        if not kept:
            return
        rows, numbers = (np.array(column, np.uint64) for column in zip(*kept, strict=True))
        run = (bands[rows.astype(np.int64)].astype(np.uint64) << np.uint64(32)) | numbers[:, None]
        level = np.sort(run.ravel())
        while self._bands and len(self._bands[-1]) <= 2 * len(level):
            level = np.concatenate([self._bands.pop(), level])
            level.sort(kind="stable")
        self._bands.append(level)


class _Alike:
    """Records of one call of ``add_all`` that share a band, and which of them were kept so far."""

    def __init__(self, bands: NDArray[np.uint32]) -> None:
        self._groups: dict[int, list[int]] = {}  # row -> its groups
        self._kept: dict[int, list[int]] = {}  # group -> numbers of the records kept
        if not bands.size:
            return
        flat = bands.ravel()
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        same = np.append(ordered[1:] == ordered[:-1], False)
        shared = same | np.append(False, same[:-1])
        for place in np.flatnonzero(shared):
            self._groups.setdefault(int(order[place]) // bands.shape[1], []).append(int(ordered[place]))

    def kept(self, row: int) -> list[int]:
        groups = self._groups.get(row, ())
        return [number for group in groups for number in self._kept.get(group, ())[:_CANDIDATES]]

    def keep(self, row: int, number: int) -> None:
        for group in self._groups.get(row, ()):
            self._kept.setdefault(group, []).append(number)


def _jaccard(a: NDArray[np.uint32], b: NDArray[np.uint32], threshold: float) -> float:
    """Exact Jaccard similarity of two sorted sets of hashes; 0 where their sizes alone rule the threshold out."""
    if min(len(a), len(b)) < threshold * max(len(a), len(b)):
        return 0.0
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _lines(turn: str) -> Iterator[str]:
    return (folded for line in turn.splitlines() if (folded := fold(line)))

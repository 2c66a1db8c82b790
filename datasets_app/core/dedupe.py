"""Exact and near duplicates, one record at a time in file order; the earlier record is kept.

Near duplicates are compared over what the *user* says, and without what many records share: system prompts never count,
and lines of user text that a large part of a sample repeats (few-shot example turns, instruction templates) are left
out. Candidates come from MinHash signatures in bands (Broder 1997; Leskovec et al., Mining of Massive Datasets §3.4);
every candidate is verified with the exact Jaccard similarity of the word 3-shingles.

Records are taken a few hundred at a time: what can be computed without knowing the others (``prints_of``) may be done
in any process, and the index itself (``DuplicateIndex``) holds about 160 bytes per record.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
_LONGEST_RUN = 1 << 19  # marks, of 8 bytes; merging takes as much again
_EXACT = 2  # marks that are not of a band: of the digest and of the span id
_HEAD = 16  # bytes before a record's shingles
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


def compared_text(turns: Sequence[str], shared: frozenset[str] = frozenset()) -> str:
    """What a record is compared by: user text without shared lines, or else the last user turn as it is."""
    if shared and turns:
        own = [line for turn in turns for line in _lines(turn) if line not in shared]
        turns = own or turns[-1:]
    return "\n".join(turns).casefold()


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
    hashes, ends = _shingle_hashes([compared_text(said.turns, shared) for said in records])
    rows = RMinHash.digest_matrix_from_flat_token_hashes(hashes, np.append(0, ends), PERMUTATIONS, SEED).to_rows()
    bands = _banded(np.array(rows, np.uint64).reshape(count, PERMUTATIONS), bands_for(threshold))
    return Prints(digests, spans, bands, (hashes >> np.uint64(32)).astype(np.uint32), ends)


def _hash(text: str) -> int:
    """64 bits; never 0."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) or 1


# Odd numbers, well mixed, and one for each place of a letter in a word (a longer word begins with them anew).
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
_PLACES = 4096
_WEIGHTS = np.array([xxh3_64_intdigest(place.to_bytes(2, "little")) | 1 for place in range(_PLACES)], np.uint64)


def _word_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of the words of all texts, one after the other, and how many each text has.

    Words end at white space (and at control characters, which no valid record has). A word's hash is the sum of its
    bytes, each times the weight of its place (Carter and Wegman 1979), mixed.
    """
    plain = [text if text.isascii() else " ".join(text.split()) for text in texts]  # no white space beyond ASCII
    encoded = [text.encode("utf-8", "surrogatepass") for text in plain]
    letters = np.frombuffer(b" ".join([b"", *encoded, b""]), np.uint8)
    apart = letters <= ord(" ")
    changes = np.flatnonzero(apart[1:] != apart[:-1]) + 1  # by turns where a word begins, and where it has ended
    starts, sizes = changes[::2], changes[1::2] - changes[::2]
    bounds = np.cumsum([1, *(len(text) + 1 for text in encoded)])
    counts = np.diff(np.searchsorted(starts, bounds))
    if not len(starts):
        return np.zeros(0, np.uint64), counts
    before = np.cumsum(sizes) - sizes  # letters of the words before each
    place = np.arange(before[-1] + sizes[-1]) - np.repeat(before, sizes)
    hashes = np.add.reduceat(_WEIGHTS[place % _PLACES] * letters[~apart], before)
    return (hashes ^ (hashes >> np.uint64(32))) * _MIX[2], counts


def _shingle_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of the word 3-shingles of all texts, one after the other, and where each text's end."""
    flat, lengths = _word_hashes(texts)
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


_Lot = tuple[Prints, list[int]]  # records that are being added, and the rows of those that were kept


class DuplicateIndex:
    """Remembers records and tells which earlier one a new one repeats. Deterministic for one order of records.

    A record is looked up by some 32-bit marks: of its digest, of its span id, and of each band of its signature. What
    shares a mark with it is a candidate, and then compared for what the mark stands for.

    Args:
        threshold: Jaccard similarity from which two records are near duplicates (0–1], or None for exact only.
        shared: what ``shared_lines`` found in a sample of the same records.

    Memory: about 160 bytes per record kept, whatever their size; what is compared lies in a temporary file.
    """

    def __init__(self, threshold: float | None = DEFAULT_THRESHOLD, shared: frozenset[str] = frozenset()) -> None:
        self.threshold = threshold
        self.shared = shared
        self._keys = array("q")
        self._marks: list[NDArray[np.uint64]] = []  # sorted runs: 32 bits of a mark, 32 of the record's number
        # Of each record: 64 bits each of its digest and its span id, and its shingles.
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - ends with the index
        self._ends = array("Q")  # in bytes

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, trace: Trace) -> Match | None:
        """``add_all`` of one record."""
        return self.add_all([key], prints_of([Said.of(trace)], self.threshold, self.shared))[0]

    def add_all(self, keys: Sequence[int], prints: Prints) -> list[Match | None]:
        """For each record its match with one kept before; None if it is new, and then it is kept under its key.

        A record without messages matches nothing and is not kept.
        """
        marks = _marks(prints)
        order = np.argsort(marks, axis=None, kind="stable")
        alike = _Alike(marks, order)
        same, near = self._candidates(marks, order)
        matches: list[Match | None] = []
        kept: list[int] = []  # rows; the first of them gets the number behind those kept before
        for row, (key, own, span) in enumerate(zip(keys, prints.digests, prints.spans, strict=True)):
            match = None
            if own is not None:
                beside = alike.kept(row)
                if row in same or beside:
                    match = self._same(own, span, {*same.get(row, ()), *beside}, (prints, kept))
                if match is None and (row in near or beside):
                    match = self._near(prints.of(row), {*near.get(row, ()), *beside}, (prints, kept))
                if match is None:
                    alike.keep(row, len(self._keys))
                    kept.append(row)
                    self._keys.append(key)
            matches.append(match)
        if kept:
            self._remember(marks, prints, np.array(kept))
        return matches

    def _same(self, own: int, span: int, numbers: set[int], lot: _Lot) -> Match | None:
        """The record among these numbers that has the same digest, else the same span id."""
        found = None
        for number in sorted(numbers):
            digest, other, _ = self._kept(number, lot)
            if digest == own:
                return Match("duplicate", self._keys[number], 1.0)
            if span and other == span:
                found = Match("duplicate", self._keys[number], 1.0, same_span=True)
        return found

    def _near(self, own: NDArray[np.uint32], numbers: set[int], lot: _Lot) -> Match | None:
        """The first of the records with these numbers that is as similar as the threshold says."""
        if self.threshold is None or not len(own):
            return None
        own = np.unique(own)
        for number in sorted(numbers)[:_CANDIDATES]:
            similarity = _jaccard(own, np.unique(self._kept(number, lot)[2]), self.threshold)
            if similarity >= self.threshold:
                return Match("near_duplicate", self._keys[number], similarity)
        return None

    def _kept(self, number: int, lot: _Lot) -> tuple[int | None, int, NDArray[np.uint32]]:
        """Digest, span id and shingles of a record kept, from the file or from the lot that is being added."""
        before = len(self._ends)
        if number >= before:
            prints, kept = lot
            row = kept[number - before]
            return prints.digests[row], prints.spans[row], prints.of(row)
        start = self._ends[number - 1] if number else 0
        self._file.seek(start)
        raw = self._file.read(self._ends[number] - start)
        own, span = np.frombuffer(raw, np.uint64, 2).tolist()
        return own, span, np.frombuffer(raw, np.uint32, offset=_HEAD)

    def _candidates(
        self, marks: NDArray[np.uint32], order: NDArray[np.int64]
    ) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Numbers of records kept that share a mark, by row: one of digest or span id, and one of a band.

        ``order``: that of all marks.
        """
        same: dict[int, list[int]] = {}
        near: dict[int, list[int]] = {}
        least = marks.ravel()[order].astype(np.uint64) << np.uint64(32)  # in order: neighbours are looked up together
        for run in self._marks:
            first = np.searchsorted(run, least)
            there = np.flatnonzero(run[np.minimum(first, len(run) - 1)] ^ least < np.uint64(1 << 32))
            last = np.searchsorted(run, least[there] | np.uint64(0xFFFFFFFF), "right")
            for place, end in zip(there.tolist(), last.tolist(), strict=True):
                few = run[first[place] : min(end, first[place] + _CANDIDATES)]
                numbers = (few & np.uint64(0xFFFFFFFF)).tolist()
                row, column = divmod(int(order[place]), marks.shape[1])
                (same if column < _EXACT else near).setdefault(row, []).extend(numbers)
        return same, near

    def _remember(self, marks: NDArray[np.uint32], prints: Prints, rows: NDArray[np.int64]) -> None:
        """Adds what was kept: its marks as a sorted run, and its shingles to the file.

        Runs are merged so that each is more than twice as long as the next, up to a length that bounds what merging
        takes.
        """
        before = len(self._ends)
        numbers = np.arange(before, before + len(rows), dtype=np.uint64)
        run = np.sort(((marks[rows].astype(np.uint64) << np.uint64(32)) | numbers[:, None]).ravel())
        while self._marks and len(self._marks[-1]) <= min(2 * len(run), _LONGEST_RUN - len(run)):
            run = np.concatenate([self._marks.pop(), run])
            run.sort()
        self._marks.append(run)
        lengths = np.diff(prints.ends, prepend=0)
        chosen = np.zeros(len(lengths), bool)
        chosen[rows] = True
        heads = np.array([(prints.digests[row], prints.spans[row]) for row in rows], np.uint64).view(np.uint32)
        ends = np.cumsum(lengths[rows] + heads.shape[1])
        written = np.empty(ends[-1], np.uint32)
        of_head = np.zeros(len(written), bool)
        of_head[(ends - lengths[rows])[:, None] - np.arange(heads.shape[1], 0, -1)] = True
        written[of_head], written[~of_head] = heads.ravel(), prints.shingles[np.repeat(chosen, lengths)]
        at = self._ends[-1] if before else 0
        self._file.seek(at)
        self._file.write(written.tobytes())
        self._ends.frombytes((at + written.itemsize * ends).astype(np.uint64).tobytes())


def _marks(prints: Prints) -> NDArray[np.uint32]:
    """One row of 32-bit marks per record: of its digest, its span id and its bands."""
    digests = np.array([own or 0 for own in prints.digests], np.uint64)
    spans = np.array(prints.spans, np.uint64)
    both = np.stack([digests * _MIX[0], np.where(spans, spans, digests) * _MIX[1]], axis=1) >> np.uint64(32)
    # Texts without shingles have nothing that they could be near to: their bands would make them candidates of all.
    short = np.diff(prints.ends, prepend=0)[:, None] == 0
    bands = np.where(short, both[:, :1], prints.bands) if prints.bands.size else prints.bands
    return np.concatenate([both, bands], axis=1).astype(np.uint32)


class _Alike:
    """Records of one call of ``add_all`` that share a mark, and which of them were kept so far."""

    def __init__(self, marks: NDArray[np.uint32], order: NDArray[np.int64]) -> None:
        self._groups: dict[int, list[int]] = {}  # row -> its groups
        self._kept: dict[int, list[int]] = {}  # group -> numbers of the records kept
        ordered = marks.ravel()[order]
        same = np.append(ordered[1:] == ordered[:-1], False)
        shared = same | np.append(False, same[:-1])
        for place in np.flatnonzero(shared):
            self._groups.setdefault(int(order[place]) // marks.shape[1], []).append(int(ordered[place]))

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

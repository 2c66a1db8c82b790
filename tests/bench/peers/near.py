"""Near-duplicates with datasketch: MinHash, LSH at the threshold, every candidate verified; and the exact truth.

Both go through the texts in order and compare each with the earlier ones that were kept, as the product does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128


def shingles(text: str) -> frozenset[str]:
    words = text.casefold().split()
    return frozenset(" ".join(words[at : at + 3]) for at in range(len(words) - 2))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def by_datasketch(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """Pairs ``(text, the earlier one it repeats)``."""
    lsh = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    kept: dict[int, frozenset[str]] = {}
    found = []
    for number, text in enumerate(texts):
        own = shingles(text)
        if not own:
            continue
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([shingle.encode() for shingle in own])
        near = next((other for other in sorted(lsh.query(signature)) if jaccard(own, kept[other]) >= threshold), None)
        if near is None:
            lsh.insert(number, signature)
            kept[number] = own
        else:
            found.append((number, near))
    return found


def exactly(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """The same pairs without a guess: two sets that are near enough share one of their rarest shingles.

    Prefix filtering (Bayardo, Ma, Srikant: Scaling up all pairs similarity search, 2007).
    """
    sets = [shingles(text) for text in texts]
    frequency = Counter(shingle for own in sets for shingle in own)
    kept: defaultdict[str, list[int]] = defaultdict(list)
    found = []
    for number, own in enumerate(sets):
        if not own:
            continue
        rare = sorted(own, key=lambda shingle: (frequency[shingle], shingle))
        rare = rare[: len(own) - ceil(threshold * len(own)) + 1]
        others = sorted({other for shingle in rare for other in kept[shingle]})
        near = next((other for other in others if jaccard(own, sets[other]) >= threshold), None)
        if near is None:
            for shingle in rare:
                kept[shingle].append(number)
        else:
            found.append((number, near))
    return found

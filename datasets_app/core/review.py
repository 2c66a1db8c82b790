"""The order in which records are worth a person's answer. No I/O, deterministic.

An answer teaches about the records that resemble it, so the next record is the one with the largest

    sum over unsure records j of  unsureness(j) x (likeness to j above the best likeness of what is already chosen)

which rewards being unsure, lying among many unsure ones, and being unlike the records before it: greedy maximisation of
facility location, within 1 - 1/e of the best choice (Nemhauser et al. 1978; lazily evaluated, Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .categorizing import Assignment
from .clustering import Vectors

CHOSEN = 500  # records put in order this way; the rest follows by how unsure it is
COMPARED = 4000  # records compared with each other: 64 MB
LIKE = 0.6  # cosine from which people would call two messages alike
ALIKE = 3  # power of the cosine: only close texts learn from each other


def review_order(assignments: Sequence[Assignment], vectors: Vectors, most: int = CHOSEN) -> list[int]:
    """Indices of all records that need review, most informative first.

    ``vectors``: unit vectors [n, d] of the same records. Of more than ``COMPARED`` the least sure are compared.
    """
    waiting = [index for index, item in enumerate(assignments) if item.needs_review]
    waiting.sort(key=lambda index: (assignments[index].topic is None, -_unsure(assignments[index]), index))
    compared = waiting[:COMPARED]
    unsure = np.array([_unsure(assignments[index]) for index in compared], np.float32)
    chosen = _greedy(_likeness(vectors[compared]), unsure, most)
    first = [compared[at] for at in chosen]
    taken = set(first)
    return first + [index for index in waiting if index not in taken]


def alike(vectors: Vectors, chosen: Sequence[int]) -> list[int]:
    """How many other rows of ``vectors`` [n, d] are worded like each chosen one: cosine of ``LIKE`` or more."""
    if not len(chosen):
        return []
    near = (vectors[list(chosen)] @ vectors.T >= LIKE).sum(axis=1)
    return [int(count) - 1 for count in near]


def _unsure(item: Assignment) -> float:
    return 1.0 - item.confidence


def _likeness(vectors: Vectors) -> NDArray[np.float32]:
    return np.asarray(np.clip(vectors @ vectors.T, 0.0, 1.0) ** ALIKE, np.float32)


def _greedy(likeness: NDArray[np.float32], unsure: NDArray[np.float32], most: int) -> list[int]:
    """Rows in the order of their gains. Gains only shrink, so a renewed one that still leads is the best."""
    covered = np.zeros(len(unsure), np.float32)
    heap = [(-float(gain), row) for row, gain in enumerate(likeness @ unsure)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < most:
        _, row = heapq.heappop(heap)
        gain = float(np.maximum(likeness[row] - covered, 0.0) @ unsure)
        if heap and gain < -heap[0][0] - 1e-6:
            heapq.heappush(heap, (-gain, row))
            continue
        chosen.append(row)
        covered = np.maximum(covered, likeness[row])
    return chosen

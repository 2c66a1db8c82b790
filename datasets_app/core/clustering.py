"""Groups of similar texts from their embeddings, their number chosen by the data. No I/O, deterministic by seed.

Method: vectors are centred and averaged with their nearest neighbours (which pulls paraphrases together), a Ward tree
is built over a sample, and every number of clusters is one cut of that tree, so that two levels nest by construction.
Texts outside the sample, and confidences, come from the vote of the nearest neighbours in the sample.

Number of clusters: at each cut the mean silhouette (cosine, of the vectors *before* averaging), less the silhouette
that the same method gets from vectors of the same spread without groups. That margin flattens rather than peaks on real
text, so the *smallest* number whose margin is within 8 % (at least 0.015) of the best is taken.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import ward_tree
from sklearn.metrics import silhouette_samples

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]

UNKNOWN_CLUSTER = -1
SAMPLE = 4000  # vectors the tree is built over: 16 M distances
SCORED = 2000  # of these, how many the silhouette looks at
NEIGHBOURS = 10
PULL = 0.7  # weight of the neighbours' mean, applied twice
NEAR_BEST, NEAR = 0.08, 0.015  # how far from the best margin: relative, and absolute where structure is weak
MAX_CLUSTERS = 150
PER_CLUSTER = 20  # texts a cluster has on average at least; in small sets the square root of their number counts
FEW = 16  # fewer texts are one cluster
NO_STRUCTURE = 0.02  # a best margin under this says the texts do not fall into groups
SMALLEST = 3  # a cluster with fewer members is junk
INCOHERENT, SMALL = -0.03, 0.03  # mean silhouette under which a cluster with so small a share of the texts is junk
TWO_LEVELS_FROM = 13
GROUPS = (3, 12)  # how many groups the upper level may have


@dataclass(frozen=True)
class Clustering:
    """``labels[i]``: cluster 0..k-1 by size, or -1 for junk; ``confidence[i]``: share of neighbours in the same one.

    ``groups[c]``: upper-level group of cluster c, empty where one level is enough. ``scores``: margin of the silhouette
    per number of clusters tried, empty when the number was given.
    """

    labels: Labels
    confidence: NDArray[np.float32]
    groups: list[int]
    scores: dict[int, float]

    @property
    def k(self) -> int:
        """Clusters that are not junk."""
        return int(self.labels.max(initial=-1)) + 1

    def members(self, cluster: int) -> NDArray[np.int64]:
        """Indices of the texts of a cluster, most confident first."""
        found = np.flatnonzero(self.labels == cluster)
        return found[np.argsort(-self.confidence[found], kind="stable")]


def cluster(vectors: Vectors, *, k: int | None = None, seed: int = 0) -> Clustering:
    """Cluster unit vectors [n, d] into ``k`` groups, or as many as the data shows; ``ValueError`` for ``k`` below 1."""
    if k is not None and k < 1:
        raise ValueError("The number of topics must be 1 or more.")
    n = len(vectors)
    if n == 0 or k == 1 or (k is None and n < FEW):
        return Clustering(np.zeros(n, np.int64), np.ones(n, np.float32), [], {})
    sample = _sample(n, SAMPLE, seed)
    points = _centred(vectors, vectors[sample])
    core = points[sample]
    tree = _grow(core)
    probe = _sample(len(core), SCORED, seed + 1)
    distances = _distances(core[probe])
    scores: dict[int, float] = {}
    if k is None:
        scores = _margins(tree, probe, distances, _structureless(core[probe], seed))
        k = best_size(scores)
        if k == 1:
            return Clustering(np.zeros(n, np.int64), np.ones(n, np.float32), [], scores)
    k = min(k, len(core))
    labels = _without_junk(tree.cut(k), probe, distances)
    group_of = _groups(tree, labels, distances, probe)
    every, confidence = _vote(points, core, sample, labels)
    return Clustering(every, confidence, group_of, scores)


def candidates(n: int) -> list[int]:
    """Numbers of clusters to try for ``n`` texts: a geometric series from 2 with steps of about 10 %."""
    most = max(2, min(MAX_CLUSTERS, max(n // PER_CLUSTER, math.isqrt(n))))
    sizes = {round(2 * 1.1**step) for step in range(64)}
    return sorted(size for size in sizes if size <= most)


def best_size(scores: dict[int, float]) -> int:
    """Smallest number whose margin is near enough to the best; 1 when no number shows structure."""
    best = max(scores.values())
    if best < NO_STRUCTURE:
        return 1
    least = best - max(NEAR_BEST * best, NEAR)
    return min(size for size, score in scores.items() if score >= least)


def neighbours(
    queries: Vectors, points: Vectors, count: int, *, skip_self: bool = False
) -> tuple[NDArray[np.int64], Vectors]:
    """Indices and cosines [n, count] of the nearest ``points``, in no order, in slices that keep memory flat."""
    index = np.empty((len(queries), count), np.int64)
    cosine = np.empty((len(queries), count), np.float32)
    for start in range(0, len(queries), 1024):
        block = queries[start : start + 1024] @ points.T
        if skip_self:
            block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        top = np.argpartition(-block, count - 1, axis=1)[:, :count]
        index[start : start + len(block)] = top
        cosine[start : start + len(block)] = np.take_along_axis(block, top, axis=1)
    return index, cosine


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows at length 1; a zero row stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)


class _Tree:
    """Cuts of a binary merge tree whose leaves are 0..n-1 and whose i-th merge makes node n+i."""

    def __init__(self, merges: Sequence[Sequence[int]], n: int) -> None:
        self.n = n
        self.children = {n + i: (int(left), int(right)) for i, (left, right) in enumerate(merges)}

    def cut(self, k: int) -> Labels:
        """Labels 0..k-1 of the ``k`` subtrees left after undoing the last merges."""
        heap = [-(2 * self.n - 2)]  # node numbers grow with merge height: the largest is undone first
        while len(heap) < min(k, self.n):
            for child in self.children[-heapq.heappop(heap)]:
                heapq.heappush(heap, -child)
        labels = np.empty(self.n, np.int64)
        for label, node in enumerate(sorted(-item for item in heap)):
            labels[self._leaves(node)] = label
        return labels

    def _leaves(self, node: int) -> list[int]:
        found, stack = [], [node]
        while stack:
            at = stack.pop()
            if at < self.n:
                found.append(at)
            else:
                stack.extend(self.children[at])
        return found


def _sample(n: int, most: int, seed: int) -> NDArray[np.int64]:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _centred(vectors: Vectors, reference: Vectors) -> Vectors:
    """Without what all texts share, so that cosines spread over their whole range."""
    return unit(vectors - reference.mean(axis=0, keepdims=True))


def _reach(n: int) -> int:
    """Neighbours to look at: fewer in small sets, where ten would already leave the topic."""
    return max(1, min(NEIGHBOURS, max(3, n // 20), n - 1))


def _pulled(points: Vectors, near: NDArray[np.int64]) -> Vectors:
    moved = points
    for _ in range(2):
        moved = unit((1.0 - PULL) * points + PULL * moved[near].mean(axis=1))
    return moved


def _grow(points: Vectors) -> _Tree:
    near, _ = neighbours(points, points, _reach(len(points)), skip_self=True)
    return _Tree(ward_tree(_pulled(points, near).astype(np.float64))[0], len(points))


def _distances(points: Vectors) -> NDArray[np.float32]:
    distances = np.clip(1.0 - points @ points.T, 0.0, 2.0)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances, np.float32)


def _structureless(points: Vectors, seed: int) -> Vectors:
    """Vectors of the same spread along every principal axis, but normally distributed: one cloud without groups."""
    middle = points.mean(axis=0, keepdims=True)
    _, scale, axes = np.linalg.svd(points - middle, full_matrices=False)
    cloud = np.random.default_rng(seed).normal(size=(len(points), len(scale))) * scale / math.sqrt(len(points))
    return unit(cloud @ axes)


def _margins(
    tree: _Tree, probe: NDArray[np.int64], distances: NDArray[np.float32], nothing: Vectors
) -> dict[int, float]:
    """Silhouette of every cut above that of the cut of the structureless vectors."""
    chance, chance_distances = _grow(nothing), _distances(nothing)
    return {
        size: _silhouette(distances, tree.cut(size)[probe]) - _silhouette(chance_distances, chance.cut(size))
        for size in candidates(tree.n)
    }


def _silhouette(distances: NDArray[np.float32], labels: Labels) -> float:
    present = len(np.unique(labels))
    if not 1 < present < len(labels):
        return -1.0
    return float(silhouette_samples(distances, labels, metric="precomputed").mean())


def _without_junk(labels: Labels, probe: NDArray[np.int64], distances: NDArray[np.float32]) -> Labels:
    """Labels by size, largest 0; clusters that are tiny, or small and do not hold together, become -1."""
    names, counts = np.unique(labels, return_counts=True)
    coherence = dict.fromkeys(names.tolist(), 1.0)
    seen = labels[probe]
    if 1 < len(np.unique(seen)) < len(seen):
        values = silhouette_samples(distances, seen, metric="precomputed")
        coherence.update({int(name): float(values[seen == name].mean()) for name in np.unique(seen)})
    keep = [
        (-int(count), int(name))
        for name, count in zip(names, counts, strict=True)
        if count >= SMALLEST and (coherence[int(name)] >= INCOHERENT or count > SMALL * len(labels))
    ]
    order = {name: rank for rank, (_, name) in enumerate(sorted(keep))}
    return np.array([order.get(int(label), UNKNOWN_CLUSTER) for label in labels], np.int64)


def _groups(tree: _Tree, labels: Labels, distances: NDArray[np.float32], probe: NDArray[np.int64]) -> list[int]:
    """The upper level: of the coarser cuts the one with the best silhouette, numbered by the first cluster in it."""
    k = int(labels.max(initial=-1)) + 1
    if k < TWO_LEVELS_FROM:
        return []
    sizes = range(GROUPS[0], min(GROUPS[1], k // 2) + 1)
    scores = {size: _silhouette(distances, tree.cut(size)[probe]) for size in sizes}
    coarse = tree.cut(max(sizes, key=lambda size: (scores[size], -size)))
    order: dict[int, int] = {}
    # cuts of one tree nest, so any member tells the group of its whole cluster
    return [order.setdefault(int(coarse[np.flatnonzero(labels == c)[0]]), len(order)) for c in range(k)]


def _vote(
    points: Vectors, core: Vectors, sample: NDArray[np.int64], labels: Labels
) -> tuple[Labels, NDArray[np.float32]]:
    """Labels of all points (those of the sample keep theirs) and the share of neighbours that agree."""
    reach = _reach(len(core))
    in_sample = np.full(len(points), -1, np.int64)
    in_sample[sample] = np.arange(len(sample))
    width = min(reach + 1, len(core))  # one more, for a point of the sample finds itself
    near, cosine = neighbours(points, core, width)
    weight = np.where(near == in_sample[:, None], 0.0, np.clip(cosine, 1e-3, None))
    classes = int(labels.max(initial=-1)) + 2  # the last column is junk
    votes = np.zeros((len(points), classes), np.float32)
    for column in range(width):
        np.add.at(votes, (np.arange(len(points)), labels[near[:, column]]), weight[:, column])
    votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    every = np.where(np.arange(classes) == classes - 1, -1, np.arange(classes))[votes.argmax(axis=1)]
    every[sample] = labels
    return every.astype(np.int64), votes[np.arange(len(points)), every]

"""Probability of every topic for a text, from embeddings: no labels needed, a few make it much better. No I/O.

Without examples: cosine to a prototype per topic (its name, description and keywords), the prototypes then drawn
towards the texts they attract. With examples: logistic regression on them and the prototypes, fitted once more with the
pool's texts under what it and their neighbours say of them (self-training, Yarowsky 1995). Both are averaged with the
nearest texts' probabilities.

The softmax temperatures make these probabilities calibrated: ``TEMPERATURE`` was fitted on banking77 (names only,
random subsets of 3 to 77 topics: expected calibration error 0.02 to 0.05 on all but one), that of the regression is
fitted on the examples by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from .clustering import Vectors, neighbours, unit
from .topics import TopicTree, readable

Embed = Callable[[list[str]], NDArray[np.float32]]
Floats = NDArray[np.float32]

TEMPERATURE = 12.0
NEAREST = 6  # texts of the pool that have a say
SMOOTH = 0.4  # weight of their probabilities
ROUNDS, KEEP = 8, 0.45  # of drawing prototypes; share of the old prototype kept
CENTRE_TEXTS, CENTRE_TOPICS = 50.0, 3.0  # how many are needed before their mean is taken off half
NAME_WEIGHT = 0.3  # of the name's prototype beside the mean of examples
MIN_ATTRACTED = 30  # fewer texts draw no prototype
STRENGTH = 30.0  # of the regression (inverse regularisation)
NAMED = 0.5  # weight of a topic's prototype as an example, beside those people gave
LENT, LENT_SMOOTH, FIRST_SHARPNESS = 0.3, 0.6, 2.0  # of self-training: weight of a text, of its neighbours' say
ENOUGH_TO_FIT = 2  # examples per topic from which the temperature is cross-validated
FOLDS, REPEATS = 5, 3  # in at most so many parts, so often: one way of parting tells too little


class TopicModel:
    """Fitted to a tree, examples and a pool of texts; then answers for any text, in any batch, the same."""

    def __init__(
        self,
        tree: TopicTree,
        leaves: Sequence[str],
        embed: Embed,
        examples: Mapping[str, Sequence[str]],
        pool: Vectors,
        seed: int = 0,
    ) -> None:
        self.leaves = list(leaves)
        raw = prototypes(tree, leaves, embed)
        self._mean = _shrunk_mean(pool, CENTRE_TEXTS) if len(pool) else np.zeros((1, raw.shape[1]), np.float32)
        self._named = unit(raw - _shrunk_mean(raw, CENTRE_TOPICS))
        self._prototypes = self._named.copy()
        taught, answers = self._examples(embed, examples)
        self._pool = np.vstack([unit(pool - self._mean), taught]) if len(pool) else taught
        self._near = _Neighbours.among(self._pool) if len(self._pool) >= MIN_ATTRACTED else None
        self._regression: LogisticRegression | None = None
        self._share_taught, self._sharpness = 0.0, 1.0
        self._join(taught, answers)
        self._draw()
        self._anchors = np.vstack([self._prototypes, taught])
        if len(taught) and len(self.leaves) > 1:
            self._share_taught = len(np.unique(answers)) / len(self.leaves)
            # Thousands of tiny products: on a busy machine threads waited 50 times the work. Set once: it takes 8 ms.
            with threadpool_limits(1):
                self._sharpness = self._fit_sharpness(taught, answers, seed)
                self._regression = self._taught(taught, answers)
        self._pool_probabilities = self._own(self._pool)

    def probabilities(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """(probability per leaf [n, leaves], closest cosine to any prototype or example [n]) of unit vectors."""
        points = unit(vectors - self._mean)
        own = self._own(points)
        nearest = np.concatenate(
            [(points[at : at + 4096] @ self._anchors.T).max(axis=1) for at in range(0, len(points), 4096)]
            or [np.zeros(0, np.float32)]
        )
        if self._near is not None:
            own = _smoothed(own, self._pool_probabilities, _Neighbours.of(points, self._pool))
        return own, nearest

    def _own(self, points: Vectors) -> Floats:
        near = softmax(points @ self._prototypes.T * TEMPERATURE)
        if self._regression is None:
            return near
        taught = softmax(self._logits(self._regression, points) * self._sharpness)
        return (1.0 - self._share_taught) * near + self._share_taught * taught

    def _logits(self, model: LogisticRegression, points: Vectors) -> Floats:
        """Log probabilities over all leaves; a leaf the model has not seen gets next to none."""
        logits = np.full((len(points), len(self.leaves)), -30.0, np.float32)
        if len(points):
            logits[:, [int(name) for name in model.classes_]] = model.predict_log_proba(points)
        return logits

    def _draw(self) -> None:
        """Move the prototypes towards the texts of the pool that they attract."""
        if self._near is None:
            return
        start = self._prototypes
        for _ in range(ROUNDS):
            own = self._own(self._pool)
            weight = _smoothed(own, own, self._near) ** 2
            drawn = unit(weight.T @ self._pool / np.maximum(weight.sum(axis=0)[:, None], 1e-9))
            self._prototypes = unit(KEEP * start + (1.0 - KEEP) * drawn)

    def _examples(self, embed: Embed, examples: Mapping[str, Sequence[str]]) -> tuple[Vectors, NDArray[np.int64]]:
        number = {name: index for index, name in enumerate(self.leaves)}
        pairs = [(text, number[name]) for name in examples if name in number for text in examples[name] if text.strip()]
        if not pairs:
            return self._prototypes[:0], np.zeros(0, np.int64)
        vectors = np.asarray(embed([text for text, _ in pairs]), np.float32)
        return unit(vectors - self._mean), np.array([answer for _, answer in pairs], np.int64)

    def _join(self, taught: Vectors, answers: NDArray[np.int64]) -> None:
        """Prototypes of topics with examples become mostly the examples' mean."""
        for leaf in np.unique(answers):
            mean = unit(taught[answers == leaf].mean(axis=0, keepdims=True))
            self._prototypes[leaf] = unit(NAME_WEIGHT * self._prototypes[leaf : leaf + 1] + mean)[0]

    def _taught(self, taught: Vectors, answers: NDArray[np.int64]) -> LogisticRegression:
        """Regression on examples and names, then once more with the pool's texts under what it says of them.

        Self-training: a text of the pool counts less than an example, and less still where its neighbours disagree.
        """
        every = np.arange(len(self.leaves))
        # each name twice at half its weight: scikit-learn warns of more topics than half the texts
        points, targets = np.vstack([taught, self._named, self._named]), np.concatenate([answers, every, every])
        named = np.full(2 * len(every), 0.5)
        first = _fitted(points, targets, np.concatenate([np.ones(len(taught)), named]))
        if self._near is None:
            return first
        said = softmax(self._logits(first, self._pool) * FIRST_SHARPNESS)
        if self._share_taught < 1.0:  # topics without examples: what their names attract
            near = softmax(self._pool @ self._prototypes.T * TEMPERATURE)
            said = (1.0 - self._share_taught) * near + self._share_taught * said
        said = _smoothed(said, said, self._near, LENT_SMOOTH)
        weights = np.concatenate([np.ones(len(taught)), NAMED * named, LENT * said.max(axis=1)])
        return _fitted(np.vstack([points, self._pool]), np.concatenate([targets, said.argmax(axis=1)]), weights)

    def _fit_sharpness(self, points: Vectors, answers: NDArray[np.int64], seed: int) -> float:
        """Factor on the log probabilities by the log loss over held-out examples; 1 when they are few.

        Of the factors within one standard error of the best the smallest (Breiman et al. 1984, 3.4.3): where the
        examples do not tell them apart, the one that is least sure of itself.
        """
        names, counts = np.unique(answers, return_counts=True)
        usable = np.isin(answers, names[counts >= ENOUGH_TO_FIT])
        if len(np.unique(answers[usable])) < 2:
            return 1.0
        points, answers = points[usable], answers[usable]
        parts = min(FOLDS, int(counts[counts >= ENOUGH_TO_FIT].min()))
        losses = np.zeros((len(points), len(_SHARPNESS)))
        for repeat in range(REPEATS):
            folds = StratifiedKFold(parts, shuffle=True, random_state=seed + repeat)
            for train, test in folds.split(points, answers):
                losses[test] += self._held_out(points, answers, train, test)
        best = losses[:, [int(losses.mean(axis=0).argmin())]]
        behind = losses - best
        near = behind.mean(axis=0) <= behind.std(axis=0) / np.sqrt(len(points))
        return float(_SHARPNESS[int(np.flatnonzero(near).min())])

    def _held_out(
        self, points: Vectors, answers: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Log loss [test, factors] of what the examples ``train`` say of the examples ``test``."""
        model = self._taught(points[train], answers[train])
        logits, pool = self._logits(model, points[test]), self._logits(model, self._pool)
        near = _Neighbours.of(points[test], self._pool) if self._near is not None else None
        losses = np.zeros((len(test), len(_SHARPNESS)))
        for at, factor in enumerate(_SHARPNESS):
            said = softmax(logits * factor)
            if near is not None:
                said = _smoothed(said, softmax(pool * factor), near)
            losses[:, at] = -np.log(np.maximum(said[np.arange(len(test)), answers[test]], 1e-9))
        return losses


class _Neighbours(NamedTuple):
    """Indices into the pool [n, neighbours] and weights that add up to 1 per row."""

    rows: NDArray[np.int64]
    weight: Floats

    @classmethod
    def of(cls, points: Vectors, pool: Vectors) -> _Neighbours:
        """The nearest texts of the pool to any points; of a text in the pool itself, it comes first."""
        return cls._weighed(*neighbours(points, pool, NEAREST))

    @classmethod
    def among(cls, pool: Vectors) -> _Neighbours:
        """The nearest other texts of every text of the pool."""
        return cls._weighed(*neighbours(pool, pool, NEAREST, skip_self=True))

    @classmethod
    def _weighed(cls, index: NDArray[np.int64], cosine: Floats) -> _Neighbours:
        weight = np.clip(cosine, 1e-3, None)
        return cls(index, np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32))


_SHARPNESS = np.round(np.geomspace(0.5, 4.0, 50), 3)  # steps of 4 %: one of 15 % was off by 0.05 of confidence


def prototypes(tree: TopicTree, leaves: Sequence[str], embed: Embed) -> Vectors:
    """One unit vector per leaf: the mean of its name, its description and each of its keywords."""
    texts: list[str] = []
    owner: list[int] = []
    for index, name in enumerate(leaves):
        topic = tree.topics[name]
        said = [text for text in (readable(name), topic.description, *topic.keywords) if text.strip()]
        texts += said
        owner += [index] * len(said)
    vectors = np.asarray(embed(texts), np.float32)
    sums = np.zeros((len(leaves), vectors.shape[1]), np.float32)
    np.add.at(sums, np.array(owner), vectors)
    return unit(sums)


def softmax(logits: Floats) -> Floats:
    """Row-wise, without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def _smoothed(own: Floats, pool: Floats, near: _Neighbours, share: float = SMOOTH) -> Floats:
    """``own`` [n, leaves] averaged with the probabilities of the neighbours in the pool [pool, leaves]."""
    total = np.zeros((len(near.rows), pool.shape[1]), np.float32)
    for column in range(near.rows.shape[1]):  # one at a time: [n, neighbours, leaves] would not fit in memory
        total += near.weight[:, column, None] * pool[near.rows[:, column]]
    return np.asarray((1.0 - share) * own + share * total, np.float32)


def _shrunk_mean(vectors: Vectors, half: float) -> Vectors:
    """The mean, shrunk towards nothing where there are few vectors to trust it."""
    return vectors.mean(axis=0, keepdims=True) * np.float32(len(vectors) / (len(vectors) + half))


def _fitted(points: Vectors, targets: NDArray[np.int64], weights: NDArray[np.float64]) -> LogisticRegression:
    """Targets go in as text: of many whole numbers scikit-learn suspects a quantity and warns."""
    names = np.array([f"{target:06d}" for target in targets])
    return LogisticRegression(C=STRENGTH, max_iter=300).fit(points, names, sample_weight=weights)

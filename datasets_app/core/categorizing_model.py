"""Probability of every topic for a text, from embeddings: no labels needed, a few make it much better. No I/O.

Without examples: cosine to a prototype per topic (its name, description and keywords), the prototypes then drawn
towards the texts they attract. With examples: logistic regression on them, the prototypes and, for topics without
examples, the texts that the first stage is surest of. Both are averaged with the nearest texts' probabilities.

The softmax temperatures make these probabilities calibrated: ``TEMPERATURE`` was fitted on banking77 (names only,
random subsets of 3 to 77 topics: expected calibration error 0.02 to 0.05 on all but one), that of the regression is
fitted on the examples by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from .clustering import NEIGHBOURS, Vectors, neighbours, unit
from .topics import TopicTree, readable

Embed = Callable[[list[str]], NDArray[np.float32]]
Floats = NDArray[np.float32]

TEMPERATURE = 12.0
SMOOTH = 0.4  # weight of the neighbours' probabilities
ROUNDS, KEEP = 8, 0.45  # of drawing prototypes; share of the old prototype kept
CENTRE_TEXTS, CENTRE_TOPICS = 50.0, 3.0  # how many are needed before their mean is taken off half
NAME_WEIGHT = 0.3  # of the name's prototype beside the mean of examples
MIN_ATTRACTED = 30  # fewer texts draw no prototype
STRENGTH = 30.0  # of the regression (inverse regularisation)
PSEUDO, PSEUDO_WEIGHT, PSEUDO_SURE = 5, 0.3, 0.6  # texts lent to a topic without examples
ENOUGH_TO_FIT = 2  # examples per topic from which the temperature is cross-validated


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
        self._pool = unit(pool - self._mean) if len(pool) else pool
        self._regression: LogisticRegression | None = None
        self._share_taught, self._sharpness = 0.0, 1.0
        self._pool_probabilities: Floats | None = None
        taught, answers = self._examples(embed, examples)
        self._join(taught, answers)
        self._draw()
        self._anchors = np.vstack([self._prototypes, taught])
        if len(taught) and len(self.leaves) > 1:
            self._teach(taught, answers, seed)
        if len(self._pool) > NEIGHBOURS:
            self._pool_probabilities = self._own(self._pool)

    def probabilities(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """(probability per leaf [n, leaves], closest cosine to any prototype or example [n]) of unit vectors."""
        points = unit(vectors - self._mean)
        own = self._own(points)
        nearest = np.concatenate(
            [(points[at : at + 4096] @ self._anchors.T).max(axis=1) for at in range(0, len(points), 4096)]
            or [np.zeros(0, np.float32)]
        )
        if self._pool_probabilities is not None:
            near, cosine = neighbours(points, self._pool, NEIGHBOURS)
            own = (1.0 - SMOOTH) * own + SMOOTH * _average(self._pool_probabilities, near, cosine)
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
        logits[:, [int(name) for name in model.classes_]] = model.predict_log_proba(points)
        return logits

    def _draw(self) -> None:
        """Move the prototypes towards the texts of the pool that they attract."""
        if len(self._pool) < MIN_ATTRACTED:
            return
        near, cosine = neighbours(self._pool, self._pool, NEIGHBOURS, skip_self=True)
        start = self._prototypes
        for _ in range(ROUNDS):
            own = self._own(self._pool)
            share = (1.0 - SMOOTH) * own + SMOOTH * _average(own, near, cosine)
            weight = share**2
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

    def _teach(self, taught: Vectors, answers: NDArray[np.int64], seed: int) -> None:
        """Fit the regression; it counts as much as there are topics with examples."""
        lent, lent_answers = self._lent(set(answers.tolist()))
        every = np.arange(len(self.leaves))
        points = np.vstack([taught, self._named, lent])
        targets = np.concatenate([answers, every, lent_answers])
        weights = np.concatenate([np.ones(len(answers) + len(every)), np.full(len(lent), PSEUDO_WEIGHT)])
        self._sharpness = self._fit_sharpness(taught, answers, seed)
        fitted = _fitted(points, targets, weights)
        self._regression, self._share_taught = fitted, len(np.unique(answers)) / len(self.leaves)

    def _lent(self, taught: set[int]) -> tuple[Vectors, NDArray[np.int64]]:
        """Texts of the pool the prototypes are surest of, for topics nobody gave examples of."""
        chosen: list[int] = []
        answers: list[int] = []
        if len(self._pool) >= MIN_ATTRACTED:
            own = self._own(self._pool)
            for leaf in set(range(len(self.leaves))) - taught:
                mine = np.flatnonzero((own.argmax(axis=1) == leaf) & (own[:, leaf] >= PSEUDO_SURE))
                best = mine[np.argsort(-own[mine, leaf], kind="stable")[:PSEUDO]]
                chosen += best.tolist()
                answers += [leaf] * len(best)
        return self._pool[chosen], np.array(answers, np.int64)

    def _fit_sharpness(self, points: Vectors, answers: NDArray[np.int64], seed: int) -> float:
        """Factor on the log probabilities with the smallest log loss over held-out examples; 1 when they are few."""
        names, counts = np.unique(answers, return_counts=True)
        usable = np.isin(answers, names[counts >= ENOUGH_TO_FIT])
        if len(np.unique(answers[usable])) < 2:
            return 1.0
        points, answers = points[usable], answers[usable]
        folds = StratifiedKFold(min(3, int(counts[counts >= ENOUGH_TO_FIT].min())), shuffle=True, random_state=seed)
        losses = np.zeros(len(_SHARPNESS))
        every = np.arange(len(self.leaves))
        for train, test in folds.split(points, answers):
            # the undrawn prototypes: the others have seen the held-out examples
            model = _fitted(np.vstack([points[train], self._named]), np.concatenate([answers[train], every]))
            logits = self._logits(model, points[test])
            for at, factor in enumerate(_SHARPNESS):
                picked = softmax(logits * factor)[np.arange(len(test)), answers[test]]
                losses[at] -= float(np.log(np.maximum(picked, 1e-9)).sum())
        return float(_SHARPNESS[int(losses.argmin())])


_SHARPNESS = np.round(np.geomspace(0.5, 4.0, 16), 3)


def prototypes(tree: TopicTree, leaves: Sequence[str], embed: Embed) -> Vectors:
    """One unit vector per leaf: the mean of its name (its group's too), its description and its keywords together."""
    texts: list[str] = []
    owner: list[int] = []
    for index, name in enumerate(leaves):
        topic = tree.topics[name]
        for text in (readable(name), topic.description, ", ".join(topic.keywords)):
            if text:
                texts.append(text)
                owner.append(index)
    vectors = np.asarray(embed(texts), np.float32)
    sums = np.zeros((len(leaves), vectors.shape[1]), np.float32)
    np.add.at(sums, np.array(owner), vectors)
    return unit(sums)


def softmax(logits: Floats) -> Floats:
    """Row-wise, without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def _average(values: Floats, near: NDArray[np.int64], cosine: Floats) -> Floats:
    weight = np.clip(cosine, 1e-3, None)
    weight = weight / weight.sum(axis=1, keepdims=True)
    total = np.zeros((len(near), values.shape[1]), np.float32)
    for column in range(near.shape[1]):  # one neighbour at a time: [n, neighbours, leaves] would not fit in memory
        total += weight[:, column, None] * values[near[:, column]]
    return total


def _shrunk_mean(vectors: Vectors, half: float) -> Vectors:
    """The mean, shrunk towards nothing where there are few vectors to trust it."""
    return vectors.mean(axis=0, keepdims=True) * np.float32(len(vectors) / (len(vectors) + half))


def _fitted(
    points: Vectors, targets: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> LogisticRegression:
    """Targets go in as text: of many whole numbers scikit-learn suspects a quantity and warns."""
    names = np.array([f"{target:06d}" for target in targets])
    with threadpool_limits(1):  # thousands of tiny products: on a busy machine threads waited 50 times the work
        return LogisticRegression(C=STRENGTH, max_iter=300).fit(points, names, sample_weight=weights)

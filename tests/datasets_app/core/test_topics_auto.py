from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from datasets_app.core.categorizing import Categorizer
from datasets_app.core.labelling import Label
from datasets_app.core.topics import parse_tree, snake_name
from datasets_app.core.topics_auto import AutoAssignment, auto_topics, propose_topics
from rft_project.platforms.static_embeddings import embed

from .help_desk import banking77, desk, hashing_embed


def test_the_topics_of_a_help_desk() -> None:
    texts, intents = desk()
    found = auto_topics(texts, embed, k=6)
    leaves = found.tree.leaves()
    assert len(leaves) == 6
    assert found.chosen_by == "6 topics from the 6 clusters asked for."
    assert {item.topic for item in found.assignments} == set(leaves)
    assert normalized_mutual_info_score(intents, [item.topic for item in found.assignments]) > 0.9
    assert parse_tree(found.tree.to_json()) == found.tree
    for leaf in leaves:
        assert found.tree.topics[leaf].description
        assert len(found.tree.topics[leaf].keywords) >= 2


def test_the_number_is_chosen_by_the_data_and_said() -> None:
    texts, _ = desk()
    found = auto_topics(texts, embed)
    assert 3 <= len(found.tree.leaves()) <= 12
    assert found.chosen_by.startswith(f"{len(found.tree.leaves())} topics: of {len(found.scores)} numbers of clusters")
    assert found.chosen_by.endswith("apart).")
    assert found.left == sum(one.topic is None for one in found.assignments)


def test_typical_texts_teach_the_categorizer_what_was_found() -> None:
    texts, _ = desk()
    found = auto_topics(texts, embed, k=6)
    typical = found.typical(most=8)
    assert {name: len(indices) for name, indices in typical.items()} == dict.fromkeys(found.tree.leaves(), 8)
    assert all(found.assignments[i].topic == name for name, indices in typical.items() for i in indices)
    examples = {name: [texts[i] for i in indices] for name, indices in typical.items()}
    sorted_again = Categorizer(found.tree, embed, pool=texts, examples=examples).assign(texts)
    same = [one.topic == other.topic for one, other in zip(sorted_again, found.assignments, strict=True)]
    assert sum(same) >= 0.95 * len(texts)


def test_greetings_do_not_make_a_topic() -> None:
    """Half of the texts as letters with the same courtesies: they stay in the topic of what they say."""
    texts, intents = desk()
    letters = [f"Dear Larkmoor team,\n{t}\nKind regards,\nAnna Novak" if i % 2 else t for i, t in enumerate(texts)]
    found = auto_topics(letters, embed, k=6)
    assert normalized_mutual_info_score(intents, [item.topic for item in found.assignments]) > 0.9


def test_the_same_again() -> None:
    texts, _ = desk()
    assert auto_topics(texts, hashing_embed, seed=4) == auto_topics(texts, hashing_embed, seed=4)


def test_blank_texts_and_gibberish_are_left_out() -> None:
    texts, _ = desk()
    generator = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    junk = [" ".join("".join(generator.choice(letters, 7)) for _ in range(8)) for _ in range(12)]
    found = auto_topics(["", *texts, *junk, "  "], embed, k=7)
    assert found.assignments[0] == found.assignments[-1] == AutoAssignment(None, 0.0)
    assert [item.topic for item in found.assignments[-13:-1]] == [None] * 12
    # a real cluster is not pulled down with it
    assert sum(item.topic is None for item in found.assignments[1 : len(texts) + 1]) <= 3


def test_nothing_to_look_at() -> None:
    found = auto_topics(["", " "], hashing_embed)
    assert (found.tree.leaves(), [item.topic for item in found.assignments]) == ([], [None, None])
    assert found.chosen_by == "There is no text to find topics in."


def test_few_texts_are_one_topic() -> None:
    found = auto_topics(["parcel late", "late parcel", "parcel is late"], hashing_embed)
    assert found.tree.leaves() == ["parcel_late"]
    assert found.chosen_by == "Too few texts to tell topics apart: all are in one."


def test_a_helper_model_names_the_topics() -> None:
    texts, _ = desk()
    found = auto_topics(
        texts, embed, k=6, labeller=lambda examples, keywords, taken: Label(f"named {len(taken)}", "X.", [])
    )
    assert sorted(found.tree.leaves()) == [f"named_{i}" for i in range(6)]


@pytest.fixture(scope="module")
def banking() -> tuple[list[str], list[str]]:
    return banking77()


def test_banking77_at_the_true_number(banking: tuple[list[str], list[str]]) -> None:
    texts, intents = banking
    found = auto_topics(texts, embed, k=77)
    topics = [item.topic or "" for item in found.assignments]
    # plain k-means on the same embedding: 0.752
    assert normalized_mutual_info_score(intents, topics) > 0.77
    assert 70 <= len(found.tree.leaves()) <= 77


def test_banking77_with_the_number_from_the_data(banking: tuple[list[str], list[str]]) -> None:
    texts, intents = banking
    found = auto_topics(texts, embed)
    leaves = found.tree.leaves()
    assert 39 <= len(leaves) <= 154
    assert len(found.tree.walk()) > len(leaves), "so many topics come in two levels"
    assert normalized_mutual_info_score(intents, [item.topic or "" for item in found.assignments]) > 0.74
    named = Counter(item.topic for item in found.assignments)
    assert named[None] < 0.1 * len(texts)
    assert {"exchange_rate", "direct_debit", "apple_pay"} <= {snake_name(leaf) for leaf in leaves}


def test_groups_inside_a_topic_are_proposed_with_names_nobody_has() -> None:
    texts, intents = desk()
    found = propose_topics(["", *texts], embed, k=6)
    assert sorted(index for one in found for index, _ in one.members) == list(range(1, len(texts) + 1))
    for one in found:
        assert [sure for _, sure in one.members] == sorted((sure for _, sure in one.members), reverse=True)
        kinds = Counter(intents[index - 1] for index, _ in one.members)
        assert max(kinds.values()) >= 0.9 * len(one.members)
    names = [one.label.name for one in found]
    again = propose_topics(texts, embed, k=6, taken=names)
    assert set(names).isdisjoint(one.label.name for one in again)


def test_no_more_groups_are_proposed_than_asked_for_and_none_where_nothing_stands_out() -> None:
    texts, _ = desk()
    assert 2 <= len(propose_topics(texts, embed, most=3)) <= 3
    assert propose_topics(["Where is my parcel?"] * 10, embed) == []
    assert propose_topics(["Where is my parcel?"], embed) == []
    assert propose_topics([], embed) == []

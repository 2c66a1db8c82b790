from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from datasets_app.core.categorizing import (
    Assignment,
    Categorizer,
    HelperAnswer,
    Method,
    band,
    manual,
    moved,
)
from datasets_app.core.topics import TopicError, TopicTree, flat_tree, parse_tree, snake_name
from rft_project.platforms.static_embeddings import embed

from .help_desk import banking77, desk

TREE = flat_tree(
    {
        "refund": ("Money back.", ["money back"]),
        "password": ("Signing in.", ["log in"]),
        "delivery": ("Where a parcel is.", ["tracking number"]),
        "invoice": ("Papers for the tax office.", []),
        "battery": ("Power of a device.", []),
        "subscription": ("Plans and their end.", []),
    }
)
NOISE = ["asdf qwer", "the weather in Paris", "translate this to German", "who won the match", "lorem ipsum dolor", ""]


def accuracy(assignments: Sequence[Assignment], truth: Sequence[str]) -> float:
    return float(np.mean([item.topic == right for item, right in zip(assignments, truth, strict=True)]))


def test_a_help_desk_is_categorized_from_names_and_descriptions() -> None:
    texts, intents = desk()
    found = Categorizer(TREE, embed, pool=texts).assign(texts)
    assert accuracy(found, intents) >= 0.95
    assert all(0.0 <= item.confidence <= 1.0 for item in found)
    assert {item.method for item in found} == {Method.KEYWORD, Method.EMBEDDING}


def test_a_keyword_decides_on_its_own() -> None:
    texts, _ = desk()
    categorizer = Categorizer(TREE, embed, pool=texts)
    [found] = categorizer.assign(["The tracking  numbers do nothing"])
    assert (found.topic, found.method, found.needs_review) == ("delivery", Method.KEYWORD, False)
    assert found.confidence >= 0.9
    [two] = categorizer.assign(["I cannot log in to see the tracking number"])
    assert two.method is Method.EMBEDDING, "keywords of two topics decide nothing"


def test_a_keyword_the_texts_contradict_is_not_believed() -> None:
    tree = parse_tree({"topics": {"refund": {"description": "Money back."}, "invoice": {"keywords": ["the"]}}})
    texts = [text for text, intent in zip(*desk(), strict=True) if intent in ("refund", "invoice")]
    truth = [intent for intent in desk()[1] if intent in ("refund", "invoice")]
    examples = {"refund": texts[:8], "invoice": texts[16:20]}
    found = Categorizer(tree, embed, pool=texts, examples=examples).assign(texts)
    assert accuracy(found, truth) == 1.0
    assert {item.method for item in found} == {Method.EMBEDDING}


def test_what_resembles_nothing_stays_unknown() -> None:
    texts, _ = desk()
    found = Categorizer(TREE, embed, pool=texts).assign(NOISE)
    assert [item.topic for item in found] == [None] * len(NOISE)
    assert all(item.needs_review and item.confidence < 0.5 for item in found)


@pytest.mark.parametrize("taught", [False, True])
def test_batches_do_not_change_the_answer(taught: bool) -> None:
    texts, intents = desk()
    pool = [*texts, *(f"Hello, {text[0].lower()}{text[1:]}, thanks" for text in texts)]  # enough for words to count
    examples = {intent: [texts[at], texts[at + 5]] for at, intent in enumerate(intents) if at % 16 == 0}

    def fitted() -> Categorizer:
        return Categorizer(TREE, embed, pool=pool, examples=examples if taught else None)

    categorizer = fitted()
    together = categorizer.assign(texts)
    one_by_one = [categorizer.assign([text])[0] for text in texts[::9]]
    for alone, among in zip(one_by_one, together[::9], strict=True):
        assert alone.topic == among.topic
        assert alone.confidence == pytest.approx(among.confidence, abs=1e-4)
    assert fitted().assign(texts) == together


def test_a_keyword_that_what_is_meant_contradicts_does_not_decide() -> None:
    """ "Tracking number" is delivery's keyword, but the sentence is all about a password."""
    texts, _ = desk()
    [found] = Categorizer(TREE, embed, pool=texts).assign(
        ["I forgot my password, please reset my password: the password reset link fails, like the tracking number"]
    )
    assert (found.topic, found.method) == ("password", Method.EMBEDDING)
    assert found.confidence >= 0.5


def test_people_teach() -> None:
    """Topics whose names say nothing: without examples a guess, with three each right."""
    texts, intents = desk()
    names = {intent: f"kind_{index}" for index, intent in enumerate(dict.fromkeys(intents))}
    tree = flat_tree({name: ("", []) for name in names.values()})
    truth = [names[intent] for intent in intents]
    examples: dict[str, list[str]] = {name: [] for name in names.values()}
    for text, name in zip(texts[::5], truth[::5], strict=True):
        examples[name].append(text)
    taught = Categorizer(tree, embed, pool=texts, examples=examples).assign(texts)
    untaught = Categorizer(tree, embed, pool=texts).assign(texts)
    assert accuracy(taught, truth) >= 0.95
    assert accuracy(untaught, truth) <= 0.6


def test_examples_of_topics_that_are_gone_are_ignored() -> None:
    texts, intents = desk()
    found = Categorizer(TREE, embed, pool=texts, examples={"gone": ["Where is my parcel"]}).assign(texts)
    assert accuracy(found, intents) >= 0.95


def test_leaves_only() -> None:
    tree = parse_tree({"topics": {"money": {"subtopics": ["refund", "invoice"]}, "battery": {}}})
    texts, _ = desk()
    found = Categorizer(tree, embed, pool=texts).assign(texts)
    assert {item.topic for item in found} <= {"refund", "invoice", "battery", None}
    assert all(set(item.secondary_topics) <= set(tree.leaves()) - {item.topic} for item in found)


def test_one_topic_and_no_topic() -> None:
    single = Categorizer(flat_tree({"battery": ("Power.", [])}), embed)
    assert single.assign(["My battery is empty"])[0].topic == "battery"
    with pytest.raises(TopicError, match="There are no topics to choose from: make topics first"):
        Categorizer(TopicTree(), embed)
    assert single.assign([]) == []


def test_a_helper_model_is_asked_about_the_unsure_only() -> None:
    texts, _ = desk()
    asked: list[str] = []

    def helper(unsure: Sequence[str], tree: TopicTree) -> list[HelperAnswer | None]:
        asked.extend(unsure)
        answers = {
            NOISE[0]: HelperAnswer("battery", 0.8),
            NOISE[1]: HelperAnswer("not_in_the_tree", 0.9),
            NOISE[2]: HelperAnswer(None, 0.9),
            NOISE[3]: HelperAnswer("refund", 0.3),
        }
        return [answers.get(text) for text in unsure]

    found = Categorizer(TREE, embed, pool=texts, helper=helper).assign([*NOISE, "Where is my tracking number"])
    assert asked == NOISE[:-1], "neither blank texts nor sure ones"
    assert (found[0].topic, found[0].confidence, found[0].method, found[0].needs_review) == (
        "battery",
        0.8,
        Method.LLM,
        False,
    )
    assert (found[1].topic, found[1].method) == (None, Method.EMBEDDING)
    assert (found[2].topic, found[2].method, found[2].needs_review) == (None, Method.LLM, False)
    assert (found[3].topic, found[3].needs_review) == ("refund", True)
    assert found[4].method is Method.EMBEDDING
    assert found[6].method is Method.KEYWORD


def test_progress_is_true() -> None:
    texts, _ = desk()
    told: list[int] = []
    found = Categorizer(TREE, embed).assign(texts * 50, progress=told.append)
    assert told == [2048, 4096, 4800]
    assert len(found) == 4800


def test_bands() -> None:
    rows = [
        Assignment("a", 0.9, Method.EMBEDDING, False),
        Assignment("a", 0.6, Method.EMBEDDING, False),
        Assignment("a", 0.3, Method.EMBEDDING, True),
        Assignment(None, 0.2, Method.EMBEDDING, True),
        Assignment("b", 0.45, Method.EMBEDDING, True),
        manual("a"),
    ]
    assert [band(row) for row in rows] == ["high", "medium", "review", "review", "review", "high"]
    assert manual(None) == Assignment(None, 1.0, Method.MANUAL, False)


def test_assignments_follow_an_edit_of_the_tree() -> None:
    row = Assignment("a", 0.9, Method.MANUAL, False, ("b", "c"))
    assert moved(row, {"a": "x", "b": "x"}) == Assignment("x", 0.9, Method.MANUAL, False, ("c",))
    assert moved(row, {"a": None}) is None
    assert moved(row, {"b": None}) == Assignment("a", 0.9, Method.MANUAL, False, ("c",))
    unknown = Assignment(None, 0.1, Method.EMBEDDING, True)
    assert moved(unknown, {"a": None}) == unknown


def calibration_error(found: Sequence[Assignment], truth: Sequence[str]) -> float:
    """Expected calibration error over ten bins, of the records that got a topic."""
    known = [(item.confidence, item.topic == right) for item, right in zip(found, truth, strict=True) if item.topic]
    confidence, right = np.array([c for c, _ in known]), np.array([r for _, r in known])
    place = np.minimum((confidence * 10).astype(int), 9)
    return float(
        sum(abs(confidence[place == b].sum() - right[place == b].sum()) for b in range(10) if (place == b).any())
        / len(known)
    )


def named(found: Sequence[Assignment], truth: Sequence[str]) -> tuple[float, float, float]:
    """(accuracy, calibration error, error rate of what needs review ÷ that of the rest)."""
    wrong = np.array([item.topic != right for item, right in zip(found, truth, strict=True)])
    review = np.array([item.needs_review for item in found])
    return accuracy(found, truth), calibration_error(found, truth), float(wrong[review].mean() / wrong[~review].mean())


def test_banking77_from_names_alone() -> None:
    texts, intents = banking77()
    truth = [snake_name(intent) for intent in intents]
    found = Categorizer(flat_tree({name: ("", []) for name in sorted(set(truth))}), embed, pool=texts).assign(texts)
    right, calibration, review = named(found, truth)
    assert right > 0.59  # nearest name on the same embedding: 0.560
    assert calibration <= 0.05
    assert review >= 2.5


def test_banking77_taught_with_five_labels_each() -> None:
    texts, intents = banking77()
    truth = np.array([snake_name(intent) for intent in intents])
    generator = np.random.default_rng(0)
    names = sorted(set(truth.tolist()))
    chosen = {name: generator.choice(np.flatnonzero(truth == name), 5, replace=False) for name in names}
    rest = np.setdiff1d(np.arange(len(texts)), np.concatenate(list(chosen.values())))
    examples = {name: [texts[i] for i in found] for name, found in chosen.items()}
    categorizer = Categorizer(flat_tree({name: ("", []) for name in names}), embed, pool=texts, examples=examples)
    right, calibration, review = named(categorizer.assign([texts[i] for i in rest]), truth[rest].tolist())
    assert right > 0.77  # logistic regression on the same embedding: 0.744
    assert calibration <= 0.065
    assert review >= 3.0

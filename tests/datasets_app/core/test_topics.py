from __future__ import annotations

import json

import pytest

from datasets_app.core.topics import (
    Topic,
    TopicError,
    TopicTree,
    check_name,
    clean_keywords,
    flat_tree,
    parse_json,
    parse_tree,
    readable,
    snake_name,
)

NESTED = {
    "version": "1.0",
    "topics": {
        "billing": {"description": "Money.", "subtopics": ["refunds", "invoices"], "keywords": ["bill"]},
        "refunds": {"description": "Money back.", "subtopics": [], "keywords": [], "parent_topic": "billing"},
        "invoices": {"description": "", "subtopics": [], "keywords": ["invoice"], "parent_topic": "billing"},
        "delivery": {"description": "Parcels.", "subtopics": [], "keywords": []},
    },
}


def test_a_tree_survives_export_and_import() -> None:
    tree = parse_tree(NESTED)
    assert tree.to_json() == NESTED
    assert parse_json(json.dumps(tree.to_json())) == tree


def test_order_roots_leaves_and_paths() -> None:
    tree = parse_tree(NESTED)
    assert tree.roots() == ["billing", "delivery"]
    assert tree.walk() == ["billing", "refunds", "invoices", "delivery"]
    assert tree.leaves() == ["refunds", "invoices", "delivery"]
    assert tree.path("invoices") == ["billing", "invoices"]
    assert tree.leaves_below("billing") == ["refunds", "invoices"]
    assert tree.leaves_below("delivery") == ["delivery"]


def test_links_given_in_one_direction_are_completed() -> None:
    by_parent = parse_tree({"topics": {"a": {}, "b": {"parent_topic": "a"}}})
    by_child = parse_tree({"topics": {"a": {"subtopics": ["b"]}}})
    assert by_parent == by_child
    assert by_parent.topics["a"].subtopics == ["b"]
    assert by_child.topics["b"] == Topic(parent_topic="a")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ([], 'The topics must be an object of the form {"version": "1.0", "topics": {name: {…}}}.'),
        (
            {"topics": [], "version": "1"},
            'The topics must be an object of the form {"version": "1.0", "topics": {name: {…}}}.',
        ),
        ({"topics": {}, "extra": 1}, 'The topics have a key "extra" that is not known: remove it.'),
        ({"topics": {"Card Arrival": {}}}, 'The topic name "Card Arrival" is not in snake_case: write "card_arrival".'),
        ({"topics": {"unknown": {}}}, 'The name "unknown" is kept for records that fit no topic: choose another.'),
        ({"topics": {"": {}}}, "A topic has no name: give it one in snake_case."),
        ({"topics": {"a": 3}}, 'The topic "a" is not an object: give it "description", "subtopics" and "keywords".'),
        ({"topics": {"a": {"colour": 1}}}, 'The topic "a" has a key "colour" that is not known: remove it.'),
        ({"topics": {"a": {"keywords": "x"}}}, '"subtopics" and "keywords" of "a" must be lists.'),
        ({"topics": {"a": {"keywords": [1]}}}, 'A keyword of "a" is not text: write each keyword as a string.'),
        ({"topics": {"a": {"description": 1}}}, '"description" and "parent_topic" of "a" must be text.'),
        ({"topics": {"a": {"parent_topic": "b"}}}, '"a" is under "b", which is not in the tree.'),
        (
            {"topics": {"a": {"subtopics": ["c"]}, "b": {"subtopics": ["c"]}}},
            '"c" is under both "a" and "b": keep it under one.',
        ),
        (
            {"topics": {"a": {"parent_topic": "b"}, "b": {"parent_topic": "a"}}},
            '"a" is inside itself: take it out of its own subtopics.',
        ),
    ],
)
def test_what_is_wrong_with_a_tree_is_said_in_one_sentence(raw: object, sentence: str) -> None:
    with pytest.raises(TopicError) as caught:
        parse_tree(raw)
    assert str(caught.value) == sentence


def test_text_that_is_no_json() -> None:
    with pytest.raises(TopicError, match=r"^The topics are not valid JSON: export a tree to see the form\.$"):
        parse_json("{")
    with pytest.raises(TopicError, match="not valid JSON"):
        parse_json(b"\xff\xfe")


def test_names() -> None:
    assert snake_name("Card arrival – délai (EU)!") == "card_arrival_delai_eu"
    assert snake_name("日本") == ""
    assert snake_name("x" * 80) == "x" * 64
    assert readable("card_arrival") == "Card arrival"
    assert check_name("a1_b2") == "a1_b2"
    with pytest.raises(TopicError, match="longer than 64 characters"):
        check_name("x" * 65)


def test_keywords_are_folded() -> None:
    assert clean_keywords(["  top   up ", "Top up", "", "fee"]) == ["top up", "fee"]


def test_an_empty_tree_and_a_flat_one() -> None:
    assert TopicTree().leaves() == []
    tree = flat_tree({"b": ("Second.", ["x"]), "a": ("First.", [])})
    assert tree.leaves() == ["b", "a"]
    assert tree.topics["b"] == Topic(description="Second.", keywords=["x"])


def test_the_order_of_the_top_level_can_be_kept_apart() -> None:
    tree = parse_tree({"topics": {"a": {"subtopics": ["b"]}, "b": {}, "c": {}, "d": {}}})
    assert tree.ordered(["d", "gone", "c"]).walk() == ["d", "c", "a", "b"]
    assert tree.ordered([]).walk() == ["a", "b", "c", "d"]


def test_what_no_database_can_store_is_replaced() -> None:
    tree = parse_json('{"topics": {"a": {"description": "x\\u0000y", "keywords": ["\\ud800z"]}}}')
    assert (tree.topics["a"].description, tree.topics["a"].keywords) == ("x\ufffdy", ["\ufffdz"])


def test_json_nested_too_deep_is_one_sentence() -> None:
    with pytest.raises(TopicError, match="not valid JSON"):
        parse_json("[" * 100_000)

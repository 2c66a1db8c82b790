from __future__ import annotations

import json

import pytest

from datasets_app.core.topic_edits import (
    Way,
    add,
    delete,
    describe,
    merge,
    nest,
    place,
    rename,
    reorder,
    set_keywords,
    shift,
    split,
)
from datasets_app.core.topics import TopicError, TopicTree, parse_tree


@pytest.fixture
def tree() -> TopicTree:
    return parse_tree(
        {
            "topics": {
                "billing": {"subtopics": ["refunds", "invoices"]},
                "refunds": {"description": "Money back.", "keywords": ["refund"]},
                "invoices": {"keywords": ["invoice"]},
                "delivery": {"description": "Parcels.", "keywords": ["parcel"]},
            }
        }
    )


def test_add_at_the_top_and_below(tree: TopicTree) -> None:
    top = add(tree, "complaints", description="Anger.", keywords=["angry"])
    assert top.tree.roots() == ["billing", "delivery", "complaints"]
    assert top.moves == {}
    below = add(tree, "credit_notes", parent="billing")
    assert below.tree.topics["billing"].subtopics == ["refunds", "invoices", "credit_notes"]
    assert below.moves == {}


def test_a_leaf_that_gets_a_subtopic_gives_up_its_records(tree: TopicTree) -> None:
    edit = add(tree, "late_parcels", parent="delivery")
    assert edit.moves == {"delivery": None}
    assert edit.tree.leaves() == ["refunds", "invoices", "late_parcels"]


def test_the_tree_given_is_never_changed(tree: TopicTree) -> None:
    before = tree.to_json()
    for edit in (
        add(tree, "x"),
        rename(tree, "billing", "money"),
        describe(tree, "billing", "New."),
        set_keywords(tree, "billing", ["new"]),
        nest(tree, "delivery", "billing"),
        merge(tree, ["refunds", "invoices"], "refunds"),
        delete(tree, "billing"),
        reorder(tree, ["delivery", "billing"]),
    ):
        assert json.dumps(edit.tree.to_json()) != json.dumps(before)  # as text, for order counts too
    assert tree.to_json() == before


def test_rename_keeps_place_children_and_records(tree: TopicTree) -> None:
    leaf = rename(tree, "refunds", "money_back")
    assert leaf.moves == {"refunds": "money_back"}
    assert leaf.tree.topics["billing"].subtopics == ["money_back", "invoices"]
    group = rename(tree, "billing", "money")
    assert group.moves == {}
    assert group.tree.roots() == ["money", "delivery"]
    assert group.tree.topics["refunds"].parent_topic == "money"
    assert rename(tree, "refunds", "refunds").tree == tree


def test_nest_and_lift(tree: TopicTree) -> None:
    nested = nest(tree, "delivery", "billing")
    assert nested.tree.topics["billing"].subtopics == ["refunds", "invoices", "delivery"]
    assert nested.moves == {}
    lifted = nest(nested.tree, "refunds", None)
    assert lifted.tree.topics["refunds"].parent_topic is None
    assert sorted(lifted.tree.roots()) == ["billing", "refunds"]
    assert nest(tree, "billing", "delivery").moves == {"delivery": None}
    with pytest.raises(TopicError, match=r'"billing" cannot go under "refunds", which is inside it.'):
        nest(tree, "billing", "refunds")


def test_merge_into_one_of_them(tree: TopicTree) -> None:
    edit = merge(tree, ["refunds", "invoices"], "refunds")
    assert edit.moves == {"invoices": "refunds"}
    assert edit.tree.leaves() == ["refunds", "delivery"]
    assert edit.tree.topics["refunds"].keywords == ["refund", "invoice"]
    assert edit.tree.topics["refunds"].description == "Money back."


def test_merge_under_a_new_name(tree: TopicTree) -> None:
    edit = merge(tree, ["invoices", "delivery"], "papers")
    assert edit.moves == {"invoices": "papers", "delivery": "papers"}
    assert edit.tree.leaves() == ["refunds", "papers"]
    assert edit.tree.topics["papers"].description == "Parcels."


def test_merge_of_groups_gathers_their_subtopics(tree: TopicTree) -> None:
    two = add(add(tree, "shipping").tree, "customs", parent="shipping").tree
    edit = merge(two, ["billing", "shipping"], "billing")
    assert edit.tree.topics["billing"].subtopics == ["refunds", "invoices", "customs"]
    assert edit.moves == {}


@pytest.mark.parametrize(
    ("names", "into", "sentence"),
    [
        (["refunds"], "refunds", "Choose at least two topics to merge."),
        (["billing", "delivery"], "x", "Merge topics of one kind: some of these have subtopics and some do not."),
        (["refunds", "nothing"], "refunds", 'There is no topic "nothing" in this tree.'),
    ],
)
def test_merges_that_cannot_be(tree: TopicTree, names: list[str], into: str, sentence: str) -> None:
    with pytest.raises(TopicError) as caught:
        merge(tree, names, into)
    assert str(caught.value) == sentence


def test_delete_says_what_happens_to_the_records(tree: TopicTree) -> None:
    assert delete(tree, "delivery").moves == {"delivery": None}
    assert delete(tree, "delivery", records_to="refunds").moves == {"delivery": "refunds"}
    with_all = delete(tree, "billing")
    assert with_all.moves == {"refunds": None, "invoices": None}
    assert with_all.tree.leaves() == ["delivery"]
    lifted = delete(tree, "billing", keep_subtopics=True)
    assert lifted.moves == {}
    assert sorted(lifted.tree.roots()) == ["delivery", "invoices", "refunds"]
    with pytest.raises(TopicError, match=r'Records cannot go to "refunds"'):
        delete(tree, "billing", records_to="refunds")


def test_reorder_top_and_below(tree: TopicTree) -> None:
    assert reorder(tree, ["delivery", "billing"]).tree.roots() == ["delivery", "billing"]
    below = reorder(tree, ["invoices", "refunds"], parent="billing").tree
    assert below.leaves() == ["invoices", "refunds", "delivery"]
    with pytest.raises(TopicError, match="must name every topic of this level once"):
        reorder(tree, ["billing"])


def test_a_name_in_use_is_refused(tree: TopicTree) -> None:
    with pytest.raises(TopicError, match=r'There is already a topic "refunds": choose another name.'):
        add(tree, "refunds")
    with pytest.raises(TopicError, match=r'There is already a topic "refunds"'):
        rename(tree, "delivery", "refunds")


def test_place_nests_and_orders_in_one_edit(tree: TopicTree) -> None:
    moved = place(tree, "delivery", "billing", "invoices")
    assert moved.tree.level("billing") == ["refunds", "delivery", "invoices"]
    assert (moved.moves, moved.sentence) == ({}, "Moved Delivery under Billing.")
    first = place(tree, "delivery", None, "billing")
    assert first.tree.roots() == ["delivery", "billing"]
    assert first.sentence == "Moved Delivery in front of Billing."
    assert place(first.tree, "delivery", None).tree.roots() == ["billing", "delivery"]
    assert place(tree, "refunds", "delivery").moves == {"delivery": None}
    with pytest.raises(TopicError, match='"invoices" is not on this level any more'):
        place(tree, "delivery", None, "invoices")
    with pytest.raises(TopicError, match='"billing" cannot go under "refunds", which is inside it'):
        place(tree, "billing", "refunds")


@pytest.mark.parametrize(
    ("name", "way", "order"),
    [
        ("delivery", "up", ["delivery", "billing", "refunds", "invoices"]),
        ("billing", "down", ["delivery", "billing", "refunds", "invoices"]),
        ("invoices", "up", ["billing", "invoices", "refunds", "delivery"]),
        ("delivery", "in", ["billing", "refunds", "invoices", "delivery"]),
        ("refunds", "out", ["billing", "invoices", "refunds", "delivery"]),
    ],
)
def test_shift_goes_one_step(tree: TopicTree, name: str, way: Way, order: list[str]) -> None:
    assert shift(tree, name, way).tree.walk() == order


def test_shift_in_and_out_change_the_parent(tree: TopicTree) -> None:
    assert shift(tree, "delivery", "in").tree.topics["delivery"].parent_topic == "billing"
    assert shift(tree, "refunds", "out").tree.topics["refunds"].parent_topic is None


@pytest.mark.parametrize(
    ("name", "way", "why"),
    [
        ("billing", "up", "Billing is the first of its level already."),
        ("refunds", "in", "Refunds is the first of its level already."),
        ("delivery", "down", "Delivery is the last of its level already."),
        ("billing", "out", "Billing is at the top level already."),
    ],
)
def test_shift_says_why_it_cannot(tree: TopicTree, name: str, way: Way, why: str) -> None:
    with pytest.raises(TopicError) as refused:
        shift(tree, name, way)
    assert str(refused.value) == why


def test_split_gives_a_leaf_subtopics_and_its_records_up(tree: TopicTree) -> None:
    edit = split(tree, "delivery", [("late", "Late ones.", ["late"]), ("lost", "", [])])
    assert edit.tree.level("delivery") == ["late", "lost"]
    assert edit.tree.topics["late"].keywords == ["late"]
    assert (edit.moves, edit.sentence) == ({"delivery": None}, "Split Delivery into 2 subtopics.")
    with pytest.raises(TopicError, match="Keep at least two of the subtopics"):
        split(tree, "delivery", [("late", "", [])])
    with pytest.raises(TopicError, match="Billing has subtopics already"):
        split(tree, "billing", [("late", "", []), ("lost", "", [])])

"""What each edit of the page of topics means: from the values of its form to a new tree. No database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from datasets_app.core import topic_edits, topics
from datasets_app.core.topic_edits import Edit
from datasets_app.core.topics import TopicError, TopicTree

Values = Mapping[str, Any]


class Scope(StrEnum):
    """When records are sorted after an edit: never, if it left some without a topic, or always.

    It is those without a topic and those in doubt that are sorted: where the sorting was sure, it stays.
    """

    NOTHING = "nothing"
    OPEN = "open"
    ALWAYS = "always"


class Made(NamedTuple):
    """An edit, what is to be sorted after it, and the topic to look at next ('': none)."""

    edit: Edit
    scope: Scope
    topic: str


def _add(tree: TopicTree, values: Values) -> Made:
    name = _named(values["new_name"])
    edit = topic_edits.add(
        tree,
        name,
        description=values["description"],
        keywords=values["keywords"],
        parent=values["parent"] or None,
    )
    return Made(edit, Scope.ALWAYS, name)


def _change(tree: TopicTree, values: Values) -> Made:
    """Name, description and keywords in one."""
    name, new = values["name"], _named(values["new_name"])
    before = tree.require(name)
    renamed = topic_edits.rename(tree, name, new)
    described = topic_edits.describe(renamed.tree, new, values["description"])
    worded = topic_edits.set_keywords(described.tree, new, values["keywords"])
    after = worded.tree.topics[new]
    same = (before.description, before.keywords) == (after.description, after.keywords)
    sentence = renamed.sentence if new != name else f"Changed what belongs to {topics.readable(name)}."
    return Made(Edit(worded.tree, renamed.moves, sentence), Scope.NOTHING if same else Scope.ALWAYS, new)


def _merge(tree: TopicTree, values: Values) -> Made:
    names = [*values["names"], *filter(None, [values["name"]])]
    into = topics.snake_name(values["into"])
    if not into:
        raise TopicError("Choose the topic that the records go to, then merge.")
    if into in tree.topics:
        names.append(into)
    if len(set(names)) < 2:
        raise TopicError("Tick at least two topics to merge.")
    return Made(topic_edits.merge(tree, names, into), Scope.NOTHING, into)


def _delete(tree: TopicTree, values: Values) -> Made:
    keep = values["subtopics"] == "keep"
    edit = topic_edits.delete(tree, values["name"], records_to=values["into"] or None, keep_subtopics=keep)
    return Made(edit, Scope.OPEN, values["into"] or tree.topics[values["name"]].parent_topic or "")


def _place(tree: TopicTree, values: Values) -> Made:
    name = values["name"]
    edit = topic_edits.place(tree, name, values["parent"] or None, values["before"] or None)
    return Made(edit, Scope.OPEN, name)


def _shift(tree: TopicTree, values: Values) -> Made:
    if not values["way"]:
        raise TopicError("Say which way the topic goes: up, down, in or out.")
    return Made(topic_edits.shift(tree, values["name"], values["way"]), Scope.OPEN, values["name"])


def _named(text: str) -> str:
    """What somebody typed, as a topic can be called."""
    name = topics.snake_name(text)
    if not name:
        raise TopicError("A topic needs a name with letters or digits in it.")
    return name


EDITS: dict[str, Callable[[TopicTree, Values], Made]] = {
    "add": _add,
    "change": _change,
    "merge": _merge,
    "delete": _delete,
    "place": _place,
    "shift": _shift,
}

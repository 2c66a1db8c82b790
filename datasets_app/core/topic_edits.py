"""Edits of a topic tree as pure functions: each returns a new tree and says where records go. Undo = keep the old one.

All raise :class:`TopicError` with one sentence when the edit cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from .topics import MAX_KEYWORDS, TopicError, TopicTree, check_name, clean_keywords, parse_tree, readable

Way = Literal["up", "down", "in", "out"]


class Edit(NamedTuple):
    """What an edit made: the new tree, where the records of changed topics go (``None``: to be categorized again;
    topics not named keep theirs) and a sentence for the history."""

    tree: TopicTree
    moves: dict[str, str | None]
    sentence: str


def _rebuilt(tree: TopicTree, change: Callable[[dict[str, dict[str, Any]]], None]) -> TopicTree:
    entries = tree.to_json()["topics"]
    change(entries)
    return parse_tree({"version": tree.version, "topics": entries})


def add(
    tree: TopicTree, name: str, *, description: str = "", keywords: Sequence[str] = (), parent: str | None = None
) -> Edit:
    """A new topic at the end of its level. A leaf that gets its first subtopic gives up its records (``None``)."""
    _must_be_free(tree, name)
    moves = _losing_leaf(tree, parent)

    def change(entries: dict[str, dict[str, Any]]) -> None:
        entries[name] = {"description": description, "keywords": list(keywords), "parent_topic": parent}

    return Edit(_rebuilt(tree, change), moves, f"Added {readable(name)}.")


def rename(tree: TopicTree, name: str, new: str) -> Edit:
    """The topic under a new name, its place and its records kept."""
    tree.require(name)
    if new == name:
        return Edit(tree, {}, f"{readable(name)} keeps its name.")
    _must_be_free(tree, new)

    def swap(other: str | None) -> str | None:
        return new if other == name else other

    entries = {
        swap(key): {
            **entry,
            "subtopics": [swap(child) for child in entry["subtopics"]],
            "parent_topic": swap(entry.get("parent_topic")),
        }
        for key, entry in tree.to_json()["topics"].items()
    }
    moves: dict[str, str | None] = {} if tree.topics[name].subtopics else {name: new}
    renamed = parse_tree({"version": tree.version, "topics": entries})
    return Edit(renamed, moves, f"Renamed {readable(name)} to {readable(new)}.")


def describe(tree: TopicTree, name: str, description: str) -> Edit:
    """The topic with another description; no record moves."""
    tree.require(name)

    def change(entries: dict[str, dict[str, Any]]) -> None:
        entries[name]["description"] = description

    return Edit(_rebuilt(tree, change), {}, f"Changed the description of {readable(name)}.")


def set_keywords(tree: TopicTree, name: str, keywords: Sequence[str]) -> Edit:
    """The topic with other keywords; no record moves until the next categorizing."""
    tree.require(name)

    def change(entries: dict[str, dict[str, Any]]) -> None:
        entries[name]["keywords"] = list(keywords)

    return Edit(_rebuilt(tree, change), {}, f"Changed the keywords of {readable(name)}.")


def nest(tree: TopicTree, name: str, parent: str | None) -> Edit:
    """The topic, with all under it, moved under ``parent`` (``None``: to the top level)."""
    topic = tree.require(name)
    if parent is not None and parent in tree.below(name):
        raise TopicError(f'"{name}" cannot go under "{parent}", which is inside it.')
    if parent == topic.parent_topic:
        return Edit(tree, {}, f"{readable(name)} stays where it is.")
    moves = _losing_leaf(tree, parent)

    def change(entries: dict[str, dict[str, Any]]) -> None:
        _detach(entries, name)
        if parent is not None:
            entries[name]["parent_topic"] = parent

    where = f"under {readable(parent)}" if parent else "to the top level"
    return Edit(_rebuilt(tree, change), moves, f"Moved {readable(name)} {where}.")


def merge(tree: TopicTree, names: Sequence[str], into: str) -> Edit:
    """Several topics as one: keywords joined, the first description kept, records of all of them in ``into``.

    ``into`` may be one of them or a new name. Topics with subtopics and leaves do not mix; subtopics are gathered.
    """
    sources = list(dict.fromkeys(names))
    if len(set(sources) | {into}) < 2:
        raise TopicError("Choose at least two topics to merge.")
    if into in tree.topics and into not in sources:
        sources.insert(0, into)
    kinds = {bool(tree.require(name).subtopics) for name in sources}
    if len(kinds) > 1:
        raise TopicError("Merge topics of one kind: some of these have subtopics and some do not.")
    for name in sources:
        if set(tree.below(name)[1:]) & set(sources):
            raise TopicError(f'"{name}" cannot be merged with a topic inside it.')
    if into not in sources:
        _must_be_free(tree, into)
    keep = into if into in sources else sources[0]
    joined = clean_keywords([word for name in [keep, *sources] for word in tree.topics[name].keywords][:MAX_KEYWORDS])
    text = next((tree.topics[n].description for n in [keep, *sources] if tree.topics[n].description), "")

    def change(entries: dict[str, dict[str, Any]]) -> None:
        for name in sources:
            if name == keep:
                continue
            for child in entries[name]["subtopics"]:
                entries[child]["parent_topic"] = keep
            _detach(entries, name)
            del entries[name]
        entries[keep].update(keywords=joined, description=text)

    merged = _rebuilt(tree, change)
    if keep != into:
        merged = rename(merged, keep, into).tree
    moves: dict[str, str | None] = {} if kinds == {True} else {name: into for name in sources if name != into}
    return Edit(merged, moves, f"Merged {len(sources)} topics into {readable(into)}.")


def delete(tree: TopicTree, name: str, *, records_to: str | None = None, keep_subtopics: bool = False) -> Edit:
    """The tree without ``name``. Its subtopics go too, or move up one level with ``keep_subtopics``.

    Records of every leaf removed go to the leaf ``records_to``, or are left to be categorized again (``None``).
    """
    topic = tree.require(name)
    gone = [name] if keep_subtopics else tree.below(name)
    moves: dict[str, str | None] = {leaf: records_to for leaf in gone if not tree.topics[leaf].subtopics}

    def change(entries: dict[str, dict[str, Any]]) -> None:
        if keep_subtopics:
            for child in entries[name]["subtopics"]:
                entries[child]["parent_topic"] = topic.parent_topic
        _detach(entries, name)
        for other in gone:
            del entries[other]

    after = _rebuilt(tree, change)
    if records_to is not None and records_to not in after.leaves():
        raise TopicError(f'Records cannot go to "{records_to}": choose a topic without subtopics that stays.')
    return Edit(after, moves, f"Deleted {readable(name)}.")


def reorder(tree: TopicTree, names: Sequence[str], parent: str | None = None) -> Edit:
    """The children of ``parent`` (``None``: the top level) in the order of ``names``, which must be all of them."""
    if sorted(names) != sorted(tree.level(parent)):
        raise TopicError("The new order must name every topic of this level once: reload the page and try again.")
    entries = tree.to_json()["topics"]
    if parent is not None:
        entries[parent]["subtopics"] = list(names)
    else:
        rest = {key: entry for key, entry in entries.items() if key not in names}
        entries = {**{key: entries[key] for key in names}, **rest}
    return Edit(parse_tree({"version": tree.version, "topics": entries}), {}, "Changed the order of topics.")


def place(tree: TopicTree, name: str, parent: str | None, before: str | None = None) -> Edit:
    """The topic, with all under it, among the children of ``parent``: in front of ``before``, or last (``None``)."""
    nested = nest(tree, name, parent)
    others = [other for other in nested.tree.level(parent) if other != name]
    if before is not None and before not in others:
        raise TopicError(f'"{before}" is not on this level any more: reload the page and try again.')
    at = others.index(before) if before is not None else len(others)
    placed = reorder(nested.tree, [*others[:at], name, *others[at:]], parent).tree
    if parent != tree.topics[name].parent_topic:
        return Edit(placed, nested.moves, nested.sentence)
    where = f"in front of {readable(before)}" if before is not None else "to the end of its level"
    return Edit(placed, {}, f"Moved {readable(name)} {where}.")


def shift(tree: TopicTree, name: str, way: Way) -> Edit:
    """One step: ``up`` or ``down`` among its neighbours, ``in`` under the one above it, ``out`` one level up."""
    parent = tree.require(name).parent_topic
    level = tree.level(parent)
    at = level.index(name)
    if way == "out":
        if parent is None:
            raise TopicError(f"{readable(name)} is at the top level already.")
        above = tree.topics[parent].parent_topic
        return place(tree, name, above, _after(tree.level(above), parent))
    if way in ("up", "in") and at == 0:
        raise TopicError(f"{readable(name)} is the first of its level already.")
    if way == "in":
        return nest(tree, name, level[at - 1])
    if way == "up":
        return place(tree, name, parent, level[at - 1])
    if at == len(level) - 1:
        raise TopicError(f"{readable(name)} is the last of its level already.")
    return place(tree, name, parent, _after(level, level[at + 1]))


def split(tree: TopicTree, name: str, parts: Sequence[tuple[str, str, Sequence[str]]]) -> Edit:
    """New subtopics (name, description, keywords) under the leaf ``name``, which gives its records up to them."""
    if tree.require(name).subtopics:
        raise TopicError(f"{readable(name)} has subtopics already: split one of them.")
    if len(parts) < 2:
        raise TopicError("Keep at least two of the subtopics, or leave the topic as it is.")
    after = tree
    for part, description, keywords in parts:
        after = add(after, part, description=description, keywords=keywords, parent=name).tree
    return Edit(after, {name: None}, f"Split {readable(name)} into {len(parts)} subtopics.")


def _after(level: Sequence[str], name: str) -> str | None:
    """Who follows ``name``; ``None`` behind the last."""
    at = level.index(name) + 1
    return level[at] if at < len(level) else None


def _must_be_free(tree: TopicTree, name: str) -> None:
    check_name(name)
    if name in tree.topics:
        raise TopicError(f'There is already a topic "{name}": choose another name.')


def _losing_leaf(tree: TopicTree, parent: str | None) -> dict[str, str | None]:
    """A leaf about to get its first subtopic stops holding records: they are to be categorized again."""
    if parent is None or tree.require(parent).subtopics:
        return {}
    return {parent: None}


def _detach(entries: dict[str, dict[str, Any]], name: str) -> None:
    entries[name].pop("parent_topic", None)
    for entry in entries.values():
        entry["subtopics"] = [child for child in entry.get("subtopics", []) if child != name]

"""The topic tree of a dataset: its form and parsing with clear errors. Edits are in ``topic_edits``.

The stored form is the promised one: ``{"version", "topics": {name: {"description", "subtopics"[], "keywords"[],
"parent_topic"?}}}``. Every topic, at whatever depth, is a key of ``topics``; ``subtopics`` gives the order of the
children, the order of the keys that of the top level. Records belong to leaves only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from .records import clean_text

UNKNOWN = "unknown"  # reserved: records that fit no topic
MAX_TOPICS = 1000
MAX_NAME = 64
MAX_KEYWORDS = 60
_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\Z")


class TopicError(ValueError):
    """A tree or an edit that cannot be; the message is one sentence for people."""


class Topic(BaseModel):
    """One node. ``subtopics`` are names of other keys of the same tree, in the order they are shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    subtopics: list[str] = []
    keywords: list[str] = []
    parent_topic: str | None = None


class TopicTree(BaseModel):
    """A consistent forest: names valid, links both ways, no cycles. Made by :func:`parse_tree` or :func:`flat_tree`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = "1.0"
    topics: dict[str, Topic] = {}

    def roots(self) -> list[str]:
        """Names of the top level, in order."""
        return [name for name, topic in self.topics.items() if topic.parent_topic is None]

    def ordered(self, roots: Sequence[str]) -> TopicTree:
        """The top level in the order of ``roots``; those not named keep theirs, after them."""
        first = [name for name in dict.fromkeys(roots) if name in self.topics]
        if not first:
            return self
        return self.model_copy(update={"topics": {**{name: self.topics[name] for name in first}, **self.topics}})

    def level(self, parent: str | None) -> list[str]:
        """The subtopics of ``parent`` in order; of ``None`` the top level."""
        return self.roots() if parent is None else list(self.require(parent).subtopics)

    def leaves(self) -> list[str]:
        """Names that records can have, depth first in the order shown."""
        return [name for name in self.walk() if not self.topics[name].subtopics]

    def walk(self) -> list[str]:
        """All names, each parent before its children, in the order shown."""
        return self._from(self.roots())

    def _from(self, names: Sequence[str]) -> list[str]:
        """These and everything under them, depth first."""
        order: list[str] = []
        stack = list(reversed(names))
        while stack:
            name = stack.pop()
            order.append(name)
            stack.extend(reversed(self.topics[name].subtopics))
        return order

    def path(self, name: str) -> list[str]:
        """Names from the top level down to ``name``."""
        self.require(name)
        path = [name]
        while (parent := self.topics[path[-1]].parent_topic) is not None:
            path.append(parent)
        return path[::-1]

    def below(self, name: str) -> list[str]:
        """``name`` and everything under it, parents first."""
        self.require(name)
        return self._from([name])

    def leaves_below(self, name: str) -> list[str]:
        """The leaves under ``name``; of a leaf itself."""
        return [other for other in self.below(name) if not self.topics[other].subtopics]

    def require(self, name: str) -> Topic:
        """The topic called ``name``; raises :class:`TopicError` when there is none."""
        if name not in self.topics:
            raise TopicError(f'There is no topic "{name}" in this tree.')
        return self.topics[name]

    def to_json(self) -> dict[str, Any]:
        """The stored form; ``parent_topic`` only where there is one."""
        topics: dict[str, Any] = {}
        for name in self.walk():
            topic = self.topics[name]
            entry: dict[str, Any] = {
                "description": topic.description,
                "subtopics": list(topic.subtopics),
                "keywords": list(topic.keywords),
            }
            if topic.parent_topic is not None:
                entry["parent_topic"] = topic.parent_topic
            topics[name] = entry
        return {"version": self.version, "topics": topics}


def snake_name(text: str) -> str:
    """``text`` as a topic name: ASCII, lower case, words joined by underscores, at most 64 characters; '' if none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    return "_".join(words)[:MAX_NAME].strip("_")


def readable(name: str) -> str:
    """``card_arrival`` as "Card arrival"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def check_name(name: object) -> str:
    """``name`` if it can name a topic; raises :class:`TopicError` saying what to write instead."""
    if not isinstance(name, str) or not name.strip():
        raise TopicError("A topic has no name: give it one in snake_case.")
    if name == UNKNOWN:
        raise TopicError('The name "unknown" is kept for records that fit no topic: choose another.')
    if len(name) > MAX_NAME:
        raise TopicError(f'The topic name "{name[:30]}…" is longer than {MAX_NAME} characters: shorten it.')
    if not _NAME.match(name):
        hint = snake_name(name)
        rest = f': write "{hint}"' if hint else ": use small letters, digits and underscores"
        raise TopicError(f'The topic name "{name}" is not in snake_case{rest}.')
    return name


def clean_keywords(keywords: Iterable[object], topic: str = "") -> list[str]:
    """Keywords trimmed, white space folded, without empties and repeats (case does not count), order kept."""
    seen: dict[str, str] = {}
    for keyword in keywords:
        if not isinstance(keyword, str):
            raise TopicError(f'A keyword of "{topic}" is not text: write each keyword as a string.')
        word = " ".join(clean_text(keyword).split())
        if word:
            seen.setdefault(word.lower(), word)
    if len(seen) > MAX_KEYWORDS:
        raise TopicError(f'"{topic}" has {len(seen)} keywords: keep the best {MAX_KEYWORDS} at most.')
    return list(seen.values())


def flat_tree(topics: Mapping[str, tuple[str, Sequence[str]]], version: str = "1.0") -> TopicTree:
    """A one-level tree from ``{name: (description, keywords)}``."""
    entries = {name: {"description": text, "keywords": list(words)} for name, (text, words) in topics.items()}
    return parse_tree({"version": version, "topics": entries})


def parse_json(text: str | bytes) -> TopicTree:
    """A tree from JSON text; raises :class:`TopicError`."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise TopicError("The topics are not valid JSON: export a tree to see the form.") from None
    return parse_tree(raw)


def parse_tree(raw: object) -> TopicTree:
    """A tree from its stored form; raises :class:`TopicError` for anything that contradicts itself.

    A subtopic that is named but not described gets an empty entry; a link given in one direction is completed.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("topics"), dict):
        raise TopicError('The topics must be an object of the form {"version": "1.0", "topics": {name: {…}}}.')
    extra = set(raw) - {"version", "topics"}
    if extra:
        raise TopicError(f'The topics have a key "{sorted(map(str, extra))[0]}" that is not known: remove it.')
    entries = {check_name(name): _entry(name, value) for name, value in raw["topics"].items()}
    for name, topic in list(entries.items()):
        for child in topic.subtopics:
            entries.setdefault(check_name(child), Topic(parent_topic=name))
    if len(entries) > MAX_TOPICS:
        raise TopicError(f"The tree has {len(entries)} topics: {MAX_TOPICS} is the most.")
    version = clean_text(str(raw.get("version") or "1.0"))[:20]
    return TopicTree(version=version, topics=_linked(entries))


def _entry(name: str, value: object) -> Topic:
    if not isinstance(value, dict):
        raise TopicError(f'The topic "{name}" is not an object: give it "description", "subtopics" and "keywords".')
    extra = set(value) - {"description", "subtopics", "keywords", "parent_topic"}
    if extra:
        raise TopicError(f'The topic "{name}" has a key "{sorted(map(str, extra))[0]}" that is not known: remove it.')
    subtopics, keywords = value.get("subtopics") or [], value.get("keywords") or []
    if not isinstance(subtopics, list) or not isinstance(keywords, list):
        raise TopicError(f'"subtopics" and "keywords" of "{name}" must be lists.')
    description, parent = value.get("description") or "", value.get("parent_topic") or None
    if not isinstance(description, str) or not (parent is None or isinstance(parent, str)):
        raise TopicError(f'"description" and "parent_topic" of "{name}" must be text.')
    return Topic(
        description=" ".join(clean_text(description).split()),
        subtopics=[check_name(child) for child in subtopics],
        keywords=clean_keywords(keywords, name),
        parent_topic=parent,
    )


def _linked(entries: dict[str, Topic]) -> dict[str, Topic]:
    """Entries with ``subtopics`` and ``parent_topic`` made to agree; raises on two parents, strangers and cycles."""
    children: dict[str, list[str]] = {name: list(dict.fromkeys(topic.subtopics)) for name, topic in entries.items()}
    parent: dict[str, str] = {}
    for name, below in children.items():
        for child in below:
            if parent.setdefault(child, name) != name:
                raise TopicError(f'"{child}" is under both "{parent[child]}" and "{name}": keep it under one.')
    for name, topic in entries.items():
        if topic.parent_topic is None:
            continue
        if topic.parent_topic not in entries:
            raise TopicError(f'"{name}" is under "{topic.parent_topic}", which is not in the tree.')
        if parent.setdefault(name, topic.parent_topic) != topic.parent_topic:
            raise TopicError(f'"{name}" is under both "{parent[name]}" and "{topic.parent_topic}": keep it under one.')
        if name not in children[topic.parent_topic]:
            children[topic.parent_topic].append(name)
    for name in entries:
        seen, at = {name}, name
        while at in parent:
            at = parent[at]
            if at in seen:
                raise TopicError(f'"{name}" is inside itself: take it out of its own subtopics.')
            seen.add(at)
    return {
        name: topic.model_copy(update={"subtopics": children[name], "parent_topic": parent.get(name)})
        for name, topic in entries.items()
    }

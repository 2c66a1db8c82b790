"""Ready-made topic trees to start from, read from ``topic_templates.toml`` beside this module."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from .topics import TopicTree, parse_tree


class Template(NamedTuple):
    """``key`` is what a command takes, ``title`` and ``summary`` are what a page shows."""

    key: str
    title: str
    summary: str
    tree: TopicTree


def _load() -> dict[str, Template]:
    raw = tomllib.loads(Path(__file__).with_name("topic_templates.toml").read_text(encoding="utf-8"))
    templates = {}
    for key, entry in raw.items():
        groups = {
            name: {"description": group["description"], "subtopics": group["topics"]}
            for name, group in entry["groups"].items()
        }
        tree = parse_tree({"topics": {**groups, **entry["topics"]}})
        templates[key] = Template(key, entry["title"], entry["summary"], tree)
    return templates


TEMPLATES: dict[str, Template] = _load()

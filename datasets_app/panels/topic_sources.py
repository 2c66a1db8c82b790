"""Where a tree of topics can come from, and what taking it would change."""

from __future__ import annotations

import json
from dataclasses import dataclass

from datasets_app.core.topic_templates import TEMPLATES, Template
from datasets_app.core.topics import TopicTree, readable
from datasets_app.facts import dataset_facts
from datasets_app.models import Dataset
from datasets_app.topic_commands import mark_of
from datasets_app.topic_forms import ReplaceForm, TopicsForm


@dataclass(frozen=True)
class Leaf:
    """A topic that records can be under; ``title`` says what it is under itself."""

    title: str
    description: str
    keywords: list[str]


@dataclass(frozen=True)
class ReplacementPanel:
    """Another tree beside the present one. ``stay``, ``go``: titles and records of leaves that are there now."""

    source: str
    template: str
    leaves: list[Leaf]
    text: str  # the tree as JSON
    stay: list[tuple[str, int]]
    go: list[tuple[str, int]]
    seen: str

    @property
    def said(self) -> str:
        if not self.stay and not self.go:
            return "The records are sorted into it right away."
        return "It replaces the topics of now, and the records are sorted into it right away. It can be undone."

    @property
    def sorted_again(self) -> int:
        return sum(count for _, count in self.go)


@dataclass(frozen=True)
class SourcesPanel:
    dataset: Dataset
    records: int
    templates: list[tuple[Template, list[str]]]
    clusters: TopicsForm
    form: ReplaceForm
    preview: ReplacementPanel | None


def sources_panel(dataset: Dataset, form: ReplaceForm | None = None) -> SourcesPanel:
    """``form``: a template or a tree that was given; where it can be read, what it would change."""
    facts = dataset_facts(dataset)
    preview = None
    if form is not None and form.is_bound and form.is_valid():
        preview = _replacement(dataset, form, dict(facts.topics))
    templates = [(t, [readable(name) for name in t.tree.leaves()]) for t in TEMPLATES.values()]
    return SourcesPanel(dataset, facts.valid, templates, TopicsForm(), form or ReplaceForm(), preview)


def _replacement(dataset: Dataset, form: ReplaceForm, counts: dict[str, int]) -> ReplacementPanel:
    tree: TopicTree = form.cleaned_data["tree"]
    leaves = tree.leaves()
    return ReplacementPanel(
        source=form.cleaned_data["source"],
        template=form.cleaned_data["template"],
        leaves=[_leaf(tree, name) for name in leaves],
        text=json.dumps(tree.to_json(), ensure_ascii=False),
        stay=[(readable(name), n) for name, n in counts.items() if name in leaves],
        go=[(readable(name), n) for name, n in counts.items() if name not in leaves],
        seen=mark_of(dataset),
    )


def _leaf(tree: TopicTree, name: str) -> Leaf:
    topic = tree.topics[name]
    return Leaf(" / ".join(map(readable, tree.path(name))), topic.description, topic.keywords)

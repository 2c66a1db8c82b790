"""Topics from the texts themselves: cluster, name the clusters, build the tree. No I/O, deterministic by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clustering import UNKNOWN_CLUSTER, Clustering, Vectors, cluster
from .labelling import Label, Labeller, label_groups, label_parents
from .topics import TopicTree, parse_tree
from .topics_text import essences

Embed = Callable[[list[str]], NDArray[np.float32]]
#: How the best margin of the silhouette reads.
APART = ((0.15, "the groups are clearly apart"), (0.07, "they are fairly well apart"), (-2.0, "they overlap"))
DENSE = 5  # texts alike that are worth a topic nobody asked for
LABEL_TEXTS = 300  # texts of a cluster that its name is made from, the most typical ones


class AutoAssignment(NamedTuple):
    """``topic`` is a leaf, or ``None`` for a text no topic holds; ``confidence`` 0..1: share of the text's nearest
    neighbours that are in the same topic."""

    topic: str | None
    confidence: float


@dataclass(frozen=True)
class AutoTopics:
    """``assignments`` in the order of the texts. ``chosen_by``: a sentence on how the number of topics came about."""

    tree: TopicTree
    assignments: list[AutoAssignment]
    chosen_by: str
    scores: dict[int, float]

    @property
    def left(self) -> int:
        """Texts in no topic."""
        return sum(one.topic is None for one in self.assignments)

    def typical(self, most: int = 20) -> dict[str, list[int]]:
        """Indices of each leaf's surest texts, best first: examples for the categorizer until people give theirs."""
        order = sorted(range(len(self.assignments)), key=lambda i: (-self.assignments[i].confidence, i))
        found: dict[str, list[int]] = {}
        for index in order:
            topic = self.assignments[index].topic
            if topic is not None and len(found.setdefault(topic, [])) < most:
                found[topic].append(index)
        return found


def auto_topics(
    texts: Sequence[str],
    embed: Embed,
    *,
    k: int | None = None,
    seed: int = 0,
    labeller: Labeller | None = None,
) -> AutoTopics:
    """A tree of topics for ``texts`` (last user messages) and the topic of each.

    ``k``: number of leaf clusters, chosen by the data when ``None``. Blank texts, clusters that do not hold together
    and clusters nothing names are left without a topic. Two levels from 13 topics up.
    """
    present = [index for index, text in enumerate(texts) if text.strip()]
    if not present:
        return AutoTopics(
            TopicTree(), [AutoAssignment(None, 0.0)] * len(texts), "There is no text to find topics in.", {}
        )
    core = essences([texts[index] for index in present])
    vectors: Vectors = np.asarray(embed(core), dtype=np.float32)
    found = cluster(vectors, k=k, seed=seed)
    members = [[core[i] for i in found.members(c)[:LABEL_TEXTS]] for c in range(found.k)]
    # who asks for a number gets it; what the data chose must be worth believing
    labels = label_groups(members, labeller, strict=k is None)
    tree = _tree(labels, members, found, labeller)
    assignments = [AutoAssignment(None, 0.0)] * len(texts)
    for index, at, confidence in zip(present, found.labels.tolist(), found.confidence.tolist(), strict=True):
        label = labels[at] if at != UNKNOWN_CLUSTER else None
        assignments[index] = AutoAssignment(label.name if label else None, float(confidence))
    return AutoTopics(tree, assignments, _chosen_by(found, k, len(tree.leaves())), found.scores)


class Proposal(NamedTuple):
    """A group of alike texts that could be a topic: ``members`` are (index of text, confidence 0..1), surest first."""

    label: Label
    members: list[tuple[int, float]]


def propose_topics(
    texts: Sequence[str],
    embed: Embed,
    *,
    k: int | None = None,
    most: int = 8,
    taken: Sequence[str] = (),
    seed: int = 0,
    labeller: Labeller | None = None,
) -> list[Proposal]:
    """Groups that stand out among the texts of one topic (or of none), largest first; [] where none does.

    ``k``: how many to cut them into, believable or not; otherwise as many as the data shows, ``most`` at most.
    ``taken``: names of topics that are there. Groups of fewer than ``DENSE`` texts are no topic unless ``k`` is given.
    """
    present = [index for index, text in enumerate(texts) if text.strip()]
    core = essences([texts[index] for index in present])
    if len(core) < 2:
        return []
    vectors: Vectors = np.asarray(embed(core), dtype=np.float32)
    found = cluster(vectors, k=k, seed=seed)
    if found.k > most:
        found = cluster(vectors, k=most, seed=seed)
    if found.k < 2:
        return []
    members = [found.members(c).tolist() for c in range(found.k)]
    shown = [[core[i] for i in indices[:LABEL_TEXTS]] for indices in members]
    labels = label_groups(shown, labeller, strict=k is None, taken=taken)
    least = 1 if k is not None else DENSE
    return [
        Proposal(label, [(present[i], float(found.confidence[i])) for i in indices])
        for label, indices in zip(labels, members, strict=True)
        if label is not None and len(indices) >= least
    ]


def _tree(
    labels: Sequence[Label | None], members: Sequence[Sequence[str]], found: Clustering, labeller: Labeller | None
) -> TopicTree:
    """Leaves under their groups; a group of a single leaf is left out and its leaf stands at the top."""
    topics: dict[str, Any] = {}
    named = [(index, label) for index, label in enumerate(labels) if label is not None]
    below: dict[int, list[int]] = {}
    for index, label in named:
        topics[label.name] = {"description": label.description, "keywords": label.keywords}
        if found.groups:
            below.setdefault(found.groups[index], []).append(index)
    groups = [indices for indices in below.values() if len(indices) > 1] if len(below) > 1 else []
    share = max(1, LABEL_TEXTS // max((len(indices) for indices in groups), default=1))
    texts = [[text for index in indices for text in members[index][:share]] for indices in groups]
    for indices, parent in zip(groups, label_parents(texts, list(topics), labeller), strict=True):
        topics[parent.name] = {"description": parent.description, "keywords": parent.keywords}
        for index in indices:
            if (leaf := labels[index]) is not None:
                topics[leaf.name]["parent_topic"] = parent.name
    return parse_tree({"version": "1.0", "topics": topics})


def _chosen_by(found: Clustering, k: int | None, leaves: int) -> str:
    if k is not None:
        return f"{leaves} topics from the {k} clusters asked for."
    if not found.scores:
        return "Too few texts to tell topics apart: all are in one."
    if found.k <= 1 and max(found.scores.values()) > 0 and len(found.groups) == 0 and leaves <= 1:
        return "The texts do not fall into groups that could be told apart: all are in one."
    best = max(found.scores.values())
    apart = next(words for least, words in APART if best >= least)
    return (
        f"{leaves} topics: of {len(found.scores)} numbers of clusters tried, the smallest that separates the texts "
        f"nearly as well as the best (silhouette {best:.2f} above chance: {apart})."
    )

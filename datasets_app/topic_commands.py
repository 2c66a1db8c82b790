"""Changes of the topic tree: each keeps what it replaced, moves the records concerned, and sorts again what is open."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from datasets_app.core import topic_edits, topics
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import TopicTree
from rft_project.jobs.services import HasPk

from .actions import CATEGORIZE, start
from .forms import EditTopicForm
from .models import Dataset, DatasetRecord
from .services import Refused

REMEMBERED = 20  # edits that can be undone
OPEN = {"topic": None, "confidence": None, "method": "", "needs_review": False}  # to be sorted again


def replace_tree(dataset: Dataset, tree: TopicTree, sentence: str, moves: dict[str, str | None] | None = None) -> None:
    """Store ``tree``; records move as ``moves`` says (None: to be sorted again), what people decided included.

    ``dataset`` holds the tree that the new one was made from. Raises Refused where somebody else changed it meanwhile.
    """
    moves = moves or {}
    with transaction.atomic():
        before = {
            "tree": dataset.topic_hierarchy,
            "targets": dataset.topic_targets,
            "sentence": sentence,
            "by_hand": _decided_by_hand(dataset, tree, moves),
        }
        history = [*dataset.topic_history, before][-REMEMBERED:]
        _store(dataset, tree, history, _moved_targets(dataset, tree, moves))
        for old, new in moves.items():
            dataset.records.filter(topic=old).update(**OPEN if new is None else {"topic": new})
        _stray(dataset, tree).update(**OPEN)
    dataset.refresh_from_db()


def _store(dataset: Dataset, tree: TopicTree, history: list[Any], targets: dict[str, float]) -> None:
    """Only over the tree that was seen: an edit made meanwhile would be lost without a word."""
    stored = Dataset.objects.filter(pk=dataset.pk, topic_hierarchy=dataset.topic_hierarchy).update(
        topic_hierarchy=tree.to_json() if tree.topics else {}, topic_history=history, topic_targets=targets
    )
    if not stored:
        raise Refused("Somebody else changed the topics meanwhile; look at them and make your change again.")


def _stray(dataset: Dataset, tree: TopicTree) -> QuerySet[DatasetRecord]:
    """Records whose topic is no leaf of ``tree``."""
    return dataset.records.exclude(topic=None).exclude(topic__in=[*tree.leaves(), topics.UNKNOWN])


def _decided_by_hand(dataset: Dataset, tree: TopicTree, moves: dict[str, str | None]) -> dict[str, list[int]]:
    """Records that people sorted and that are about to move, by topic: undoing the edit gives them back."""
    leaving = dataset.records.filter(topic__in=list(moves)) | _stray(dataset, tree)
    found: dict[str, list[int]] = {}
    for topic, pk in leaving.filter(method="manual").values_list("topic", "pk"):
        found.setdefault(str(topic), []).append(pk)
    return found


def _moved_targets(dataset: Dataset, tree: TopicTree, moves: dict[str, str | None]) -> dict[str, float]:
    """Targets go where the records go: a renamed topic keeps its target, merged ones add up."""
    targets: dict[str, float] = {}
    leaves = set(tree.leaves())
    for name, share in dataset.topic_targets.items():
        at = moves.get(name, name)
        if at in leaves:
            targets[at] = targets.get(at, 0.0) + share
    return targets


def use_template(dataset: Dataset, slug: str, *, by: HasPk | None) -> None:
    """Take a template's tree and sort the records into it."""
    template = TEMPLATES[slug]
    replace_tree(dataset, template.tree, f"The template “{template.title}” replaced the topics.")
    start(dataset, CATEGORIZE, {}, by=by)


def apply(dataset: Dataset, form: EditTopicForm, *, by: HasPk | None) -> str:
    """One edit from the page; returns a sentence. Raises Refused."""
    values = form.cleaned_data
    if values["edit"] == "undo":
        return _undo(dataset, by)
    try:
        sentence = _edit(dataset, form)
    except topics.TopicError as error:
        raise Refused(str(error)) from None
    start(dataset, CATEGORIZE, {}, by=by)
    return sentence


def _edit(dataset: Dataset, form: EditTopicForm) -> str:
    values, tree = form.cleaned_data, dataset.topics
    name, new = values["name"], topics.snake_name(values["new_name"])
    if values["edit"] == "add":
        edit = topic_edits.add(tree, new, description=values["description"], keywords=form.keyword_list())
    elif values["edit"] == "merge":
        if not values["into"]:
            raise Refused("Choose the topic that the records go to, then merge.")
        edit = topic_edits.merge(tree, [name, values["into"]], values["into"])
    elif values["edit"] == "delete":
        edit = topic_edits.delete(tree, name, records_to=values["into"] or None)
    else:
        edit = topic_edits.rename(tree, name, new)
        described = topic_edits.describe(edit.tree, new, values["description"])
        worded = topic_edits.set_keywords(described.tree, new, form.keyword_list())
        edit = topic_edits.Edit(worded.tree, edit.moves, edit.sentence if new != name else f"{name} was changed.")
    replace_tree(dataset, edit.tree, edit.sentence, edit.moves)
    return edit.sentence


def _undo(dataset: Dataset, by: HasPk | None) -> str:
    if not dataset.topic_history:
        raise Refused("There is nothing to undo.")
    last = dataset.topic_history[-1]
    tree = topics.parse_tree(last["tree"]) if last["tree"] else TopicTree()
    with transaction.atomic():
        _store(dataset, tree, dataset.topic_history[:-1], last.get("targets", dataset.topic_targets))
        _stray(dataset, tree).update(**OPEN)
        for topic, keys in last.get("by_hand", {}).items():
            for at in range(0, len(keys), 500):
                mine = dataset.records.filter(pk__in=keys[at : at + 500])
                mine.update(topic=topic, method="manual", confidence=1.0, needs_review=False)
        if tree.topics:
            start(dataset, CATEGORIZE, {}, by=by)
    dataset.refresh_from_db()
    return f"Undone: {last['sentence']}"

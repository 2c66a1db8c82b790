"""Changes of the topic tree: each keeps what it replaced, moves the records concerned, and sorts again what is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet, Sum

from datasets_app.core import topics
from datasets_app.core.records import encode_json
from datasets_app.core.topic_edits import Edit
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import TopicTree, readable
from rft_project.jobs.services import HasPk
from rft_project.web.text import plural

from .actions import CATEGORIZE, RESORT, start
from .models import VALID, Dataset, DatasetRecord, TopicEdit
from .services import Refused
from .topic_forms import EditTopicForm
from .tree_editing import EDITS, Scope

REMEMBERED = 20  # edits that can be undone
TAUGHT = 20  # records of a topic that are kept as its examples
OPEN = {"topic": None, "confidence": None, "method": "", "needs_review": False}  # to be sorted again
MEANWHILE = "Somebody else changed the topics meanwhile; look at them and make your change again."
Moves = Mapping[str, str | None]
Keys = dict[str, list[int]]


class Done(NamedTuple):
    """What an edit did, in a sentence, and the topic to look at next ('': none)."""

    sentence: str
    topic: str


def mark_of(dataset: Dataset) -> str:
    """Tells one state of the tree from another; the order of the topics counts."""
    state = encode_json([dataset.topic_hierarchy, dataset.topic_order], sort=True)
    return blake2b(state.encode(), digest_size=8).hexdigest()


def replace_tree(
    dataset: Dataset,
    tree: TopicTree,
    sentence: str,
    moves: Moves | None = None,
    *,
    by: HasPk | None = None,
    examples: Mapping[str, list[int]] | None = None,
    back: Mapping[str, str] | None = None,
) -> None:
    """Store ``tree``; records move as ``moves`` says (None: to be sorted again), what people decided included.

    ``dataset`` holds the tree that the new one was made from; ``examples``: ids of records that new leaves were made
    from; ``back``: {new topic: topic its records go back to when this is undone}. Raises Refused where somebody else
    changed the tree meanwhile.
    """
    moves = moves or {}
    with transaction.atomic():
        edit = TopicEdit(
            dataset=dataset,
            sentence=sentence[:300],
            tree=dataset.topic_hierarchy,
            order=dataset.topic_order,
            targets=dataset.topic_targets,
            examples=dataset.topic_examples,
            by_hand=_decided_by_hand(dataset, tree, moves),
            back={**_ways_back(dataset.topics, moves), **(back or {})},
            by_id=by.pk if by else None,
        )
        _store(dataset, tree, _moved_targets(dataset, tree, moves), _moved_examples(dataset, tree, moves, examples))
        edit.save(force_insert=True)
        _forget_oldest(dataset)
        dataset.topic_proposals.exclude(inside__in=[*tree.leaves(), topics.UNKNOWN]).delete()
        for old, new in moves.items():
            dataset.records.filter(topic=old).update(**OPEN if new is None else {"topic": new})
        _stray(dataset, tree).update(**OPEN)
    dataset.refresh_from_db()


def _store(dataset: Dataset, tree: TopicTree, targets: Mapping[str, float], examples: Mapping[str, list[int]]) -> None:
    """Only over the tree that was seen: an edit made meanwhile would be lost without a word."""
    seen = Dataset.objects.filter(
        pk=dataset.pk, topic_hierarchy=dataset.topic_hierarchy, topic_order=dataset.topic_order
    )
    if not seen.update(
        topic_hierarchy=tree.to_json() if tree.topics else {},
        topic_order=tree.roots(),
        topic_targets=targets,
        topic_examples=examples,
    ):
        raise Refused(MEANWHILE)


def _forget_oldest(dataset: Dataset) -> None:
    kept = dataset.topic_edits.values_list("pk", flat=True)[:REMEMBERED]
    dataset.topic_edits.exclude(pk__in=list(kept)).delete()


def _stray(dataset: Dataset, tree: TopicTree) -> QuerySet[DatasetRecord]:
    """Records whose topic is no leaf of ``tree``."""
    stored = set(dataset.record_counts.order_by().values_list("topic", flat=True).distinct())
    return dataset.records.filter(topic__in=stored - {*tree.leaves(), topics.UNKNOWN, ""})


def _decided_by_hand(dataset: Dataset, tree: TopicTree, moves: Moves) -> Keys:
    """Records that people sorted and that are about to move, by topic: undoing the edit gives them back."""
    leaving = dataset.records.filter(topic__in=list(moves)) | _stray(dataset, tree)
    found: Keys = {}
    for topic, pk in leaving.filter(method="manual").values_list("topic", "pk"):
        found.setdefault(str(topic), []).append(pk)
    return found


def _ways_back(tree: TopicTree, moves: Moves) -> dict[str, str]:
    """{new: old} where one topic's records alone go to a topic that was not there."""
    targets = [new for new in moves.values() if new is not None]
    return {new: old for old, new in moves.items() if new and new not in tree.topics and targets.count(new) == 1}


def _moved_targets(dataset: Dataset, tree: TopicTree, moves: Moves) -> dict[str, float]:
    """Targets go where the records go: a renamed topic keeps its target, merged ones add up."""
    targets: dict[str, float] = {}
    leaves = set(tree.leaves())
    for name, share in dataset.topic_targets.items():
        at = moves.get(name, name)
        if at in leaves:
            targets[at] = targets.get(at, 0.0) + share
    return targets


def _moved_examples(dataset: Dataset, tree: TopicTree, moves: Moves, fresh: Mapping[str, Iterable[int]] | None) -> Keys:
    """Examples go where the records go."""
    leaves, found = set(tree.leaves()), Keys()
    moved = [(moves.get(name, name), keys) for name, keys in dataset.topic_examples.items()]
    for at, keys in [*(fresh or {}).items(), *moved]:
        if at in leaves:
            found[at] = list(dict.fromkeys([*found.get(at, []), *keys]))[:TAUGHT]
    return found


def replace_with(dataset: Dataset, tree: TopicTree, sentence: str, *, by: HasPk | None) -> None:
    """Another tree altogether; topics called alike keep their records until all are sorted anew. Raises Refused."""
    replace_tree(dataset, tree, sentence, by=by)
    if tree.topics:
        start(dataset, CATEGORIZE, {}, by=by)


def use_template(dataset: Dataset, slug: str, *, by: HasPk | None) -> None:
    """Take a template's tree and sort the records into it. Raises Refused."""
    template = TEMPLATES[slug]
    replace_with(dataset, template.tree, f"The template “{template.title}” replaced the topics.", by=by)


def replace_as_seen(dataset: Dataset, given: Mapping[str, Any], seen: str, *, by: HasPk | None) -> None:
    """Take the tree of a ``ReplaceForm``, if the topics are still those it was compared with. Raises Refused."""
    if seen and seen != mark_of(dataset):
        raise Refused(MEANWHILE)
    replace_with(dataset, given["tree"], f"{given['source']} replaced the topics.", by=by)


def apply(dataset: Dataset, form: EditTopicForm, *, by: HasPk | None) -> Done:
    """One edit from the page, made from the tree that the form was drawn for. Raises Refused."""
    values = form.cleaned_data
    if values["seen"] and values["seen"] != mark_of(dataset):
        raise Refused(MEANWHILE)
    if values["edit"] == "undo":
        return Done(_undo(dataset, by), "")
    tree = dataset.topics
    try:
        made = EDITS[values["edit"]](tree, values)
    except topics.TopicError as error:
        raise Refused(str(error)) from None
    sentence = f"{made.edit.sentence} {_fate(dataset, tree, made.edit)}".strip()
    if made.edit.tree != tree or made.edit.tree.roots() != tree.roots():
        replace_tree(dataset, made.edit.tree, made.edit.sentence, made.edit.moves, by=by)
        sort_again(dataset, made.scope, by=by)
    return Done(sentence, made.topic)


def _fate(dataset: Dataset, tree: TopicTree, edit: Edit) -> str:
    """What happens to the records, where they do not simply go along with their topic."""
    counted = dataset.record_counts.filter(verdict=VALID, topic__in=list(edit.moves)).order_by()
    counts = dict(counted.values_list("topic").annotate(n=Sum("n")))
    parts = []
    if opened := sum(n for name, n in counts.items() if edit.moves[name] is None):
        parts.append(f"{plural(opened, 'record')} {'is' if opened == 1 else 'are'} sorted again.")
    for target in {new for new in edit.moves.values() if new in tree.topics}:
        came = sum(n for name, n in counts.items() if edit.moves[name] == target)
        parts.append(f"{plural(came, 'record')} went to {readable(str(target))}.")
    return " ".join(parts)


def sort_again(dataset: Dataset, scope: Scope, *, by: HasPk | None) -> None:
    """Sort what an edit left open, or what it may have given another place; nothing where it did neither."""
    if not dataset.topics.topics or scope is Scope.NOTHING:
        return
    if scope is Scope.OPEN and not dataset.record_counts.filter(verdict=VALID, topic="").exists():
        return
    start(dataset, RESORT, {}, by=by)


def _undo(dataset: Dataset, by: HasPk | None) -> str:
    last = dataset.topic_edits.first()
    if last is None:
        raise Refused("There is nothing to undo.")
    tree = (topics.parse_tree(last.tree) if last.tree else TopicTree()).ordered(last.order)
    with transaction.atomic():
        _store(dataset, tree, last.targets, last.examples)
        last.delete()
        for new, old in last.back.items():
            dataset.records.filter(topic=new).update(topic=old)
        _stray(dataset, tree).update(**OPEN)
        for topic, keys in last.by_hand.items():
            for at in range(0, len(keys), 500):
                mine = dataset.records.filter(pk__in=keys[at : at + 500])
                mine.update(topic=topic, method="manual", confidence=1.0, needs_review=False)
        dataset.refresh_from_db()
        sort_again(dataset, Scope.OPEN, by=by)
    return f"Undone: {last.sentence}"

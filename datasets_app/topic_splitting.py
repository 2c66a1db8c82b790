"""Topics that clustering proposes, and taking them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from datasets_app.core import topic_edits
from datasets_app.core.topics import UNKNOWN, TopicError, readable, snake_name
from rft_project.jobs.models import Job
from rft_project.jobs.services import HasPk
from rft_project.web.text import plural

from .actions import RESORT, SPLIT, start
from .models import VALID, Dataset, TopicProposal
from .services import Refused
from .topic_commands import MEANWHILE, OPEN, mark_of, replace_tree

REVIEW = 0.5  # share of a record's neighbours in its group under which a person should look
Chosen = Sequence[tuple[TopicProposal, str]]


def propose(dataset: Dataset, inside: str, parts: int | None, *, by: HasPk | None) -> Job:
    """Look for topics inside the leaf ``inside``, or among records that fit none (UNKNOWN). Raises Refused."""
    if inside != UNKNOWN and inside not in dataset.topics.leaves():
        raise Refused("Only a topic without subtopics can be split; choose one of those.")
    return start(dataset, SPLIT, {"inside": inside, "parts": parts}, by=by)


def forget(dataset: Dataset, inside: str) -> None:
    dataset.topic_proposals.filter(inside=inside).delete()


def accept(dataset: Dataset, inside: str, chosen: Chosen, *, seen: str, by: HasPk | None) -> str:
    """Make topics of the proposals under the names given; their records go into them. Raises Refused.

    Of a topic that is split the records in no chosen part are sorted among the parts; what fitted none stays as it is.
    """
    if seen and seen != mark_of(dataset):
        raise Refused(MEANWHILE)
    if not chosen:
        raise Refused("Tick at least one of the proposals.")
    parts = [(proposal, snake_name(name) or proposal.name) for proposal, name in chosen]
    try:
        edit = _edit(dataset, inside, parts)
    except TopicError as error:
        raise Refused(str(error)) from None
    with transaction.atomic():
        examples = {name: proposal.examples for proposal, name in parts}
        back = {name: inside for _, name in parts}
        replace_tree(dataset, edit.tree, edit.sentence, edit.moves, by=by, examples=examples, back=back)
        moved = sum(_fill(dataset, inside, proposal, name) for proposal, name in parts)
        forget(dataset, inside)
    start(dataset, RESORT, {}, by=by)
    return f"{edit.sentence} {plural(moved, 'record')} went there."


def _edit(dataset: Dataset, inside: str, parts: list[tuple[TopicProposal, str]]) -> topic_edits.Edit:
    if inside != UNKNOWN:
        given = [(name, proposal.description, proposal.keywords) for proposal, name in parts]
        return topic_edits.split(dataset.topics, inside, given)
    tree = dataset.topics
    for proposal, name in parts:
        tree = topic_edits.add(tree, name, description=proposal.description, keywords=proposal.keywords).tree
    names = ", ".join(readable(name) for _, name in parts)
    return topic_edits.Edit(tree, {}, f"Added {names} from records that fit no topic."[:300])


def _fill(dataset: Dataset, inside: str, proposal: TopicProposal, name: str) -> int:
    """Records of the proposal that are still where it found them; what a person decided meanwhile stays."""
    now = dataset.records.filter(verdict=VALID, topic=UNKNOWN if inside == UNKNOWN else OPEN["topic"])
    moved = 0
    for confidence, keys in proposal.members.items():
        sure = min(float(confidence), 0.95)  # the group was found among these very records
        for at in range(0, len(keys), 500):
            part = now.filter(pk__in=keys[at : at + 500]).exclude(method="manual")
            moved += part.update(topic=name, method="embedding", confidence=sure, needs_review=sure < REVIEW)
    return moved

"""The review: what the sorting was not sure of, one record at a time, the one first whose answer teaches most.

A person's answer is a change like any other: it stays through later runs, teaches them, and can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from datasets_app.core.topics import UNKNOWN, snake_name
from rft_project.jobs.services import HasPk

from . import bulk, editing
from .models import VALID, Change, Dataset, DatasetRecord, Question
from .services import Refused

ROUND = 40  # answers that a sitting aims at
ENOUGH = 10  # answers from which sorting again pays
SECONDS = 3  # that an answer takes

_ANSWERED = Q(record__method="manual")
_OPEN = Q(record__verdict=VALID, skipped=False) & ~_ANSWERED
_SKIPPED = Q(record__verdict=VALID, skipped=True) & ~_ANSWERED


@dataclass(frozen=True)
class Standing:
    """Questions since the records were last sorted: answered, still open, and put off."""

    answered: int
    open: int
    skipped: int

    @property
    def goal(self) -> int:
        """How many answers this sitting is to have: a round, or fewer where there are not so many questions."""
        rounds = self.answered // ROUND + (1 if self.open else 0)
        return min(max(rounds, 1) * ROUND, self.answered + self.open)

    @property
    def seconds(self) -> int:
        """How long the rest of the round takes."""
        return (self.goal - self.answered) * SECONDS


def standing(dataset: Dataset) -> Standing:
    """One query over at most some hundred questions."""
    found = dataset.questions.aggregate(
        answered=Count("pk", filter=_ANSWERED), open=Count("pk", filter=_OPEN), skipped=Count("pk", filter=_SKIPPED)
    )
    return Standing(**found)


def next_question(dataset: Dataset) -> Question | None:
    """The most informative of those that are open, with its record."""
    asked = dataset.questions.filter(_OPEN).order_by("rank")
    return asked.select_related("record__raw", "record__dataset").first()


def topic_meant(dataset: Dataset, said: str) -> str:
    """A topic by its name, by how it reads, or by a part of it that no other topic has. Raises Refused."""
    leaves, name = dataset.topics.leaves(), snake_name(said)
    if name in (*leaves, UNKNOWN):
        return name
    meant = [leaf for leaf in leaves if name and name in leaf]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise Refused(f"“{said[:60]}” is in the names of {len(meant)} topics; write more of the one you mean.")
    raise Refused(f"No topic is called “{said[:60]}”; choose one from the list.")


def answer(record: DatasetRecord, said: str, *, by: HasPk) -> Change | None:
    """What a person says the record is about. Raises Refused."""
    return editing.set_topic(record, topic_meant(record.dataset, said), by=by)


def skip(dataset: Dataset, record_pk: int) -> None:
    """Put a question off; the round goes on without it."""
    dataset.questions.filter(pk=record_pk).update(skipped=True)


def ask_again(dataset: Dataset, record_pk: int | None = None) -> int:
    """Open what was skipped, or the one record of it; returns how many questions are open again."""
    skipped = dataset.questions.filter(_SKIPPED)
    keys = list(skipped.filter(pk=record_pk) if record_pk is not None else skipped)
    return dataset.questions.filter(pk__in=[question.pk for question in keys]).update(skipped=False)


def last_answer(dataset: Dataset, by: HasPk) -> Change | None:
    """The newest answer that somebody gave to one of the questions and that still stands."""
    mine = dataset.changes.filter(by=by.pk, kind="set_topic", count=1, undone_at=None)
    asked = dataset.questions.values("record_id")
    return mine.filter(rows__record_id__in=asked).select_related("dataset__workspace", "job").first()


def undo(dataset: Dataset, *, by: HasPk) -> str:
    """Take the last answer back; its question is open again. Returns a sentence. Raises Refused."""
    change = last_answer(dataset, by)
    if change is None:
        raise Refused("There is no answer of yours to take back here.")
    done = bulk.undo(change, by=by)
    return bulk.undone_sentence(done) if done is not None else "It is being undone."

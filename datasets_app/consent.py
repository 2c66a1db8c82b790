"""Asking first: what nobody has decided about leaves this machine only on a person's word.

A finding is decided about when it is redacted or called a false alarm. What is left is asked about once for every
snapshot and connection, and once for every dataset and helper model; a value that comes later is asked about again.
Two functions answer whether there is a question, ``about_snapshot`` and ``about_helper``; whoever would send calls one
of them and goes on only where it returns None. Nothing is asked about the engine of this server.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from datasets_app.core.pii.kinds import KINDS, REVIEWED
from datasets_app.core.readiness import counted
from datasets_app.core.records import Trace
from rft_project.connections.models import AuditEntry, Connection
from rft_project.connections.services import is_own_engine, with_role
from rft_project.jobs.outcomes import JobFailed

from . import privacy
from .counters import take_turn
from .models import (
    VALID,
    Consent,
    Dataset,
    DatasetRecord,
    Finding,
    FoundValue,
    FrozenFinding,
    Rescan,
    Snapshot,
    SnapshotItem,
    Vault,
)

_NAMED = 3  # kinds that the sentence names
_ROWS = 1000  # inserted together


@dataclass(frozen=True)
class Question:
    """What would be sent over ``connection`` that nobody has decided about.

    ``kinds``: kind to different values of it; ``records``: how many hold any; ``mark`` stands for exactly these values
    and this connection.
    ``unseen``: the sentence why nobody knows what would be sent, '' where it is known. ``outdated``: the records
    themselves no longer hold any of it, only the snapshot does.
    """

    dataset: Dataset
    connection: Connection
    snapshot: Snapshot | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    records: int = 0
    mark: str = ""
    unseen: str = ""
    outdated: bool = False

    @property
    def counts(self) -> str:
        """ "12 e-mail addresses and 3 OpenAI keys in 9 records"."""
        named = [f"{n:,} {KINDS[kind].one if n == 1 else KINDS[kind].many}" for kind, n in self.kinds.items()]
        if len(named) > _NAMED:
            more = sum(list(self.kinds.values())[_NAMED:])
            named = [*named[:_NAMED], f"{more:,} more of {counted(len(named) - _NAMED, 'other kind')}"]
        said = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "".join(named)
        return f"{said} in {counted(self.records, 'record')}"

    @property
    def sentence(self) -> str:
        """For people: what would happen."""
        if self.unseen:
            return self.unseen
        if self.snapshot is None:
            return f"{self.counts} could be shown to the helper model of {self.connection}."
        return f"{self.counts} would be sent to {self.connection}."

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Every kind by its name, with its number of values."""
        return [(KINDS[kind].title, n) for kind, n in self.kinds.items()]


class Unasked(Exception):
    """Something would be sent that nobody was asked about; the text is one sentence for people."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.sentence)
        self.question = question


def about_snapshot(snapshot: Snapshot, connection: Connection) -> Question | None:
    """What a run on ``snapshot`` would send over ``connection``, None where nothing has to be asked."""
    dataset = snapshot.dataset
    if is_own_engine(connection):
        return None
    question = Question(dataset, connection, snapshot)
    try:
        _look_through(snapshot)
    except privacy.Locked as locked:
        return replace(question, unseen=str(locked))
    found = _asked(question)
    if found is not None and privacy.is_complete(dataset, Vault.objects.get(pk=dataset.pk)):
        return replace(found, outdated=not _held(found).filter(value__records__gt=0).exists())
    return found


def about_helper(dataset: Dataset) -> Question | None:
    """What the workspace's helper model would be shown of the dataset's valid records, None where nothing has to be
    asked, also where there is no helper."""
    connection = helper_connection(dataset)
    if connection is None or is_own_engine(connection):
        return None
    if not dataset.records.filter(verdict=VALID).exists():
        return None
    question = Question(dataset, connection)
    if not privacy.is_complete(dataset, Vault.objects.filter(pk=dataset.pk).first()):
        who = f"the helper model of {connection} is asked after that"
        return replace(question, unseen=f"Nobody has looked through the records for personal data yet; {who}.")
    return _asked(question)


def helper_connection(dataset: Dataset) -> Connection | None:
    """The workspace's first connection that names a helper model."""
    return with_role(dataset.workspace, "helper")


def ask_first(question: Question | None, *, agreed: str = "", by: Any) -> None:
    """Remembers a person's word: ``agreed`` is the mark of the question they saw. Raises Unasked where they did not
    see this one."""
    if question is None:
        return
    if question.unseen or question.mark != agreed:
        raise Unasked(question)
    agree(question, by=by)


def refuse_unasked(question: Question | None) -> None:
    """For jobs, which ask nobody: raises JobFailed where there is a question."""
    if question is not None:
        raise JobFailed(f"{question.sentence} Nothing was sent; try again to decide about it.", "unasked")


def agree(question: Question, *, by: Any) -> None:
    """``by`` lets what the question is about be sent; kept with their name, here and in the audit log."""
    with transaction.atomic():
        consent, _ = Consent.objects.update_or_create(
            dataset=question.dataset,
            snapshot=question.snapshot,
            connection=question.connection,
            defaults={"address": question.connection.address, "by": by},
        )
        consent.values.clear()
        through = Consent.values.through
        through.objects.bulk_create(
            [through(consent_id=consent.pk, foundvalue_id=pk) for pk in _values(_held(question))], batch_size=_ROWS
        )
        AuditEntry.write(
            "send findings",
            question.snapshot or question.dataset,
            workspace=question.dataset.workspace,
            actor=by,
            detail=f"{question.counts} to {question.connection}",
        )


# --- what is held, and what of it was agreed to ----------------------------------------------------------------------


def _held(question: Question) -> QuerySet[Any]:
    """The findings in question that nobody has decided about, agreed to or not; web addresses are only counted."""
    dataset, snapshot = question.dataset, question.snapshot
    if snapshot is not None:
        held: QuerySet[Any] = FrozenFinding.objects.filter(snapshot=snapshot)
    else:
        held = Finding.objects.filter(record__dataset=dataset, record__verdict=VALID)
    ignored = Vault.objects.values_list("ignored", flat=True).filter(pk=dataset.pk).first() or []
    return held.filter(value__false_alarm=False, value__kind__in=sorted(REVIEWED - set(ignored))).order_by()


def _values(held: QuerySet[Any]) -> list[int]:
    return sorted(held.values_list("value_id", flat=True).distinct())


def _asked(question: Question) -> Question | None:
    """The question with its numbers, None where a person has agreed to every value or there is none."""
    held = _held(question)
    consent = Consent.objects.filter(
        dataset=question.dataset,
        snapshot=question.snapshot,
        connection=question.connection,
        address=question.connection.address,
    ).first()
    agreed = consent.values.all() if consent is not None else FoundValue.objects.none()
    if not held.exclude(value__in=agreed).exists():
        return None
    numbers = dict(held.values_list("value__kind").annotate(n=Count("value", distinct=True)))
    return replace(
        question,
        kinds={kind: numbers[kind] for kind in KINDS if kind in numbers},
        records=held.aggregate(n=Count("record_id", distinct=True))["n"],
        mark=blake2b(repr([question.connection.pk, *_values(held)]).encode(), digest_size=8).hexdigest(),
    )


# --- looking through what is frozen ----------------------------------------------------------------------------------


def sent(trace: Trace) -> Trace:
    """The parts of a record that a platform gets: prompt, tools, reference and item fields; not what was logged of the
    answer, nor metadata."""
    return replace(trace, data={"messages": trace.messages, "tools": trace.tools}, metadata={})


def _look_through(snapshot: Snapshot) -> None:
    """Store what the frozen records would send, once: they never change. Raises Locked."""
    work = privacy.opened(snapshot.dataset)
    if snapshot.looked_through == work.rules:
        return
    found = {}
    for item in _worth_reading(snapshot, work).iterator():
        if known := list(work.found_in(sent(item.trace))):
            found[item.record_id] = known
    with transaction.atomic():
        take_turn(snapshot.dataset_id)
        keys = privacy.values_of(work, [one for known in found.values() for one in known])
        FrozenFinding.objects.filter(snapshot=snapshot).delete()
        FrozenFinding.objects.bulk_create(
            [
                FrozenFinding(snapshot=snapshot, record_id=record, value_id=keys[one])
                for record, known in found.items()
                for one in known
            ],
            batch_size=_ROWS,
        )
        snapshot.looked_through = work.rules
        snapshot.save(update_fields=["looked_through"])


def _worth_reading(snapshot: Snapshot, work: privacy.Open) -> QuerySet[SnapshotItem]:
    """All but those whose record is still the same and was found to hold nothing."""
    items = snapshot.items.order_by("pk")
    if work.vault.rules != work.rules:
        return items
    clean = DatasetRecord.objects.filter(
        ~Exists(Finding.objects.filter(record=OuterRef("pk"))),
        ~Exists(Rescan.objects.filter(record=OuterRef("pk"))),
        pk=OuterRef("record_id"),
        pk__lte=work.vault.scanned_to,
        raw__body=OuterRef("body"),
    )
    return items.filter(~Exists(clean))

"""Asking first: what nobody has decided about leaves this machine only on a person's word.

A finding is decided about when it is redacted or called a false alarm. What is left is asked about once for every
snapshot and connection, and once for every dataset and helper model; a value that comes later is asked about again.
``about_snapshot``, ``about_helper`` and ``about_embeddings`` answer whether there is a question; whoever would send
calls one of them and goes on only where it returns None. Nothing is asked about the engine of this server.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
    Consent,
    Dataset,
    DatasetRecord,
    Finding,
    FrozenFinding,
    Rescan,
    Snapshot,
    SnapshotItem,
    Vault,
)
from .models.findings import Summary

_NAMED = 3  # kinds that the sentence names
_ROWS = 1000  # inserted together


@dataclass(frozen=True)
class Question:
    """What would be sent over ``connection`` that nobody has decided about.

    ``model``: which model of it would be shown them, where they are not sent by a run.
    ``kinds``: kind to different values of it; ``records``: how many hold any; ``mark`` stands for exactly these values
    and this connection.
    ``unseen``: the sentence why nobody knows what would be sent, '' where it is known. ``outdated``: the records
    themselves no longer hold any of it, only the snapshot does.
    """

    dataset: Dataset
    connection: Connection
    snapshot: Snapshot | None = None
    model: str = "helper model"
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
            return f"{self.counts} could be shown to the {self.model} of {self.connection}."
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
    held = _frozen(snapshot)
    if not _not_agreed(held, "value", _given(question)):
        return None
    numbers = dict(held.values_list("value__kind").annotate(n=Count("value", distinct=True)))
    known = privacy.is_complete(dataset, Vault.objects.get(pk=dataset.pk))
    return replace(
        question,
        kinds={kind: numbers[kind] for kind in KINDS if kind in numbers},
        records=held.aggregate(n=Count("record_id", distinct=True))["n"],
        mark=privacy.mark_of(_values(question)),
        outdated=known and not held.filter(value__records__gt=0).exists(),
    )


def about_helper(dataset: Dataset, connection: Connection | None = None) -> Question | None:
    """What a helper model would be shown of the dataset's records, None where nothing has to be asked, also where there
    is no helper. ``connection``: the helper's, where another than the workspace's first was chosen before.

    Pages ask this all the time, so it reads what was counted after the last change.
    """
    connection = connection or helper_connection(dataset)
    return _about_model(Question(dataset, connection)) if connection is not None else None


def about_embeddings(dataset: Dataset, connection: Connection) -> Question | None:
    """The same of the embedding model of a connection that the dataset's records are to be sorted by."""
    return _about_model(Question(dataset, connection, model="embedding model"))


def _about_model(question: Question) -> Question | None:
    dataset, connection = question.dataset, question.connection
    if is_own_engine(connection) or not dataset.records.exists():
        return None
    vault = Vault.objects.filter(pk=dataset.pk).first()
    if vault is None or not privacy.is_complete(dataset, vault):
        who = f"the {question.model} of {connection} is asked after that"
        return replace(question, unseen=f"Nobody has looked through the records for personal data yet; {who}.")
    counts = vault.counts if vault.counts.mark else _counted(dataset)
    consent = _given(question)
    if consent is not None and consent.mark == counts.mark:
        return None
    if not _not_agreed(privacy.undecided(dataset), "pk", consent):
        if consent is not None:  # less than was agreed to, such as after a redaction
            Consent.objects.filter(pk=consent.pk).update(mark=counts.mark)
        return None
    kinds = {kind: count.values for kind, count in counts.kinds.items() if kind in REVIEWED}
    return replace(question, kinds=kinds, records=counts.undecided, mark=counts.mark)


def _counted(dataset: Dataset) -> Summary:
    """For counts from before they had a mark."""
    with transaction.atomic():
        take_turn(dataset.pk)
        return privacy.summarise(dataset)


def helper_connection(dataset: Dataset) -> Connection | None:
    """The workspace's first connection that names a helper model."""
    return with_role(dataset.workspace, "helper")


def ask_first(question: Question | None, *, agreed: str = "", by: Any) -> None:
    """Remembers a person's word: ``agreed`` is the mark of the question they saw. Raises Unasked where they did not
    see this one."""
    if question is None:
        return
    if question.unseen or not agreed or question.mark != agreed:
        raise Unasked(question)
    agree(question, by=by)


def refuse_unasked(question: Question | None) -> None:
    """For jobs, which ask nobody: raises JobFailed where there is a question."""
    if question is not None:
        raise JobFailed(f"{question.sentence} Nothing was sent; try again to decide about it.", "unasked")


def agree(question: Question, *, by: Any) -> None:
    """``by`` lets what the question is about be sent; kept with their name, here and in the audit log. Raises Unasked
    where that changed since it was asked."""
    values = _values(question)
    if privacy.mark_of(values) != question.mark:
        raise Unasked(question)
    with transaction.atomic():
        consent, _ = Consent.objects.update_or_create(
            dataset=question.dataset,
            snapshot=question.snapshot,
            connection=question.connection,
            defaults={"address": question.connection.address, "by": by, "mark": question.mark},
        )
        consent.values.clear()
        through = Consent.values.through
        through.objects.bulk_create(
            [through(consent_id=consent.pk, foundvalue_id=pk) for pk in values], batch_size=_ROWS
        )
        AuditEntry.write(
            "send findings",
            question.snapshot or question.dataset,
            workspace=question.dataset.workspace,
            actor=by,
            detail=f"{question.counts} to {question.connection}",
        )


# --- what is held, and what of it was agreed to ----------------------------------------------------------------------


def _given(question: Question) -> Consent | None:
    """What was agreed to for this snapshot or helper, and the address that the connection has."""
    return Consent.objects.filter(
        dataset=question.dataset,
        snapshot=question.snapshot,
        connection=question.connection,
        address=question.connection.address,
    ).first()


def _not_agreed(rows: QuerySet[Any], value: str, consent: Consent | None) -> bool:
    """Is there any whose ``value`` is not among what was agreed to?"""
    return (rows if consent is None else rows.exclude(**{f"{value}__in": consent.values.all()})).exists()


def _frozen(snapshot: Snapshot) -> QuerySet[FrozenFinding]:
    """What the snapshot holds that nobody has decided about, agreed to or not."""
    ignored = Vault.objects.values_list("ignored", flat=True).filter(pk=snapshot.dataset_id).first() or []
    held = FrozenFinding.objects.filter(snapshot=snapshot, value__false_alarm=False).order_by()
    return held.filter(value__kind__in=sorted(REVIEWED - set(ignored)))


def _values(question: Question) -> list[int]:
    if question.snapshot is None:
        return list(privacy.undecided(question.dataset).values_list("pk", flat=True))
    return list(_frozen(question.snapshot).values_list("value_id", flat=True).distinct())


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

"""Personal data and secrets of a dataset: what was found, what is a false alarm, what still has to be looked through.

Findings follow the records: they are written by the job ``scan`` (and by a redaction, for the records it rewrites) in
transactions that hold the dataset's turn. Records that are new have a primary key above ``Vault.scanned_to``; records
that changed or came back are listed in ``Rescan`` by whoever changed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.db import connection
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from datasets_app.core.pii.kinds import KINDS, REVIEWED, SECRETS, Group
from datasets_app.core.pii.names import installed_models, names_detector
from datasets_app.core.pii.redacting import value_digest
from datasets_app.core.pii.scanning import VERSION, Detector
from datasets_app.core.pii.traces import Seen, findings
from datasets_app.core.records import Trace
from rft_project.connections.models import AuditEntry
from rft_project.connections.sealing import SealError
from rft_project.web.text import plural

from .actions import SCAN, start
from .changes import TOPIC
from .counters import take_turn
from .models import Change, ChangedRecord, Dataset, DatasetRecord, Finding, FoundValue, Rescan, Vault
from .models.findings import KindCount, Summary

BATCH = 500
_PARAMETERS = 400  # values in one IN (…)
Known = tuple[str, str]  # kind and digest


class Locked(Exception):
    """The vault's key was sealed with a key this server does not have."""

    def __init__(self) -> None:
        super().__init__(
            "The placeholders of this dataset were made with an encryption key this server no longer has; "
            "put it back into FIELD_ENCRYPTION_KEYS."
        )


@dataclass(frozen=True)
class Open:
    """A vault ready for work."""

    vault: Vault
    key: bytes
    detectors: Sequence[Detector]

    @property
    def rules(self) -> str:
        return rules_of(self.vault)

    def digest(self, seen: Seen) -> Known:
        return seen.finding.kind, value_digest(self.key, seen.finding.kind, seen.finding.value)

    def found_in(self, trace: Trace) -> Counter[Known]:
        return Counter(self.digest(seen) for seen in findings(trace, self.detectors))


def opened(dataset: Dataset) -> Open:
    """The dataset's vault, made where there is none. Raises Locked."""
    vault, _ = Vault.objects.get_or_create(
        dataset=dataset, defaults={"sealed": Vault.fresh_key(dataset.pk), "summary": {}}
    )
    detector = names_detector() if vault.names else None
    try:
        return Open(vault, vault.key(), [detector] if detector else [])
    except SealError:
        raise Locked from None


def can_find_names() -> bool:
    return bool(installed_models())


def rules_of(vault: Vault) -> str:
    """What the dataset is looked through by today; ``Vault.rules`` is what it was looked through by."""
    return f"{VERSION}{'+names' if vault.names and can_find_names() else ''}"


# --- scanning --------------------------------------------------------------------------------------------------------


def scan_slice(dataset: Dataset) -> int:
    """Look through the next records; needs a transaction and the dataset's turn. Returns how many they were."""
    work = opened(dataset)
    if work.vault.rules != work.rules:
        Vault.objects.filter(pk=dataset.pk).update(scanned_to=0, rules=work.rules)
        Rescan.objects.filter(dataset=dataset).delete()
        work.vault.scanned_to = 0
    changed = list(Rescan.objects.filter(dataset=dataset).values_list("pk", flat=True)[:BATCH])
    records = dataset.records.select_related("raw").order_by("pk")
    found = list(records.filter(pk__in=changed) if changed else records.filter(pk__gt=work.vault.scanned_to)[:BATCH])
    store(work, {record.pk: work.found_in(record.trace) for record in found})
    if changed:
        Rescan.objects.filter(pk__in=changed).delete()
    elif found:
        Vault.objects.filter(pk=dataset.pk).update(scanned_to=found[-1].pk)
    return len(found) or len(changed)


def left_to_scan(dataset: Dataset) -> int:
    """Records nobody has looked through yet by today's rules, or since they changed."""
    vault = Vault.objects.filter(pk=dataset.pk).first()
    if vault is None or vault.rules != rules_of(vault):
        return dataset.records.count()
    new = dataset.records.filter(pk__gt=vault.scanned_to).count()
    return new + Rescan.objects.filter(dataset=dataset).count()


def is_complete(dataset: Dataset, vault: Vault | None) -> bool:
    """Every record has been looked through by today's rules, as it is now."""
    if vault is None or vault.rules != rules_of(vault) or Rescan.objects.filter(dataset=dataset).exists():
        return False
    return not dataset.records.filter(pk__gt=vault.scanned_to).exists()


def store(work: Open, found: Mapping[int, Counter[Known]]) -> None:
    """Replace the findings of these records; needs a transaction and the dataset's turn."""
    before = Finding.objects.filter(record__in=list(found)).order_by()
    touched = set(before.values_list("value_id", flat=True))
    if touched:
        before.delete()
    keys = values_of(work, [known for counted in found.values() for known in counted])
    Finding.objects.bulk_create(
        [
            Finding(record_id=pk, value_id=keys[known], count=count)
            for pk, counted in found.items()
            for known, count in counted.items()
        ]
    )
    _recount(touched | set(keys.values()))


def values_of(work: Open, wanted: Iterable[Known]) -> dict[Known, int]:
    """Primary keys of values, new ones numbered in the order in which they come."""
    order = dict.fromkeys(wanted)
    digests = [digest for _, digest in order]
    keys: dict[Known, int] = {}
    for at in range(0, len(digests), _PARAMETERS):
        known = FoundValue.objects.filter(dataset=work.vault.pk, digest__in=digests[at : at + _PARAMETERS])
        keys |= {(kind, digest): pk for pk, kind, digest in known.values_list("pk", "kind", "digest")}
    numbers = dict(Vault.objects.values_list("last_numbers", flat=True).get(pk=work.vault.pk))
    made = []
    for kind, digest in order:
        if (kind, digest) not in keys:
            numbers[kind] = numbers.get(kind, 0) + 1
            made.append(FoundValue(dataset_id=work.vault.pk, kind=kind, digest=digest, number=numbers[kind]))
    if made:
        FoundValue.objects.bulk_create(made)
        Vault.objects.filter(pk=work.vault.pk).update(last_numbers=numbers)
    return keys | {(value.kind, value.digest): value.pk for value in made}


def _recount(keys: Iterable[int]) -> None:
    """``FoundValue.records`` of these values, from their findings."""
    every = sorted(keys)
    for at in range(0, len(every), _PARAMETERS):
        _count(FoundValue.objects.filter(pk__in=every[at : at + _PARAMETERS]))


def _count(values: QuerySet[FoundValue]) -> None:
    held = Finding.objects.filter(value=OuterRef("pk")).order_by().values("value").annotate(n=Count("pk")).values("n")
    values.update(records=Coalesce(Subquery(held), 0))


def summarise(dataset: Dataset) -> Summary:
    """Count anew what the pages show, and store it; needs a transaction and the dataset's turn."""
    vault = Vault.objects.get(pk=dataset.pk)
    _count(FoundValue.objects.filter(dataset=dataset, records__gt=0))  # records may have been removed since
    held = FoundValue.objects.filter(dataset=dataset, records__gt=0).exclude(kind__in=vault.ignored)
    ours = held.filter(false_alarm=False).order_by().values("kind")
    kinds = {
        row["kind"]: KindCount(records=row["r"], values=row["v"])
        for row in ours.annotate(v=Count("pk", distinct=True), r=Count("findings__record", distinct=True))
    }
    alarms = held.filter(false_alarm=True).order_by().values_list("kind").annotate(n=Count("pk"))
    made = Summary(
        kinds={kind: kinds[kind] for kind in KINDS if kind in kinds},
        false_alarms=dict(alarms),
        records=dataset.records.count(),
        secrets=records_with(dataset, SECRETS).count(),
        personal=records_with(dataset, [k.slug for k in KINDS.values() if k.group is Group.PERSONAL]).count(),
        undecided=records_with(dataset, REVIEWED).count(),
        mark=mark_of(undecided(dataset).values_list("pk", flat=True)),
    )
    Vault.objects.filter(pk=dataset.pk).update(summary=made.model_dump(mode="json"))
    return made


def undecided(dataset: Dataset) -> QuerySet[FoundValue]:
    """Values that its records hold and nobody has decided about, as last counted; web addresses are only counted."""
    ignored = Vault.objects.values_list("ignored", flat=True).filter(pk=dataset.pk).first() or []
    return dataset.found_values.filter(records__gt=0, false_alarm=False, kind__in=sorted(REVIEWED - set(ignored)))


def mark_of(values: Iterable[int]) -> str:
    """Stands for exactly these values, given by their primary keys."""
    return blake2b(repr(sorted(values)).encode(), digest_size=8).hexdigest()


def kinds_held(dataset: Dataset) -> list[str]:
    """Kinds that the records hold, as last counted; false alarms left out."""
    vault = Vault.objects.only("summary").filter(pk=dataset.pk).first()
    return list(vault.counts.kinds) if vault is not None else []


def records_with(dataset: Dataset, kinds: Iterable[str]) -> QuerySet[DatasetRecord]:
    """Records that hold anything of ``kinds`` that is no false alarm."""
    ignored = Vault.objects.values_list("ignored", flat=True).filter(pk=dataset.pk).first() or []
    wanted = [kind for kind in kinds if kind not in ignored]
    held = Finding.objects.filter(value__dataset=dataset, value__kind__in=wanted, value__false_alarm=False)
    return dataset.records.order_by().filter(pk__in=held.values("record"))


# --- following the records -------------------------------------------------------------------------------------------


def rescan(dataset: Dataset, payloads: Mapping[int, Trace]) -> None:
    """Findings of records that have just got these payloads; needs a transaction and the dataset's turn."""
    vault = Vault.objects.filter(pk=dataset.pk).first()
    if vault is None:
        return
    known = {pk: trace for pk, trace in payloads.items() if pk <= vault.scanned_to}  # the others come later anyway
    try:
        work = opened(dataset)
    except Locked:
        Rescan.objects.bulk_create([Rescan(record_id=pk, dataset=dataset) for pk in known], ignore_conflicts=True)
    else:
        store(work, {pk: work.found_in(trace) for pk, trace in known.items()})


def follow(change: Change, by: Any) -> None:
    """After a change of records the counts are made anew; after its undo the records are looked through again, as are
    those that a change has made.

    Nothing is done for a dataset that nobody has looked through. Needs the transaction of the change.
    """
    if change.scope == TOPIC or not Vault.objects.filter(pk=change.dataset_id).exclude(rules="").exists():
        return
    if change.undone_at is None:  # whoever wrote the payloads has called ``rescan``
        summarise(change.dataset)
        if change.new:
            start(change.dataset, SCAN, {}, by=by)
        return
    copies, records = ChangedRecord._meta.db_table, DatasetRecord._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Rescan._meta.db_table} (record_id, dataset_id) SELECT r.id, r.dataset_id FROM {copies} b "
            f"JOIN {records} r ON r.id = b.record_id WHERE b.change_id = %s ON CONFLICT DO NOTHING",
            [change.pk],
        )
    start(change.dataset, SCAN, {}, by=by)


# --- what people decide ----------------------------------------------------------------------------------------------


def decide(dataset: Dataset, kind: str, values: Sequence[int], alarm: bool, *, by: Any) -> str:
    """Values of a kind, or all of it where there are none, are a false alarm, or are not; needs a transaction.

    Remembered for every later scan and written to the audit log. Returns what was done, for people. Raises Locked.
    """
    take_turn(dataset.pk)
    if values:
        count = set_false_alarm(dataset, kind, values, alarm)
        sentence = f"{plural(count, 'value')} {'kept as false alarms' if alarm else 'to review again'}."
    else:
        ignore_kind(dataset, kind, alarm)
        done = "are a false alarm here; they are not reported again" if alarm else "are reported again"
        sentence = f"{KINDS[kind].title} {done}."
    AuditEntry.write("false alarm", dataset, workspace=dataset.workspace, actor=by, detail=f"{kind}: {sentence}")
    return sentence


def set_false_alarm(dataset: Dataset, kind: str, keys: Iterable[int], value: bool) -> int:
    """Values that are, or are not, what they look like; returns how many changed. Needs the dataset's turn."""
    values = dataset.found_values.filter(pk__in=list(keys), kind=kind, false_alarm=not value)
    changed = values.update(false_alarm=value)
    summarise(dataset)
    return changed


def ignore_kind(dataset: Dataset, kind: str, ignored: bool) -> None:
    """A whole kind that is, or is not, a false alarm in this dataset. Needs the dataset's turn."""
    kinds = set(opened(dataset).vault.ignored)
    kinds = kinds | {kind} if ignored else kinds - {kind}
    Vault.objects.filter(pk=dataset.pk).update(ignored=[slug for slug in KINDS if slug in kinds])
    summarise(dataset)


def look_for_names(dataset: Dataset, names: bool) -> None:
    """From the next scan on look for names of people and places too, where a model is installed. Raises Locked."""
    opened(dataset)
    Vault.objects.filter(pk=dataset.pk).update(names=names and can_find_names())

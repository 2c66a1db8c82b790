"""What can be done to many records at once. ``BULK_ACTIONS`` is the table; ``bulk`` runs it slice by slice.

An action changes the records of one slice inside the transaction that also keeps them as they were. It must do the
same when it is asked again for records it has changed already, and touch nothing but the slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from pydantic import BaseModel, ConfigDict

from datasets_app.core import repairs
from datasets_app.core.joining import entry_of, superseded
from datasets_app.core.pii.kinds import KINDS
from datasets_app.core.records import Trace, dumps, encode_json
from datasets_app.core.topics import UNKNOWN

from . import joining, privacy, redacting
from .changes import CONTENT, RECORD, TOPIC, keep, kept, remove
from .checking import checked_fields, derived_fields
from .models import DUPLICATE, VALID, Change, Dataset, DatasetRecord, RawRecord
from .searching import mark_stale

WHOLE, PARSED = 10_000, 1000  # records of a slice: where SQL does all, and where payloads are read


class NoValues(BaseModel):
    """An action that needs nothing but records."""

    model_config = ConfigDict(extra="ignore")


class TopicValue(NoValues):
    """Names of values stand in one form with the filters (``filters.Where``), so none may be called like a filter."""

    into: str


class RepairValues(NoValues):
    repairs: list[str] = list(repairs.REPAIRS)


class RedactValues(NoValues):
    """Kinds to redact; only these ``values`` of them (primary keys of ``FoundValue``), where there are any."""

    kinds: list[str]
    values: list[int] = []


@dataclass(frozen=True)
class Slice:
    """Records to change now. ``after``: the primary key all of them are above; what earlier slices changed is below,
    or gone."""

    change: Change
    dataset: Dataset
    records: QuerySet[DatasetRecord]
    after: int
    values: Any

    def keep(self, records: QuerySet[DatasetRecord] | None = None) -> QuerySet[DatasetRecord]:
        """Keep these records (all of the slice by default) as they are, and return them for changing."""
        keep(self.change, self.records if records is None else records)
        return kept(self.change, self.after)


Mend = Callable[[Dataset, Trace, Any], Trace | None]
Joins = Callable[[Sequence[DatasetRecord]], list[joining.Joined]]
Pick = tuple[int, ...]  # primary keys of records that are changed together, in order


@dataclass(frozen=True)
class BulkAction:
    """One line of the table.

    ``label`` is the button, ``sentence`` says what was done ("Moved to billing"), without numbers. ``mend`` gives the
    new payload of one record or None where nothing changes, ``joins`` the conversations that become one record each;
    the preview shows what they would do. ``choose`` picks some of the records meant, when only all of them together
    tell which, by the first of each pick: the same ones again once the first are done.
    """

    label: str
    scope: str
    run: Callable[[Slice], None]
    sentence: Callable[[Any], str]
    values: type[NoValues] = NoValues
    size: int = WHOLE
    mend: Mend | None = None
    joins: Joins | None = None
    choose: Callable[[QuerySet[DatasetRecord]], list[Pick]] | None = None
    refuses: Callable[[Dataset, Any], str] = lambda dataset, values: ""  # a sentence, where the values are no good
    rechecks: bool = False  # other records may be duplicates of these: all are checked again afterwards
    danger: bool = False


def _set_topic(part: Slice) -> None:
    chosen = part.records.exclude(topic=part.values.into, method="manual")
    part.keep(chosen).update(topic=part.values.into, method="manual", confidence=1.0, needs_review=False)


def _clear_topic(part: Slice) -> None:
    chosen = part.records.exclude(topic=None, method="")
    part.keep(chosen).update(topic=None, method="", confidence=None, needs_review=False, secondary_topics=[])


def _delete(part: Slice) -> None:
    remove(part.keep())


def _join(part: Slice) -> None:
    joining.join(part.change, part.dataset, part.records)


def _repeated(records: QuerySet[DatasetRecord]) -> list[Pick]:
    """Records whose whole conversation is the beginning of a longer one of their session."""
    wanted = records.exclude(session_id="").order_by("pk").select_related("raw")
    found = (entry_of(record.pk, record.trace) for record in wanted.iterator(chunk_size=PARSED))
    return sorted((entry.id,) for entry in superseded(entry for entry in found if entry is not None))


def mending(mend: Mend) -> Callable[[Slice], None]:
    """Rewrites the payloads that ``mend`` changes, with their verdicts."""

    def run(part: Slice) -> None:
        mended: dict[int, Trace] = {}
        for record in part.records.select_related("raw").order_by("pk"):
            trace = mend(part.dataset, record.trace, part.values)
            if trace is not None:
                mended[record.pk] = trace
        if mended:
            part.keep(part.records.filter(pk__in=list(mended)))
            write_payloads(part.dataset, mended)

    return run


def _repaired(dataset: Dataset, trace: Trace, values: RepairValues) -> Trace | None:
    mended, done = repairs.repair(trace, values.repairs)
    return mended if done else None


def _redact(part: Slice) -> None:
    redactor = redacting.Redactor(part.dataset, part.values.kinds, part.values.values)
    mended = redactor.redacted(part.records.select_related("raw").order_by("pk"))
    if not mended:
        return
    chosen = part.keep(part.records.filter(pk__in=list(mended)))
    repeated = {record.pk: record for record in chosen.filter(verdict=DUPLICATE)}
    write_payloads(part.dataset, mended)
    # One value is one placeholder everywhere, so what was a duplicate still is one.
    still = DatasetRecord.objects.filter(pk__in=list(repeated), verdict=VALID).values_list("pk", flat=True)
    if still:
        write_fields(
            {pk: {name: getattr(repeated[pk], name) for name in ("verdict", "code", "issues")} for pk in still}
        )


def _recheck(part: Slice) -> None:
    """A duplicate stays one as long as it breaks no rule: only the sanitize run sees all records."""
    found: dict[int, dict[str, Any]] = {}
    for record in part.records.select_related("raw").order_by("pk"):
        fields = checked_fields(record.trace, part.dataset)
        if fields["verdict"] == VALID and record.verdict == DUPLICATE:
            continue
        if any(getattr(record, name) != value for name, value in fields.items()):
            found[record.pk] = fields
    if found:
        part.keep(part.records.filter(pk__in=list(found)))
        write_fields(found)


def write_payloads(dataset: Dataset, mended: dict[int, Trace]) -> None:
    """New payloads with all that the narrow row repeats of them; the caller has kept the rows and has the turn."""
    RawRecord.objects.bulk_update([RawRecord(pk=key, body=dumps(trace)) for key, trace in mended.items()], ["body"])
    write_fields({key: derived_fields(trace, dataset) for key, trace in mended.items()})
    mark_stale(DatasetRecord.objects.filter(pk__in=list(mended)))
    privacy.rescan(dataset, mended)


def write_fields(found: dict[int, dict[str, Any]]) -> None:
    """Columns of records by primary key, the same ones for each."""
    columns = list(next(iter(found.values())))
    settings = ", ".join(f"{column} = %s" for column in columns)
    rows = [
        [*(encode_json(value) if isinstance(value, list) else value for value in fields.values()), key]
        for key, fields in found.items()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {DatasetRecord._meta.db_table} SET {settings} WHERE id = %s", rows)


def _repair_sentence(values: RepairValues) -> str:
    return "Repaired: " + ", ".join(repairs.REPAIRS[name][0].lower() for name in values.repairs)


def _no_such_topic(dataset: Dataset, values: TopicValue) -> str:
    known = values.into in (*dataset.topics.leaves(), UNKNOWN)
    return "" if known else "Choose one of the topics of this dataset."


def _no_such_kind(dataset: Dataset, values: RedactValues) -> str:
    known = values.kinds and all(kind in KINDS for kind in values.kinds)
    return "" if known else "Choose at least one kind of personal data or secrets."


def _no_such_repair(dataset: Dataset, values: RepairValues) -> str:
    known = values.repairs and all(name in repairs.REPAIRS for name in values.repairs)
    return "" if known else "Choose at least one of the repairs."


BULK_ACTIONS: dict[str, BulkAction] = {
    "set_topic": BulkAction(
        "Set topic", TOPIC, _set_topic, lambda v: f"Moved to {v.into}", TopicValue, refuses=_no_such_topic
    ),
    "clear_topic": BulkAction("Clear topic", TOPIC, _clear_topic, lambda v: "Topic cleared"),
    "repair": BulkAction(
        "Repair",
        CONTENT,
        mending(_repaired),
        _repair_sentence,
        RepairValues,
        PARSED,
        _repaired,
        refuses=_no_such_repair,
        rechecks=True,
    ),
    "redact": BulkAction(
        "Redact",
        CONTENT,
        _redact,
        lambda v: redacting.sentence(v.kinds, v.values),
        RedactValues,
        PARSED,
        refuses=_no_such_kind,
    ),
    "recheck": BulkAction("Check again", CONTENT, _recheck, lambda v: "Checked again", size=PARSED),
    "collapse": BulkAction(
        "Collapse repeated history",
        RECORD,
        _delete,
        lambda v: "Collapsed conversations that were logged again with every turn",
        choose=_repeated,
        rechecks=True,
    ),
    "join": BulkAction(
        "Join sessions",
        RECORD,
        _join,
        lambda v: "Joined sessions that were logged as several records",
        size=PARSED,
        joins=joining.conversations,
        choose=joining.sessions,
        rechecks=True,
    ),
    "delete": BulkAction("Delete", RECORD, _delete, lambda v: "Deleted", rechecks=True, danger=True),
}

"""The split: valid records frozen into training and validation, read in lots so that many need little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from django.db import connection, transaction

from datasets_app.core.dedupe import DuplicateIndex, Said, prints_of, shared_lines
from datasets_app.core.readiness import counted
from datasets_app.core.records import Trace, user_turns
from datasets_app.core.topics import UNKNOWN
from datasets_app.counters import take_turn
from datasets_app.facts import dataset_facts
from datasets_app.models import VALID, DatasetRecord, RawRecord, Snapshot, SnapshotItem
from rft_project.jobs.models import Job
from rft_project.jobs.services import HasPk, enqueue
from wizard_app.core.splitting import Row, SplitError, split

from . import flow
from .items import TRAIN
from .items import VALID as VALID_PART
from .models import RFTJob, StepResult
from .schemas import SplitParams, SplitSummary
from .services import Refused, finish_step

AT_ONCE = 2_000  # records split while somebody waits for the page; more is a job
LOT = 2_000
NEAR_TWIN = 0.7  # user texts this alike are kept on one side of the split
CONVERSATION_KEYS = ("conversation_id", "session_id", "thread_id")
_RECORDS, _BODIES, _ITEMS = (model._meta.db_table for model in (DatasetRecord, RawRecord, SnapshotItem))

Entry = TypeVar("Entry")
#: Told what is going on, how many records it has seen and how many there are.
At = Callable[[str, int, int], None]


def start_split(run: RFTJob, params: SplitParams, *, by: HasPk | None) -> Job | None:
    """Split at once, or by a job where there is much to read; None where it is done. Raises Refused."""
    if _ready(run) <= AT_ONCE:
        split_run(run, params)
        StepResult.objects.filter(run=run, step=flow.SPLIT).update(job=None)
        return None
    with transaction.atomic():
        given = {"run": run.pk, "params": params.model_dump(mode="json")}
        job = enqueue("split", given, lock_key=f"run:{run.pk}:split", by=by)
        StepResult.objects.update_or_create(run=run, step=flow.SPLIT, defaults={"job": job})
    return job


def split_run(run: RFTJob, params: SplitParams, *, at: At = lambda what, done, total: None) -> SplitSummary:
    """Freeze the dataset's valid records into training and validation. The same records and params change nothing.

    Raises Refused, also while records wait to be checked: duplicates among them would stand on both sides.
    """
    total = _ready(run)
    keys: dict[str | int, int] = {}
    rows: list[Row] = []
    for record, row in _rows(run, total, at):
        keys[row.id] = record
        rows.append(row)
    try:
        made = split(rows, **params.model_dump())
    except SplitError as error:
        raise Refused(str(error)) from None
    parts = {TRAIN: [keys[key] for key in made.train], VALID_PART: [keys[key] for key in made.valid]}
    at("Freezing", total, total)
    with transaction.atomic():
        take_turn(run.dataset_id)  # what is hashed is what is copied
        content = _content_hash(parts, {pk: str(key) for key, pk in keys.items()})
        summary = SplitSummary(report=made.report, content_hash=content)
        if run.snapshot is None or run.snapshot.content_hash != content:
            _freeze(run, params, summary, parts)
        finish_step(run, flow.SPLIT, params, summary)
    return summary


def _ready(run: RFTJob) -> int:
    """How many records there are to split. Raises Refused."""
    facts = dataset_facts(run.dataset)
    if facts.unchecked:
        raise Refused(f"{counted(facts.unchecked, 'record')} not checked yet: sanitize the dataset, then split it.")
    if not facts.valid:
        raise Refused("The dataset has no valid records; sanitize it first.")
    return facts.valid


def _rows(run: RFTJob, total: int, at: At) -> Iterator[tuple[int, Row]]:
    """Record and what the split needs to know of it: topic, origin, and what must stay on one side with what.

    Rows go by import key, not by primary key: the same file splits the same way in every database.
    """
    records = run.dataset.records.filter(verdict=VALID).order_by("pk").select_related("raw")
    # System prompts and example turns that the records share must not make them twins.
    shared = shared_lines(user_turns(record.trace) for record in records[:LOT])
    index = DuplicateIndex(NEAR_TWIN, shared)
    seen: list[str] = []
    for lot in _lots(records.iterator(chunk_size=LOT)):
        traces = [record.trace for record in lot]
        prints = prints_of([Said.of(trace) for trace in traces], index.threshold, index.shared)
        numbers = range(len(seen), len(seen) + len(lot))
        seen += [record.import_key for record in lot]
        for number, record, trace, match in zip(numbers, lot, traces, index.add_all(numbers, prints), strict=True):
            twin = seen[match.kept_key if match is not None else number]
            yield record.pk, _row(record, trace, twin)
        at("Comparing records", len(seen), total)


def _row(record: DatasetRecord, trace: Trace, twin: str) -> Row:
    groups = [f"near:{twin}"]
    groups += [f"conversation:{trace.metadata[key]}" for key in CONVERSATION_KEYS if trace.metadata.get(key)]
    groups += [f"session:{record.session_id}"] if record.session_id else []
    topic = None if record.topic in (None, UNKNOWN) else record.topic
    return Row(record.import_key, topic, record.is_generated, tuple(groups))


def _content_hash(parts: dict[str, list[int]], keys: dict[int, str]) -> str:
    """Stands for which records are on which side and what they say. Raises Refused where some are no longer there."""
    hasher = hashlib.sha256()
    for part, records in parts.items():
        for lot in _lots(records):
            found = RawRecord.objects.filter(record__in=lot, record__verdict=VALID)
            bodies = dict(found.values_list("record", "body"))
            if len(bodies) < len(lot):
                raise Refused("Records of the dataset changed while they were split; split it again.")
            for record in lot:
                hasher.update(f"{part}:{keys[record]}:{bodies[record]}\n".encode())
    return hasher.hexdigest()


def _lots(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while lot := list(islice(rest, LOT)):
        yield lot


def _freeze(run: RFTJob, params: SplitParams, summary: SplitSummary, parts: dict[str, list[int]]) -> None:
    snapshot = Snapshot.objects.create(
        dataset=run.dataset,
        content_hash=summary.content_hash,
        params=params.model_dump(mode="json"),
        report=summary.report.model_dump(mode="json"),
    )
    with connection.cursor() as cursor:
        for part, records in parts.items():
            for lot in _lots(records):
                places = ", ".join(["%s"] * len(lot))
                cursor.execute(
                    f"INSERT INTO {_ITEMS} (snapshot_id, record_id, part, verdict, topic, body) "
                    f"SELECT %s, r.id, %s, r.verdict, COALESCE(NULLIF(r.topic, %s), ''), b.body FROM {_RECORDS} r "
                    f"JOIN {_BODIES} b ON b.record_id = r.id WHERE r.id IN ({places}) ORDER BY r.id",
                    [snapshot.pk, part, UNKNOWN, *lot],
                )
    run.snapshot = snapshot
    run.save(update_fields=["snapshot"])

"""Changing many records at once: what was selected, now or as a job, always with a way back.

A selection is the ticked records of a page, or everything a view's filters match up to the newest record there was: a
record that arrives later is not touched. The work goes upwards by primary key, slice by slice; each slice keeps the
rows as they were and changes them in one transaction, so that a killed worker does nothing twice and what a stop leaves
done can be undone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.http import QueryDict
from django.utils import timezone
from pydantic import BaseModel, ValidationError

from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import live_job
from rft_project.jobs.services import HasPk, enqueue
from rft_project.web.text import plural

from . import changes, joining, moments, privacy
from .actions import SANITIZE, last_run, start
from .bulk_actions import BULK_ACTIONS, BulkAction, Pick, Slice
from .filters import Where, matching
from .models import Change, Dataset, DatasetRecord
from .searching import keep_up
from .services import Refused

AT_ONCE = 200  # records changed or put back while somebody waits for the page; more is a job
BUSY = "Another change of many records is at work; wait for it, or stop it first."


class Selection(BaseModel, frozen=True):
    """Which records: ``ids``, or all that match ``where`` with a primary key of at most ``upto``."""

    ids: tuple[int, ...] = ()
    where: Where | None = None
    upto: int = 0

    @classmethod
    def all_matching(cls, dataset: Dataset, where: Where) -> Selection:
        return cls(where=where, upto=dataset.records.aggregate(newest=Max("pk"))["newest"] or 0)

    def records(self, dataset: Dataset) -> QuerySet[DatasetRecord]:
        if self.where is None:
            return dataset.records.order_by().filter(pk__in=self.ids)
        return matching(dataset, self.where).filter(pk__lte=self.upto)


class Plan(BaseModel):
    """``Change.params`` of a bulk change."""

    action: str
    selection: Selection
    values: dict[str, Any] = {}

    @property
    def how(self) -> BulkAction:
        return BULK_ACTIONS[self.action]

    @classmethod
    def of(cls, change: Change) -> Plan:
        return cls.model_validate(change.params)


def plan(dataset: Dataset, action: str, selection: Selection, values: dict[str, Any]) -> Plan:
    """Raises Refused for an action that is none and for values it cannot work with."""
    if action not in BULK_ACTIONS:
        raise Refused("Choose what to do with the records.")
    try:
        checked = BULK_ACTIONS[action].values.model_validate(values)
    except ValidationError as error:
        raise Refused(f"{BULK_ACTIONS[action].label}: fill in what it needs ({error.errors()[0]['loc'][0]}).") from None
    if sentence := BULK_ACTIONS[action].refuses(dataset, checked):
        raise Refused(sentence)
    return Plan(action=action, selection=selection, values=checked.model_dump())


def read_plan(dataset: Dataset, given: QueryDict, *, complete: bool) -> Plan:
    """A plan from the fields of a form: ``action``, ``id`` (each ticked) or ``all`` with the filters, and its values.

    ``complete``: a list that is missing is empty; else it is not chosen yet and has its default. Raises Refused.
    """
    action = BULK_ACTIONS.get(given.get("action", ""))
    if given.get("all"):
        selection = Selection.all_matching(
            dataset, Where.read({name: given.get(name, "") for name in Where.model_fields})
        )
        upto = given.get("upto", "")
        if upto.isdecimal() and len(upto) < 19:
            selection = selection.model_copy(update={"upto": min(selection.upto, int(upto))})
    else:
        selection = Selection(ids=[int(key) for key in given.getlist("id") if key.isdecimal() and len(key) < 19])
        if not selection.ids:
            raise Refused("Tick the records first, or choose all that match.")
    values: dict[str, Any] = {}
    for name, field in action.values.model_fields.items() if action is not None else ():
        if field.annotation is str and name in given:
            values[name] = given[name]
        elif field.annotation is not str and (complete or name in given):
            values[name] = given.getlist(name)
    return plan(dataset, given.get("action", ""), selection, values)


def begin(dataset: Dataset, wanted: Plan, *, by: HasPk | None) -> Change | None:
    """Change the records, at once where they are few, else by a job (``change.job``); None where nothing had to change.

    Pressing twice finds the change that is at work. Raises Refused while another one is.
    """
    params = wanted.model_dump(mode="json")
    running = live_job(lock_key(dataset))
    if running is not None:
        mine = Change.objects.filter(job=running, params=params).first()
        if mine is None:
            raise Refused(BUSY)
        return mine
    if wanted.how.scope == changes.CONTENT and _checking(dataset):
        raise Refused("The records are being checked just now; do this when that has ended.")
    few = wanted.how.choose is None and wanted.selection.records(dataset)[: AT_ONCE + 1].count() <= AT_ONCE
    sentence = wanted.how.sentence(wanted.how.values.model_validate(wanted.values))
    with transaction.atomic():
        change = changes.begin(dataset, wanted.action, sentence, scope=wanted.how.scope, by=by, params=params)
        if few:
            step(change, wanted, 0)
            return finish(change, by=by)
        change.job = enqueue("bulk", {"change": change.pk, "dataset": dataset.pk}, lock_key=lock_key(dataset), by=by)
        change.save(update_fields=["job"])
    return change


def _checking(dataset: Dataset) -> bool:
    """A check that is running has read payloads it has not written the verdicts of yet."""
    running = last_run(dataset, SANITIZE)
    return running is not None and running.job.is_live


def redact(dataset: Dataset, kind: str, values: Sequence[int] = (), *, by: HasPk | None) -> Change | None:
    """Put placeholders in the place of a kind of personal data or secrets, or of some ``values`` of it."""
    selection = Selection.all_matching(dataset, Where(pii=kind))
    return begin(dataset, plan(dataset, "redact", selection, {"kinds": [kind], "values": list(values)}), by=by)


def lock_key(dataset: Dataset) -> str:
    return f"dataset:{dataset.pk}:bulk"


def step(change: Change, wanted: Plan, last: int, picked: list[Pick] | None = None) -> tuple[int, int]:
    """Change the next records above ``last``; needs a transaction and the dataset's turn.

    ``picked``: what ``how.choose`` found, in order. Returns how many records were looked at, and the last of them, or
    the first of the last pick (0 when there was none left).
    """
    how, dataset = wanted.how, change.dataset
    if picked is None:
        records = wanted.selection.records(dataset).filter(pk__gt=last)
        keys = list(records.order_by("pk").values_list("pk", flat=True)[: how.size])
        done, records = keys[-1:], records.filter(pk__lte=keys[-1] if keys else last)
    else:
        picks = _next_of(picked, last, how.size)
        done, keys = [pick[0] for pick in picks[-1:]], [key for pick in picks for key in pick]
        records = dataset.records.order_by().filter(pk__in=keys)
    if not done:
        return 0, 0
    how.run(Slice(change, dataset, records, last, how.values.model_validate(wanted.values)))
    return len(keys), done[0]


def _next_of(picked: list[Pick], last: int, size: int) -> list[Pick]:
    """Picks after the one that starts with ``last``: as many as hold ``size`` records together, one at least."""
    rest = picked[bisect_right(picked, last, key=lambda pick: pick[0]) :][:size]
    held = accumulate(len(pick) for pick in rest)
    return [pick for pick, count in zip(rest, held, strict=True) if count <= size] or rest[:1]


def finish(change: Change, *, by: HasPk | None) -> Change | None:
    """What follows a change that is complete, or stopped half-way; one that changed nothing is forgotten."""
    change.refresh_from_db()
    if not (change.count or change.new):
        change.delete()
        return None
    note(change, f"bulk {change.kind}", by)
    follow_up(change, by)
    return change


def follow_up(change: Change, by: HasPk | None) -> None:
    """What was a duplicate of a changed record may be one no longer, or the other way round; and texts have changed."""
    dataset, action = change.dataset, BULK_ACTIONS.get(change.kind)
    if change.scope != changes.TOPIC:
        keep_up(dataset.pk)
        privacy.follow(change, by)
        joining.follow(change)
    moments.note(dataset.pk, f"Undone: {change.sentence}" if change.undone_at else change.sentence)
    if action is not None and action.rechecks and dataset.action_runs.filter(action=SANITIZE).exists():
        start(dataset, SANITIZE, {}, by=by)


def note(change: Change, what: str, by: HasPk | None) -> None:
    dataset = change.dataset
    detail = f"{change.sentence}: {plural(change.count, 'record')}"
    AuditEntry.write(what, dataset, workspace=dataset.workspace, actor=by, detail=detail)  # type: ignore[arg-type]


def undo(change: Change, *, by: HasPk | None) -> changes.Undone | None:
    """Put the records back, at once where they are few; None where a job does it. Raises Refused.

    An undo of something that is undone is no error: nothing is done again.
    """
    if change.undone_at is None and not changes.can_undo(change):
        old = change.created_at < timezone.now() - changes.KEPT
        raise Refused("This is more than 30 days ago; it cannot be undone any more." if old else BUSY)
    with transaction.atomic():
        if change.count + change.new > AT_ONCE and change.undone_at is None:
            params = {"change": change.pk, "dataset": change.dataset_id}
            job = enqueue("undo", params, lock_key=lock_key(change.dataset), by=by)
            if job.kind != "undo" or job.params["change"] != change.pk:
                raise Refused(BUSY)
            return None
        done = changes.undo(change, by=by)
        if done.restored or done.left:
            note(change, "undo", by)
            follow_up(change, by)
    return done


def last_of(dataset: Dataset, by: HasPk) -> Change | None:
    """The newest change of somebody that still stands."""
    return dataset.changes.select_related("dataset__workspace", "job").filter(by=by.pk, undone_at=None).first()


def undone_sentence(done: changes.Undone) -> str:
    if not done.restored and not done.left:
        return "This is undone already."
    sentence = f"{plural(done.restored, 'record')} {'is' if done.restored == 1 else 'are'} as before."
    if done.left:
        many = "was left, because it has" if done.left == 1 else "were left, because they have"
        sentence += f" {done.left:,} {many} changed again since."
    return sentence

"""One record edited by a person: checked before it is kept, with a new verdict at once, and a way back."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

from django.db import transaction

from datasets_app.core.records import Trace, Unreadable, decode_json
from datasets_app.core.topics import UNKNOWN
from rft_project.jobs.services import HasPk

from . import changes, privacy
from .bulk_actions import write_payloads
from .models import Change, DatasetRecord, RawRecord
from .searching import write_words
from .services import Refused

MEANWHILE = "Somebody else changed this record meanwhile; look at it as it is now, and make your change again."


def mark_of(record: DatasetRecord) -> str:
    """Tells one state of the payload from another."""
    return blake2b(record.raw.body.encode(), digest_size=8).hexdigest()


def parse(text: str, field: str) -> Any:
    """JSON somebody typed. Raises Refused that names the field."""
    try:
        return decode_json(text)
    except Unreadable as error:
        raise Refused(str(error), field) from None


def messages_of(text: str, field: str) -> list[dict[str, Any]]:
    """A list of messages somebody typed; what the rules say of them is the verdict's business. Raises Refused."""
    found = parse(text, field)
    if not isinstance(found, list):
        raise Refused("Write a list: [{…}, {…}].", field)
    for number, message in enumerate(found, start=1):
        if not isinstance(message, dict):
            raise Refused(f"Message {number} must be an object: {{…}}.", field)
        if not isinstance(message.get("role"), str):
            raise Refused(f"Message {number} needs a role, such as user.", field)
        if not isinstance(message.get("content"), str | list | None):
            raise Refused(f"The content of message {number} must be text or a list of parts.", field)
    return found


def with_last_user_text(trace: Trace, text: str) -> Trace:
    """The trace with another text in its last user message. Raises Refused where it has none."""
    messages = list(trace.input.get("messages") or [])
    for at in range(len(messages) - 1, -1, -1):
        if isinstance(messages[at], dict) and messages[at].get("role") == "user":
            messages[at] = {**messages[at], "content": text}
            return replace(trace, data={**trace.data, "input": {**trace.input, "messages": messages}})
    raise Refused("There is no user message in this record; edit its messages as JSON.", "text")


def with_json(trace: Trace, messages: str, answer: str, reference: str) -> Trace:
    """The trace with messages, answer and reference as they were typed; an empty reference is none. Raises Refused."""
    data = {
        "input": {**trace.input, "messages": messages_of(messages, "messages")},
        "output": {**trace.output, "messages": messages_of(answer or "[]", "answer")},
    }
    known = reference.strip()
    value = parse(known, "reference") if known else None
    return replace(trace, data=data, reference_answer=value, has_reference=bool(known))


def edit(record: DatasetRecord, trace: Trace, *, seen: str, by: HasPk | None) -> Change | None:
    """Keep ``trace`` as the record's payload; None where it is what stands there. Raises Refused.

    ``seen``: ``mark_of`` the state that the edit was made from.
    """
    dataset = record.dataset
    with transaction.atomic():
        change = changes.begin(dataset, "edit", f"Record {record.pk} edited", scope=changes.CONTENT, by=by)
        record.raw = RawRecord.objects.get(pk=record.pk)
        if mark_of(record) != seen:
            raise Refused(MEANWHILE)
        if record.trace == trace:
            change.delete()
            return None
        changes.keep(change, dataset.records.filter(pk=record.pk))
        write_payloads(dataset, {record.pk: trace})
        write_words(list(dataset.records.filter(pk=record.pk).select_related("raw")))
        privacy.follow(change, by)
    return change


def set_topic(record: DatasetRecord, topic: str, *, by: HasPk | None) -> Change | None:
    """A person's own answer: it stays through every later run, and teaches it; None where it stands so already.

    Raises Refused where the dataset has no such topic.
    """
    dataset = record.dataset
    if topic not in (*dataset.topics.leaves(), UNKNOWN):
        raise Refused("Choose one of the topics of this dataset.")
    mine = dataset.records.filter(pk=record.pk).exclude(topic=topic, method="manual")
    with transaction.atomic():
        change = changes.begin(dataset, "set_topic", f"Record {record.pk} moved to {topic}", scope=changes.TOPIC, by=by)
        if not changes.keep(change, mine):
            change.delete()
            return None
        mine.update(topic=topic, method="manual", confidence=1.0, needs_review=False)
    return change

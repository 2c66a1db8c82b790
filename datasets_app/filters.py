"""Which records are meant: the filters of the list, as they stand in the address and in a job's parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from pydantic import BaseModel

from datasets_app.core.pii.kinds import KINDS
from datasets_app.core.records import clean_text
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topics import UNKNOWN

from .models import DUPLICATE, GENERATED, INVALID, MANUAL, TRACE, VALID, Dataset, DatasetRecord, Finding
from .models.generating import KEY
from .searching import search

UNSORTED = "-"  # stands for "no topic yet", which no topic is called
VERDICTS = ((VALID, "Valid"), (INVALID, "Invalid"), (DUPLICATE, "Duplicate"))
SOURCES = ((TRACE, "From traces"), (GENERATED, "Generated"), (MANUAL, "Written by hand"))
REVIEW = Q(needs_review=True) | Q(topic=UNKNOWN)


class Where(BaseModel, frozen=True):
    """Filters of one view of the records; "" stands for any. Values that mean nothing are ignored when it is read."""

    verdict: str = ""
    code: str = ""
    topic: str = ""
    source: str = ""
    format: str = ""
    review: str = ""
    batch: str = ""
    run: str = ""  # primary key of a generation run
    pii: str = ""  # a kind of personal data or secrets that the records hold
    q: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Where:
        """From the parameters of an address."""
        given = {name: clean_text(query.get(name, "").strip()) for name in cls.model_fields}
        known: dict[str, Collection[str]] = {
            "verdict": dict(VERDICTS),
            "source": dict(SOURCES),
            "code": CODES,
            "pii": KINDS,
            "review": {"1": ""},
        }
        for name, values in known.items():
            if given[name] not in values:
                given[name] = ""
        for name in ("batch", "run"):
            if not (given[name].isdecimal() and len(given[name]) < 19):
                given[name] = ""
        return cls(**{name: value[:200] for name, value in given.items()})

    @property
    def chosen(self) -> dict[str, str]:
        """Only what narrows the view."""
        return {name: value for name, value in self.model_dump().items() if value}

    def address(self, **more: object) -> str:
        """The query string of this view, with ``more`` parameters."""
        return urlencode({**self.chosen, **{name: value for name, value in more.items() if value not in ("", None)}})


def narrowed(records: QuerySet[DatasetRecord], where: Where) -> QuerySet[DatasetRecord]:
    """``records`` that the filters let through, the text search apart."""
    for name in ("verdict", "code", "source", "format"):
        if value := getattr(where, name):
            records = records.filter(**{name: value})
    if where.topic:
        records = records.filter(topic=None if where.topic == UNSORTED else where.topic)
    if where.batch:
        records = records.filter(batch_id=int(where.batch))
    if where.run:
        records = records.filter(source=GENERATED, import_key__startswith=f"{KEY}:{int(where.run)}:")
    if where.pii:
        held = Finding.objects.filter(value__kind=where.pii, value__false_alarm=False)
        records = records.filter(pk__in=held.values("record"))
    return records.filter(REVIEW, verdict=VALID) if where.review else records


def matching(dataset: Dataset, where: Where) -> QuerySet[DatasetRecord]:
    """All records of ``dataset`` that the filters mean, in no order."""
    records = narrowed(dataset.records.order_by(), where)
    return records.filter(pk__in=search(dataset, where.q).values("record")) if where.q else records

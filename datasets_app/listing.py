"""The list of records: newest first, a page at a time by primary key, however many there are.

No page counts rows or steps over them. Where an index has no order of its own for a filter (a topic over all verdicts),
the page is merged from lanes, one per value, each of which has. Counts come from the counters; what those do not know
(text, file, format, what the records hold) is counted up to ``MOST_COUNTED``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from datasets_app.core.pii.kinds import KINDS
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topics import UNKNOWN

from . import searching
from .filters import SOURCES, UNSORTED, VERDICTS, Where, narrowed
from .keys import among
from .models import VALID, Dataset, DatasetRecord, RecordCount

PAGE = 50
MOST_COUNTED = 1000  # counting further costs more than the figure is worth
MOST_FOUND = 200  # the same of a text search, where each one costs more
COUNTED_BY = ("verdict", "code", "topic", "source", "needs_review")
_KINDS = f"SELECT {', '.join(COUNTED_BY)}, n FROM {RecordCount._meta.db_table} WHERE dataset_id = %s"


class Row(NamedTuple):
    """What a line of the list shows."""

    pk: int
    preview: str
    topic: str | None
    confidence: float | None
    needs_review: bool
    verdict: str
    code: str
    source: str
    tokens: int


@dataclass(frozen=True)
class Listing:
    """One page. ``older`` and ``newer`` are the parameters that lead on, {} where there is nothing.

    ``found``: how many records have the text that was searched, at most one more than ``MOST_FOUND``; None where the
    page did not look at them from the newest on.
    """

    rows: list[Row] = field(default_factory=list)
    older: dict[str, Any] = field(default_factory=dict)
    newer: dict[str, Any] = field(default_factory=dict)
    found: int | None = None


def lanes(dataset: Dataset, where: Where) -> list[QuerySet[DatasetRecord]]:
    """Sets of records that each have an index in the order of the list; together they are what ``where`` means."""
    records = narrowed(dataset.records.order_by(), where.model_copy(update={"review": ""}))
    if where.review:
        valid = records.filter(verdict=VALID)
        return [valid.filter(topic=UNKNOWN), valid.filter(needs_review=True)]
    if where.topic and not where.verdict:
        return [records.filter(verdict=verdict) for verdict, _ in VERDICTS]
    return [records]


def _rows(
    sets: list[QuerySet[DatasetRecord]],
    most: int,
    *,
    before: int = 0,
    after: int | None = None,
    descending: bool = True,
) -> list[Row]:
    found: dict[int, Row] = {}
    for records in sets:
        if before:
            records = records.filter(pk__lt=before)
        if after is not None:
            records = records.filter(pk__gt=after)
        order = records.order_by("-pk" if descending else "pk")
        found.update((values[0], Row(*values)) for values in order.values_list(*Row._fields)[:most])
    chosen = sorted(found, reverse=descending)[:most]
    return [found[pk] for pk in sorted(chosen, reverse=True)]


def page_of(dataset: Dataset, where: Where, query: Mapping[str, str]) -> Listing:
    """``query``: ``before`` or ``after`` a primary key, or ``last`` for the oldest page."""
    bounds = {n: int(v) for n in ("after", "before") if (v := query.get(n, "")).isdecimal() and len(v) < 19}
    bounds = dict([*bounds.items()][:1])
    if where.q:
        return _searched(dataset, where, bounds)
    sets = lanes(dataset, where)
    if "after" in bounds or query.get("last"):
        rows = _rows(sets, PAGE + 1, after=bounds.get("after", 0), descending=False)
        if len(rows) > PAGE or query.get("last"):
            more, rows = len(rows) > PAGE, rows[-PAGE:]
            older = {} if query.get("last") or not rows else {"before": rows[-1].pk}
            return Listing(rows, older, {"after": rows[0].pk} if more else {})
        bounds = {}  # the newest page is reached: show it whole
    rows = _rows(sets, PAGE + 1, before=bounds.get("before", 0))
    shown = rows[:PAGE]
    older = {"before": shown[-1].pk} if len(rows) > PAGE else {}
    return Listing(shown, older, {"after": shown[0].pk if shown else bounds["before"]} if "before" in bounds else {})


def _searched(dataset: Dataset, where: Where, bounds: dict[str, int]) -> Listing:
    """Matches of the text that the other filters let through: they look at the next ``NEWEST`` matches at a time."""
    filtered, ascending = where.chosen.keys() != {"q"}, "after" in bounds
    most = searching.NEWEST if filtered else PAGE + 1 if bounds else MOST_FOUND + 1
    keys = searching.newest(dataset, where.q, most, **bounds)
    found = among(keys if filtered else keys[: PAGE + 1])
    records = narrowed(dataset.records.order_by().filter(pk__in=found), where)
    rows = _rows([records], PAGE + 1, descending=not ascending)
    if ascending and len(rows) <= PAGE and len(keys) < most:
        return _searched(dataset, where, {})
    shown = rows[-PAGE:] if ascending else rows[:PAGE]
    newer: dict[str, Any] = {"after": shown[0].pk if shown else bounds.get("before", 0)} if bounds else {}
    if len(rows) > PAGE or ascending:
        older = {"before": shown[-1].pk} if shown else {}
    else:
        older = {"before": keys[-1]} if filtered and len(keys) == most else {}
    return Listing(shown, older, newer, None if filtered or bounds else len(keys))


# ---------------------------------------------------------------- how many


class Counted:
    """How many records there are of each kind, from the counters: one query for all facets and the total."""

    def __init__(self, dataset: Dataset) -> None:
        with connection.cursor() as cursor:  # there may be thousands of kinds: they are read as they are
            cursor.execute(_KINDS, [dataset.pk])
            self._kinds = cursor.fetchall()

    def _matching(self, where: Where, without: str = "") -> list[tuple[Any, ...]]:
        wanted = [
            (at, "" if value == UNSORTED and name == "topic" else value)
            for at, name in enumerate(COUNTED_BY[:4])
            if (value := getattr(where, name)) and name != without
        ]
        kinds = self._kinds
        for at, value in wanted:
            kinds = [kind for kind in kinds if kind[at] == value]
        if where.review and without != "review":
            kinds = [kind for kind in kinds if kind[0] == VALID and (kind[4] or kind[2] == UNKNOWN)]
        return kinds

    def total(self, where: Where) -> int:
        """Records that the filters mean, those apart that counters do not know (``exact``)."""
        return sum(kind[-1] for kind in self._matching(where))

    def facet(self, where: Where, name: str) -> dict[str, int]:
        """Records per value of one filter, under the other filters."""
        counts: dict[str, int] = {}
        if name == "review":
            return {"1": self.total(where.model_copy(update={"review": "1"}))}
        at = COUNTED_BY.index(name)
        for kind in self._matching(where, without=name):
            value = (kind[at] or UNSORTED) if name == "topic" else kind[at]
            counts[value] = counts.get(value, 0) + kind[-1]
        return counts


def exact(where: Where) -> bool:
    """Do the counters know how many records these filters mean?"""
    return not (where.q or where.format or where.batch or where.pii or where.run)


def counted(dataset: Dataset, where: Where, counts: Counted, page: Listing) -> str:
    """ "142", or "1,000+" where nobody has counted them all."""
    if exact(where):
        return f"{counts.total(where):,}"
    if where.q:
        if where.chosen.keys() != {"q"}:  # to count them all would mean to look at every match of the text
            return f"{len(page.rows):,}{'+' if page.older or page.newer else ''}"
        number = page.found if page.found is not None else len(searching.newest(dataset, where.q, MOST_FOUND + 1))
        return f"{min(number, MOST_FOUND):,}{'+' if number > MOST_FOUND else ''}"
    number = sum(records[: MOST_COUNTED + 1].count() for records in lanes(dataset, where))
    return f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"


# ---------------------------------------------------------------- filters as the page offers them


@dataclass(frozen=True)
class Filter:
    name: str
    label: str
    value: str
    choices: list[tuple[str, str]]


def filters_of(
    topics: list[str], where: Where, counts: Counted, files: list[tuple[int, str, dict[str, int]]], held: list[str]
) -> list[Filter]:
    """The selects above the list; each choice says how many records it would show under the other filters.

    ``topics``: those a record may be under. ``files``: (primary key, name, formats) of the dataset's imports, newest
    first. ``held``: kinds of personal data and secrets that its records hold.
    """
    codes = [(code, title) for code, (title, _) in CODES.items()]
    offered = [
        ("verdict", "Verdict", list(VERDICTS)),
        ("code", "Problem", codes),
        ("topic", "Topic", [*((name, name) for name in topics), (UNSORTED, "not sorted yet")]),
        ("review", "Review", [("1", "Needs review")]),
        ("source", "Source", list(SOURCES)),
    ]
    filters = []
    for name, label, choices in offered:
        there = counts.facet(where, name)
        value = getattr(where, name)
        shown = [
            (v, f"{text} ({there[v]:,})" if v in there else text) for v, text in choices if v in there or v == value
        ]
        filters.append(Filter(name, label, value, shown))
    formats = sorted({name for _, _, found in files for name in found})
    filters.append(Filter("format", "Format", where.format, [(name, name) for name in formats]))
    if where.run:
        filters.append(Filter("run", "Generation", where.run, [(where.run, f"Run {where.run}")]))
    filters.append(Filter("batch", "File", where.batch, [(str(pk), name[:60]) for pk, name, _ in files]))
    kinds = [slug for slug in KINDS if slug in held or slug == where.pii]
    filters.append(Filter("pii", "Holds", where.pii, [(slug, KINDS[slug].title) for slug in kinds]))
    return filters


def newest_rows(dataset: Dataset, most: int) -> list[Row]:
    """The newest records, whatever they are."""
    return _rows(lanes(dataset, Where()), most)

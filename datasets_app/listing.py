"""The list of records: filters from the URL, newest first, keyset pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from datasets_app.core.records import clean_text
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topics import UNKNOWN

from .models import DUPLICATE, INVALID, VALID, Dataset, DatasetRecord

PAGE = 25
MOST_COUNTED = 1000  # counting further costs more than the figure is worth
CHOICES = {
    "verdict": ((VALID, "Valid"), (INVALID, "Invalid"), (DUPLICATE, "Duplicate")),
    "review": (("1", "Needs review"),),
}


@dataclass(frozen=True)
class Filter:
    name: str
    label: str
    value: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RecordsPanel:
    dataset: Dataset
    records: list[DatasetRecord]
    filters: list[Filter]
    text: str
    counted: str
    older: str  # query of the next page, '' on the last
    newest: str  # query of the first page, '' when on it
    filtered: bool


def _filters(dataset: Dataset, query: Mapping[str, str]) -> list[Filter]:
    topics = tuple((name, name) for name in [*dataset.topics.leaves(), UNKNOWN])
    codes = tuple((code, title) for code, (title, _) in CODES.items())
    offered = (
        ("verdict", "Verdict", CHOICES["verdict"]),
        ("code", "Problem", codes),
        ("topic", "Topic", topics),
        ("review", "Review", CHOICES["review"]),
    )
    return [
        Filter(name, label, query.get(name, "") if query.get(name) in dict(choices) else "", choices)
        for name, label, choices in offered
    ]


def _matching(dataset: Dataset, filters: list[Filter], text: str) -> QuerySet[DatasetRecord]:
    records = dataset.records.all()
    for chosen in filters:
        if not chosen.value:
            continue
        if chosen.name == "review":
            records = records.filter(Q(needs_review=True) | Q(topic=UNKNOWN), verdict=VALID)
        else:
            records = records.filter(**{chosen.name: chosen.value})
    return records.filter(preview__icontains=text) if text else records


def records_panel(dataset: Dataset, query: Mapping[str, str]) -> RecordsPanel:
    """``query``: the page's GET parameters; unknown names and values are ignored."""
    text = clean_text(query.get("q", "").strip()[:200])
    filters = _filters(dataset, query)
    matching = _matching(dataset, filters, text)
    before = query.get("before", "")
    page = matching.order_by("-pk")
    if before.isdecimal() and len(before) < 19:
        page = page.filter(pk__lt=int(before))
    found = list(page[: PAGE + 1])
    kept = {chosen.name: chosen.value for chosen in filters if chosen.value} | ({"q": text} if text else {})
    number = matching.order_by()[: MOST_COUNTED + 1].count()
    counted = f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"
    older = urlencode({**kept, "before": found[PAGE - 1].pk}) if len(found) > PAGE else ""
    newest = (urlencode(kept) or "q=") if before else ""
    return RecordsPanel(dataset, found[:PAGE], filters, text, counted, older, newest, bool(kept))

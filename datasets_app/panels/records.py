"""The page of records, its live region, and the history of changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from datasets_app import bulk, changes, listing, privacy, searching
from datasets_app.bulk_actions import BULK_ACTIONS
from datasets_app.core.topics import UNKNOWN
from datasets_app.filters import Where
from datasets_app.listing import Filter, Listing, Row
from datasets_app.models import Change, Dataset
from rft_project.jobs.models import Job, live_job
from rft_project.web.text import joined, number, score, visible

TONES = {"valid": "good", "duplicate": "warn", "invalid": "bad"}
SHORT = 8  # records on the dataset's own page
RECENT = timedelta(hours=1)  # as long as the page offers the undo of the last change by itself
HISTORY = 50


_PICK = '<td class="pick"><input type="checkbox" name="id" value="{0}" aria-label="Select record {0}"></td>'
_LINE = (
    '<td class="grow"><a class="rowlink" href="{1}{0}/" data-drawer hx-get="{1}{0}/" hx-target="#drawer">'
    '<span class="clamp">{2}</span></a></td><td><span data-topic>{3}</span>{4}</td><td class="n"{5}</td>'
    '<td data-l="Verdict"><span class="badge {6}">{7}</span></td><td data-l="Source">{8}</td>'
    '<td class="n" data-l="Tokens">{9}</td></tr>'
)
_CHECK, _NONE = SafeString(' <span class="badge warn">check</span>'), SafeString(">")


def record_rows(dataset: Dataset, rows: Iterable[Row], *, pick: bool) -> SafeString:
    """Lines of the table in one piece: a loop of the template over each cell would cost most of a page."""
    base = reverse("datasets:record", args=[dataset.pk, 0]).removesuffix("0/")
    line = f"<tr>{_PICK if pick else ''}{_LINE}"
    return joined(line, (_cells(base, row) for row in rows))


def _cells(base: str, row: Row) -> tuple[Any, ...]:
    sure = SafeString(f' data-l="Confidence">{score(row.confidence)}') if row.confidence is not None else _NONE
    said = visible(row.preview) if row.preview else "(no user message)"
    check = _CHECK if row.needs_review else ""
    tone, word = TONES.get(row.verdict, ""), row.code or row.verdict
    return row.pk, base, said, row.topic or "", check, sure, tone, word, row.source, number(row.tokens)


@dataclass(frozen=True)
class RecordsPanel:
    dataset: Dataset
    where: Where
    filters: list[Filter]
    counted: str
    page: Listing
    rows: SafeString
    lag: str
    actions: list[tuple[str, str]]  # names with their labels
    topics: list[tuple[str, str]]
    review: int
    invalid: int

    @property
    def filtered(self) -> bool:
        return bool(self.where.chosen)

    @property
    def shown(self) -> int:
        return len(self.page.rows)

    @property
    def older(self) -> str:
        return self.where.address(**self.page.older) if self.page.older else ""

    @property
    def newer(self) -> str:
        return self.where.address(**self.page.newer) if self.page.newer else ""

    @property
    def newest(self) -> str:
        return self.where.address() or "q="

    @property
    def oldest(self) -> str:
        return "" if self.where.q else self.where.address(last=1)


def records_panel(dataset: Dataset, query: Mapping[str, str]) -> RecordsPanel:
    """``query``: the page's GET parameters; unknown names and values are ignored."""
    where = Where.read(query)
    counts, topics = listing.Counted(dataset), [*dataset.topics.leaves(), UNKNOWN]
    files = list(dataset.batches.values_list("pk", "filename", "formats")[:50])
    page = listing.page_of(dataset, where, query)
    return RecordsPanel(
        dataset=dataset,
        where=where,
        filters=listing.filters_of(topics, where, counts, files, privacy.kinds_held(dataset)),
        counted=listing.counted(dataset, where, counts, page),
        page=page,
        rows=record_rows(dataset, page.rows, pick=True),
        lag=searching.lag(dataset) if where.q else "",
        actions=[(name, action.label) for name, action in BULK_ACTIONS.items()],
        topics=[(topic, topic) for topic in topics],
        review=counts.total(Where(review="1")),
        invalid=counts.total(Where(verdict="invalid")),
    )


@dataclass(frozen=True)
class NewestPanel:
    """The short list on the dataset's page."""

    dataset: Dataset
    rows: SafeString
    total: int


def newest_panel(dataset: Dataset, total: int) -> NewestPanel:
    rows = listing.newest_rows(dataset, SHORT)
    return NewestPanel(dataset, record_rows(dataset, rows, pick=False), total)


# ---------------------------------------------------------------- work on many records, and the way back


@dataclass(frozen=True)
class BulkWorkPanel:
    """What is being done to many records, or the last change with its undo."""

    dataset: Dataset
    job: Job | None
    change: Change | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def failed(self) -> bool:
        return self.job is not None and bool(self.job.error_message)

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


def bulk_work_panel(dataset: Dataset) -> BulkWorkPanel:
    page = reverse("datasets:records", args=[dataset.pk])
    job = live_job(bulk.lock_key(dataset))
    if job is not None:
        return BulkWorkPanel(dataset, job, None, page)
    last = dataset.changes.first()  # its job is looked at only where it is recent
    if last is None or last.created_at < timezone.now() - RECENT or not changes.can_undo(last):
        return BulkWorkPanel(dataset, None, None, page)
    failed = last.job if last.job is not None and last.job.error_message else None
    return BulkWorkPanel(dataset, failed, last, page)


@dataclass(frozen=True)
class ChangesPanel:
    dataset: Dataset
    lines: list[tuple[Change, bool]]  # with whether it can be undone
    older: int


def changes_panel(dataset: Dataset, before: str = "") -> ChangesPanel:
    found = dataset.changes.select_related("job", "by", "undone_by")
    if before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    lines = [(change, changes.can_undo(change)) for change in found[: HISTORY + 1]]
    older = lines[HISTORY - 1][0].pk if len(lines) > HISTORY else 0
    return ChangesPanel(dataset, lines[:HISTORY], older)

"""What the pages of imports show: one that runs or has ended, and the lines that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse

from datasets_app.actions import REREAD, last_run
from datasets_app.models import ImportBatch, RejectedLine
from datasets_app.staging import waiting
from rft_project.jobs.models import Job
from rft_project.web.text import plural

PAGE = 50


@dataclass(frozen=True)
class ImportPanel:
    """``following``: another file that waits to be looked at."""

    batch: ImportBatch
    page: str
    following: ImportBatch | None

    @property
    def next_title(self) -> str:
        return "Look at the next file." if self.following else "Check the records."

    @property
    def next_why(self) -> str:
        if self.following:
            return f"{self.following.filename} waits to be imported."
        return "Sanitizing sets aside what would fail a training run, and says why."

    @property
    def next_url(self) -> str:
        if self.following:
            return reverse("datasets:review_import", args=[self.batch.dataset_id, self.following.pk])
        return self.batch.dataset.get_absolute_url()

    @property
    def next_label(self) -> str:
        return "Look at it" if self.following else "Open the dataset"

    @property
    def collapse_url(self) -> str:
        """A look at what would go if repeated history were collapsed, of the records of this file."""
        return self._look_at("collapse")

    @property
    def join_url(self) -> str:
        """A look at what the sessions of this file would become if their records were joined."""
        return self._look_at("join")

    def _look_at(self, action: str) -> str:
        query = urlencode({"action": action, "all": 1, "batch": self.batch.pk})
        return f"{reverse('datasets:bulk_change', args=[self.batch.dataset_id])}?{query}"

    @property
    def spread_title(self) -> str:
        are = "is logged as several records" if self.batch.spread == 1 else "are logged as several records each"
        return f"{plural(self.batch.spread, 'conversation')} {are}."

    @property
    def is_live(self) -> bool:
        return self.batch.job is not None and self.batch.job.is_live

    @property
    def unfinished(self) -> bool:
        """It failed or was stopped on the way."""
        return not self.is_live and self.batch.finished_at is None

    @property
    def version(self) -> int:
        return self.batch.job.version if self.batch.job is not None else 0


def import_panel(batch: ImportBatch) -> ImportPanel:
    page = reverse("datasets:review_import", args=[batch.dataset_id, batch.pk])
    return ImportPanel(batch, page, waiting(batch.dataset).exclude(pk=batch.pk).first())


@dataclass(frozen=True)
class RejectedPanel:
    """``kinds``: reasons of the lines that are still unreadable, with how many there are. ``fixed`` shows the others.

    ``older`` and ``first`` are queries of the next and the first page, '' where one is there.
    """

    batch: ImportBatch
    kinds: list[tuple[str, int]]
    kind: str
    shows_fixed: bool
    lines: list[RejectedLine]
    records: dict[str, int]  # import key -> record
    still: int
    fixed: int
    more: str
    first: str


def rejected_panel(batch: ImportBatch, query: Mapping[str, str]) -> RejectedPanel:
    """``query``: ``kind``, ``fixed`` and ``after`` (a line number) of the address; what is unknown is ignored."""
    still, fixed = batch.rejected.filter(fixed_at=None), batch.rejected.exclude(fixed_at=None)
    kinds = [(row["kind"], row["n"]) for row in still.order_by().values("kind").annotate(n=Count("pk")).order_by("-n")]
    kind = query.get("kind", "") if query.get("kind") in dict(kinds) else ""
    shows_fixed, after = "fixed" in query, query.get("after", "")
    lines = fixed if shows_fixed else still.filter(kind=kind) if kind else still
    if after.isdecimal() and len(after) < 19:
        lines = lines.filter(line__gt=int(after))
    found = list(lines.order_by("line")[: PAGE + 1])
    kept = {"fixed": "1"} if shows_fixed else {"kind": kind} if kind else {}
    keys = [line.fixed_key for line in found if line.fixed_key]
    records = batch.dataset.records.filter(import_key__in=keys).values_list("import_key", "pk") if keys else ()
    return RejectedPanel(
        batch=batch,
        kinds=kinds,
        kind=kind,
        shows_fixed=shows_fixed,
        lines=found[:PAGE],
        records=dict(records),
        still=sum(n for _, n in kinds),
        fixed=fixed.count(),
        more=urlencode({**kept, "after": found[PAGE - 1].line}) if len(found) > PAGE else "",
        first=(urlencode(kept) or "kind=") if after else "",
    )


@dataclass(frozen=True)
class RereadPanel:
    """The last time that this file's lines were read again."""

    batch: ImportBatch
    job: Job | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"

    @property
    def result(self) -> dict[str, int]:
        """What came of it; {} while it runs and where it did not end well."""
        return self.job.result or {} if self.job is not None and not self.is_live else {}


def reread_panel(batch: ImportBatch) -> RereadPanel:
    run = last_run(batch.dataset, REREAD)
    job = run.job if run is not None and run.job.params.get("batch") == batch.pk else None
    return RereadPanel(batch, job, reverse("datasets:rejected", args=[batch.dataset_id, batch.pk]))

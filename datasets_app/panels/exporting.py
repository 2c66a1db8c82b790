"""What the export page and the page of one exported file show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from datasets_app.core.exporting.base import ExportFormat
from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.exporting.report import Finding, findings
from datasets_app.core.topics import UNKNOWN
from datasets_app.exports import KEPT_DAYS, chosen_of, download_name
from datasets_app.filters import VERDICTS
from datasets_app.forms import ExportForm
from datasets_app.models import Dataset, Export, SnapshotItem
from rft_project.jobs.models import State
from rft_project.web.parts import Check
from rft_project.web.text import plural

LISTED = 50  # exports on the page
OFFERED = 10  # snapshots to choose from
ASKED = ("format", "source", "verdict", "topic")  # fields that an address may fill in
PARTS = {"train": "to train on", "valid": "to check with"}


@dataclass(frozen=True)
class FormatCard:
    format: ExportFormat
    chosen: bool


@dataclass(frozen=True)
class ExportRow:
    export: Export
    name: str
    which: str
    state: str
    tone: str


@dataclass(frozen=True)
class ExportsPanel:
    form: ExportForm
    cards: list[FormatCard]
    rows: list[ExportRow]
    kept_days: int = KEPT_DAYS


def exports_panel(dataset: Dataset, data: Mapping[str, Any] | None, query: Mapping[str, str]) -> ExportsPanel:
    """``data``: what was posted; ``query``: what the address begins with, by the names of the form's fields."""
    leaves = [*dataset.topics.leaves(), UNKNOWN] if dataset.topics.topics else []
    form = ExportForm(
        data,
        sources=_sources(dataset),
        verdicts=[*VERDICTS, ("", "Any verdict")],
        topics=leaves,
        initial={"format": "canonical", "verdict": "valid", **{name: query[name] for name in ASKED if name in query}},
    )
    chosen = form["format"].value()
    cards = [FormatCard(format, format.name == chosen) for format in FORMATS.values()]
    found = dataset.exports.select_related("job", "dataset", "created_by", "snapshot")
    found = found.exclude(expires_at__lte=timezone.now())[:LISTED]
    return ExportsPanel(form, cards, [_row(export) for export in found])


def _sources(dataset: Dataset) -> list[tuple[str, str]]:
    """The records, then both parts of the newest snapshots."""
    newest = list(dataset.snapshots.order_by("-pk").values_list("pk", "created_at")[:OFFERED])
    counted = SnapshotItem.objects.filter(snapshot__in=[pk for pk, _ in newest]).values_list("snapshot", "part")
    counts = {(pk, part): n for pk, part, n in counted.annotate(n=Count("pk")).order_by()}
    found = [("", "The records as they are now")]
    for pk, made in newest:
        for part, what in PARTS.items():
            if (pk, part) in counts:
                found.append((f"{pk}:{part}", f"Split of {made:%-d %b, %H:%M}: {counts[pk, part]:,} {what}"))
    return found


def _row(export: Export) -> ExportRow:
    job = export.job
    if export.finished_at is not None:
        state, tone = "ready", "good"
    elif job is not None and job.is_live:
        state, tone = "running", "note"
    elif job is not None and job.state == State.CANCELLED:
        state, tone = "stopped", ""
    else:
        state, tone = "no file", "bad"
    return ExportRow(export, download_name(export), _which(export), state, tone)


def _which(export: Export) -> str:
    """Which records, in a few words."""
    chosen = chosen_of(export)
    if export.snapshot is not None:
        first = f"split {export.snapshot.pk}, {PARTS.get(chosen.part, 'both parts')}"
    else:
        first = f"{chosen.where.verdict or 'all'} records"
    return ", ".join([first, *(f"{name} {value}" for name, value in chosen.where.chosen.items() if name != "verdict")])


@dataclass(frozen=True)
class ExportPanel:
    export: Export
    name: str
    which: str
    page: str
    broken: list[Finding]
    notes: list[Check]
    records_url: str

    @property
    def is_live(self) -> bool:
        return self.export.job is not None and self.export.job.is_live

    @property
    def version(self) -> int:
        return self.export.job.version if self.export.job is not None else 0

    @property
    def lede(self) -> str:
        """How many records came into the file and how many did not."""
        export = self.export
        said = f"{plural(export.rows, 'record')} as {export.kind.label}"
        return f"{said}; {export.left_out:,} left out." if export.left_out else f"{said}."


def export_panel(export: Export) -> ExportPanel:
    tally = export.counted
    notes = [Check("warn", sentence) for sentence in export.manifest.get("warnings", [])]
    said = findings(export.kind, tally.notes)
    notes += [Check("note", found.sentence, f"{plural(found.count, 'record')}.") for found in said]
    return ExportPanel(
        export=export,
        name=download_name(export),
        which=_which(export),
        page=export.get_absolute_url(),
        broken=findings(export.kind, tally.broken),
        notes=notes,
        records_url=reverse("datasets:dataset", args=[export.dataset_id]),
    )

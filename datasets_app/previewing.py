"""What a person sees of a staged file before it is imported, and the form that says how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from django.http import QueryDict
from django.urls import reverse

from datasets_app.core.formats import AUTO, FORMATS, TABLE
from datasets_app.core.preview import Preview, look
from rft_project.jobs.services import HasPk

from .forms import ImportForm
from .models import ImportBatch
from .services import start_import
from .staging import waiting


@dataclass(frozen=True)
class PreviewPanel:
    """``earlier``: an import of the very same file into this dataset. ``others``: further files that wait."""

    batch: ImportBatch
    found: Preview
    form: ImportForm | None
    earlier: ImportBatch | None
    others: list[ImportBatch]
    page: str
    changed: bool  # somebody has touched the form

    @property
    def lead(self) -> str:
        return self.found.detected[0][0] if self.found.detected else ""

    @property
    def sure(self) -> float:
        return self.found.detected[0][1] if self.found.detected else 0.0

    @property
    def mixed(self) -> list[tuple[str, float]]:
        """What else is in the file."""
        return self.found.detected[1:]


def preview_panel(batch: ImportBatch, query: QueryDict) -> PreviewPanel:
    """``query``: the form as it stands; empty at the first look."""
    format = query.get("format", AUTO)
    found = _called_by_its_name(look(Path(batch.path), format if format in FORMATS else AUTO), batch)
    form = None
    if not found.error or len(query):
        form = import_form(found, _still_offered(found, query), others=waiting(batch.dataset).count() - 1)
        if form.is_valid() and not found.error:
            found = found.mapped(form.mapping())
    others = list(waiting(batch.dataset).exclude(pk=batch.pk)[:20])
    page = reverse("datasets:review_import", args=[batch.dataset_id, batch.pk])
    return PreviewPanel(batch, found, form, _earlier(batch), others, page, bool(query))


def import_form(found: Preview, data: QueryDict | Mapping[str, object], *, others: int = 0) -> ImportForm:
    formats = [(AUTO, "Recognise each record"), *((f.name, f.label) for f in TABLE)]
    return ImportForm(data, formats=formats, found=found, others=others)


def _still_offered(found: Preview, query: QueryDict) -> QueryDict:
    """The form as a person left it; where the format is another one since, what only the old one offered is let go.

    ``shown_for`` is the format whose fields were shown. Item fields start as the format says.
    """
    data = query.copy()
    data.setdefault("format", AUTO)
    shown_for = data.get("shown_for", "")
    if shown_for != data["format"]:
        data.setlist("items", [item.path for item in found.items if item.given])
        paths = {"", *(place.path for place in found.places)}
        for name in ("reference_field", "span_id", "session_id"):
            if shown_for and data.get(name) not in paths:
                data[name] = ""
    data.setlist("shown_for", data.getlist("format"))
    return data


def _called_by_its_name(found: Preview, batch: ImportBatch) -> Preview:
    """People know the name they gave the file, not the one it is kept under."""
    return replace(found, error=found.error.replace(Path(batch.path).name, batch.filename))


def _earlier(batch: ImportBatch) -> ImportBatch | None:
    if not batch.file_digest:
        return None
    same = batch.dataset.batches.filter(file_digest=batch.file_digest).exclude(pk=batch.pk)
    return same.exclude(finished_at=None).select_related("created_by").first()


def start(panel: PreviewPanel, *, by: HasPk) -> None:
    """Queue the import as the form says, and where it says so that of the other files that wait."""
    assert panel.form is not None
    given, mapping = panel.form.cleaned_data, panel.form.mapping()
    batches = [panel.batch, *(waiting(panel.batch.dataset) if given.get("others") else ())]
    for batch in batches:
        start_import(batch, given["format"], mapping=mapping, limit=given["limit"], by=by)

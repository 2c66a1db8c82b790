"""What the pages of imports show: one that runs or has ended, and the lines that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from datasets_app.models import ImportBatch
from datasets_app.staging import waiting


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

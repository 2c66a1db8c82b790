"""The table of exported files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse

from datasets_app.core.exporting.base import ExportFormat
from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.exporting.report import Tally


class Export(models.Model):
    """A file made of a dataset's records. ``selection``, ``tally`` and ``manifest`` are read as typed models.

    ``token`` names its files in ``EXPORT_DIR``. The file is there from ``finished_at`` until ``expires_at``.
    """

    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="exports")
    snapshot = models.ForeignKey("datasets_app.Snapshot", models.CASCADE, null=True)
    job = models.OneToOneField("jobs.Job", models.SET_NULL, null=True, related_name="export")
    format = models.CharField(max_length=20)
    selection = models.JSONField(default=dict)  # exports.Selection
    token = models.CharField(max_length=32, unique=True)
    rows = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    tally = models.JSONField(default=dict)
    manifest = models.JSONField(default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.format} export of {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("datasets:export", args=[self.dataset_id, self.pk])

    @property
    def counted(self) -> Tally:
        return Tally.model_validate(self.tally)

    @property
    def kind(self) -> ExportFormat:
        return FORMATS[self.format]

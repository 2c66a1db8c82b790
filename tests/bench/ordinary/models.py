from __future__ import annotations

from django.db import models


class Trace(models.Model):
    """One record as most projects would store it."""

    dataset = models.CharField(max_length=120)
    span_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField()
    verdict = models.CharField(max_length=40, blank=True)
    tokens = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["dataset", "verdict", "id"], name="ordinary_by_verdict"),
            models.Index(fields=["dataset", "span_id"], name="ordinary_by_span"),
        ]

    def __str__(self) -> str:
        return self.span_id

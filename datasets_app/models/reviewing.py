"""The questions that the sorting asks people, most informative first."""

from __future__ import annotations

from django.db import models


class Question(models.Model):
    """A record that the last sorting was unsure of; ``rank`` 1 is asked first (see ``core.review``).

    It is answered when a person has sorted the record, whichever way, and open again when that is undone.
    """

    record = models.OneToOneField(
        "datasets_app.DatasetRecord", models.CASCADE, primary_key=True, related_name="question"
    )
    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="questions", db_index=False)
    rank = models.PositiveIntegerField()
    alike = models.PositiveIntegerField(default=0)  # other unsure records that are worded like it
    choices = models.JSONField(default=list)  # [[topic, probability]], likeliest first
    skipped = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["dataset", "rank"], name="question_by_rank")]

    def __str__(self) -> str:
        return f"question {self.rank} of {self.dataset_id}"

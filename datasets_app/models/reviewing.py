"""What sorting leaves behind: the questions it asks people, and the vectors it need not compute again."""

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


class CachedVector(models.Model):
    """The embedding of a text by a model, in half precision; ``digest`` stands for the text (see ``embedding``)."""

    model = models.CharField(max_length=300)
    digest = models.BinaryField(max_length=16)
    half = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "digest"], name="one_vector_per_text")]

    def __str__(self) -> str:
        return f"vector of {self.model}"

"""What was done to the topics of a dataset, and what clustering proposes to do."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from .records import Dataset


class TopicEdit(models.Model):
    """One edit of a tree, in a sentence, with what it replaced: undoing it goes back there.

    ``by_hand``: records that people had sorted and that the edit moved, by topic. ``back``: topics whose records can go
    back as they are, because nothing else came to where they went ({new name: old name}).
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="topic_edits")
    sentence = models.CharField(max_length=300)
    tree = models.JSONField(default=dict)
    order = models.JSONField(default=list)
    targets = models.JSONField(default=dict)
    examples = models.JSONField(default=dict)
    by_hand = models.JSONField(default=dict)
    back = models.JSONField(default=dict)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.sentence


class TopicProposal(models.Model):
    """A group of alike records found inside a topic, or among those that fit none.

    ``members``: {share of neighbours in the same group, in tenths: [record ids]}; ``examples``: most typical first.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="topic_proposals")
    inside = models.CharField(max_length=80)  # topic they were found in; core.topics.UNKNOWN for records without one
    name = models.CharField(max_length=64)
    description = models.CharField(max_length=500, blank=True)
    keywords = models.JSONField(default=list)
    count = models.PositiveIntegerField()
    members = models.JSONField(default=dict)
    examples = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-count", "pk"]

    def __str__(self) -> str:
        return f"{self.name}: {self.count} records"

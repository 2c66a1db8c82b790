"""What was done to a dataset: changes with the rows as they were, runs of actions, and snapshots."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import models
from django.utils import timezone

from datasets_app.core.records import Trace, loads
from rft_project.platforms.types import last_user_text

from .records import VALID, Dataset, ImportBatch, RecordFields


class Change(models.Model):
    """What was done to records, in a sentence, with copies of the rows as they were: the way back for 30 days.

    ``scope`` says which columns it touched (see ``changes``): two changes are in each other's way only where they meet.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=20)
    scope = models.CharField(max_length=10)
    sentence = models.CharField(max_length=300)
    params = models.JSONField(default=dict)  # read through the model of whoever makes the change
    count = models.PositiveIntegerField(default=0)  # records it changed or removed
    new = models.PositiveIntegerField(default=0)  # records it made
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    left = models.PositiveIntegerField(default=0)  # records the undo left alone, because they had changed again

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["dataset", "created_at"], name="change_by_age")]

    def __str__(self) -> str:
        return self.sentence


class ChangedRecord(RecordFields):
    """One row as it was before a change; ``body`` is kept where the change touches the payload."""

    change = models.ForeignKey(Change, models.CASCADE, related_name="rows", db_index=False)
    record_id = models.BigIntegerField()
    # A copy, not a relation: nothing is looked up by it, and an index would cost every bulk action.
    batch = models.ForeignKey(
        ImportBatch, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    body = models.TextField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "record_id"], name="one_copy_per_change")]
        indexes = [models.Index(fields=["record_id"], name="changed_record")]

    def __str__(self) -> str:
        return f"record {self.record_id} before change {self.change_id}"


class MadeRecord(models.Model):
    """A record that a change made, which there was not before: the undo takes it out again."""

    change = models.ForeignKey(Change, models.CASCADE, related_name="made", db_index=False)
    record_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "record_id"], name="made_once_per_change")]
        indexes = [models.Index(fields=["record_id"], name="made_record")]

    def __str__(self) -> str:
        return f"record {self.record_id} made by change {self.change_id}"


class ActionRun(models.Model):
    """One run of an action (sanitize, topics, categorize) with what it was given and what came out."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="action_runs")
    action = models.CharField(max_length=20)
    job = models.OneToOneField("jobs.Job", models.CASCADE, related_name="action_run")
    result = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.action} of {self.dataset}"


class CoverageMoment(models.Model):
    """How the valid records of a dataset spread over its topics when an action had ended."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="coverage_moments", db_index=False)
    sentence = models.CharField(max_length=300)  # what had been done
    counts = models.JSONField(default=dict)  # topic -> records
    records = models.PositiveIntegerField(default=0)  # in topics
    unknown = models.PositiveIntegerField(default=0)
    uncategorized = models.PositiveIntegerField(default=0)
    balance = models.FloatField(null=True)  # null: fewer than two topics
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["dataset", "id"], name="moment_by_dataset")]

    def __str__(self) -> str:
        return self.sentence


class Snapshot(models.Model):
    """Records frozen with what was known of them and a hash over all of it: by a training run, or by hand."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="snapshots")
    content_hash = models.CharField(max_length=64, blank=True)  # empty while it is being made
    params = models.JSONField(default=dict)
    report = models.JSONField(default=dict)
    looked_through = models.CharField(max_length=32, blank=True)  # by which rules ``FrozenFinding`` was filled
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"snapshot {self.pk} of {self.dataset}"


class SnapshotItem(models.Model):
    """One record in one snapshot. The payload is copied: a later edit must not change what was trained on."""

    snapshot = models.ForeignKey(Snapshot, models.CASCADE, related_name="items")
    record_id = models.BigIntegerField()
    part = models.CharField(max_length=5, blank=True)  # train or valid; empty where somebody froze the dataset
    verdict = models.CharField(max_length=10, default=VALID)  # a run takes valid records only
    topic = models.CharField(max_length=80, blank=True)
    body = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "record_id"], name="one_item_per_record")]
        indexes = [models.Index(fields=["record_id"], name="frozen_record")]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.part} item {self.pk}"

    @property
    def last_words(self) -> str:
        """The last message of the user, for lists."""
        return last_user_text(self.trace.messages)[:600]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the payload: what is drawn by them comes out the same in every database."""
        return hashlib.blake2b(self.body.encode(), digest_size=8).hexdigest()

    @property
    def trace(self) -> Trace:
        return loads(self.body)

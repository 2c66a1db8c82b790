"""Datasets and their records. The narrow row is what lists and counts read; the payload lies apart in RawRecord."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from datasets_app.core.mapping import FieldMapping
from datasets_app.core.records import Trace, loads
from datasets_app.core.sanitizing import SanitizeConfig
from datasets_app.core.sort_settings import SortSettings
from datasets_app.core.topics import TopicTree, parse_tree
from rft_project.connections.models import Workspace

VALID, INVALID, DUPLICATE = "valid", "invalid", "duplicate"
TRACE, GENERATED, MANUAL = "trace", "generated", "manual"


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def of(self, user: Any) -> DatasetQuerySet:
        return self.filter(workspace__memberships__user=user)


@lru_cache(maxsize=64)
def _tree(stored: str) -> TopicTree:
    """Every page reads the tree, and few change it."""
    hierarchy, order = json.loads(stored)
    return parse_tree(hierarchy).ordered(order)


class Dataset(models.Model):
    """A set of prompts on its way to training. ``topic_hierarchy`` and the configs are read as typed models."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    topic_hierarchy = models.JSONField(default=dict)
    topic_order = models.JSONField(default=list)  # names of the top level: PostgreSQL does not keep the order of keys
    topic_examples = models.JSONField(default=dict)  # leaf -> ids of records it was made from; they teach the sorting
    topic_targets = models.JSONField(default=dict)  # topic -> percent; uniform where empty
    sanitize_config = models.JSONField(default=dict)
    sort_config = models.JSONField(default=dict)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_dataset_name_per_workspace")]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("datasets:dataset", args=[self.pk])

    @property
    def topics(self) -> TopicTree:
        stored = self.topic_hierarchy, self.topic_order
        return _tree(json.dumps(stored)) if self.topic_hierarchy else TopicTree()

    @property
    def sanitizing(self) -> SanitizeConfig:
        return SanitizeConfig.model_validate(self.sanitize_config)

    @property
    def sorting(self) -> SortSettings:
        return SortSettings.model_validate(self.sort_config)


class ImportBatch(models.Model):
    """One file (or paste) on its way in. ``position`` is the last line committed, together with its records."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="batches")
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True)
    filename = models.CharField(max_length=255)
    path = models.CharField(max_length=500)
    owned = models.BooleanField(default=True)  # the file is ours to remove when done
    format = models.CharField(max_length=40, default="auto")
    mapping = models.JSONField(default=dict)  # read as FieldMapping
    size = models.PositiveBigIntegerField(default=0)  # bytes of the staged file
    file_digest = models.CharField(max_length=32, blank=True)  # see staging.chained; '' for a file that is not ours
    position = models.PositiveBigIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0)
    already_present = models.PositiveIntegerField(default=0)
    unreadable = models.PositiveIntegerField(default=0)
    split_turns = models.PositiveIntegerField(default=0)
    formats = models.JSONField(default=dict)
    spread = models.PositiveIntegerField(default=0)  # sessions that are several records now (see ``joining``)
    error = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "import batches"

    def __str__(self) -> str:
        return self.filename

    @property
    def field_mapping(self) -> FieldMapping:
        return FieldMapping.model_validate(self.mapping)

    @property
    def waits(self) -> bool:
        """Staged, and nobody has said yet that it shall be imported."""
        return self.job_id is None and self.finished_at is None


class Upload(models.Model):
    """A file on its way from a browser, in chunks. ``received`` is how many bytes are safe on disk.

    ``fingerprint`` tells whether a file that is chosen again is the same one. When all is there ``batch`` is its
    staged import; the row stays for a while, so that a second tab with the same file is told where it went.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="uploads")
    dataset = models.ForeignKey(Dataset, models.CASCADE, null=True, related_name="uploads")  # null: makes a new one
    new_name = models.CharField(max_length=120, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    filename = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    modified = models.PositiveBigIntegerField()  # ms since 1970, as the browser says
    fingerprint = models.CharField(max_length=32)
    path = models.CharField(max_length=500)
    received = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=32, blank=True)  # of what was received, see staging.chained
    batch = models.ForeignKey(ImportBatch, models.CASCADE, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["created_by", "fingerprint"], condition=models.Q(batch=None), name="one_upload_per_file"
            )
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.filename

    @property
    def share(self) -> float:
        """Part of the file that has arrived, 0 to 1."""
        return self.received / self.size if self.size else 0.0


class RejectedLine(models.Model):
    """A line that could not be read, kept with its place, the reason and its text.

    ``kind`` is the reason without what differs from line to line. ``fixed_key`` is the import key of the record that
    was made of it after all.
    """

    batch = models.ForeignKey(ImportBatch, models.CASCADE, related_name="rejected")
    line = models.PositiveBigIntegerField()
    where = models.CharField(max_length=200, blank=True)  # member of an archive
    reason = models.CharField(max_length=300)
    kind = models.CharField(max_length=80, blank=True)
    text = models.TextField()
    fixed_key = models.CharField(max_length=48, blank=True)
    fixed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "line"], name="one_rejection_per_line")]
        indexes = [models.Index(fields=["batch", "kind", "line"], name="rejection_by_kind")]
        ordering = ["line"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class RecordFields(models.Model):
    """The columns of a record, for every table that keeps records as they are or were.

    ``import_key`` makes importing idempotent; ``digest`` is the normalised conversation.
    """

    batch = models.ForeignKey(ImportBatch, models.SET_NULL, null=True, related_name="+")
    line = models.PositiveBigIntegerField(default=0)
    format = models.CharField(max_length=40, blank=True)  # what the line was read as
    import_key = models.CharField(max_length=48)
    span_id = models.CharField(max_length=200, blank=True)
    session_id = models.CharField(max_length=200, blank=True)
    digest = models.CharField(max_length=32)
    source = models.CharField(max_length=10, default=TRACE)
    is_generated = models.BooleanField(default=False)
    preview = models.CharField(max_length=600)  # last user message, for lists

    verdict = models.CharField(max_length=10)
    code = models.CharField(max_length=40, blank=True)
    issues = models.JSONField(default=list)  # [{"code", "detail"}], the first is the verdict's
    tokens = models.PositiveIntegerField(default=0)
    checked_by = models.CharField(max_length=16, blank=True)  # digest of rules and config of the run that checked it

    topic = models.CharField(max_length=80, null=True)  # null: not categorized yet
    confidence = models.FloatField(null=True)
    method = models.CharField(max_length=10, blank=True)
    needs_review = models.BooleanField(default=False)
    secondary_topics = models.JSONField(default=list)

    created_at = models.DateTimeField(default=timezone.now)  # a copy of a row keeps its time

    class Meta:
        abstract = True


class DatasetRecord(RecordFields):
    """One record of a dataset."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="records", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "import_key"], name="one_record_per_import_key")]
        # each ends with the key, the order of every list
        indexes = [
            models.Index(fields=["dataset", "id"], name="record_by_dataset"),
            models.Index(fields=["dataset", "verdict", "id"], name="record_by_verdict"),
            models.Index(fields=["dataset", "topic", "verdict", "id"], name="record_by_topic"),
            models.Index(fields=["dataset", "code", "id"], name="record_by_code"),
            models.Index(fields=["dataset", "format", "id"], name="record_by_format"),
            models.Index(fields=["dataset", "source", "id"], name="record_by_source"),
            models.Index(fields=["dataset", "id"], condition=models.Q(needs_review=True), name="record_to_review"),
            models.Index(
                fields=["dataset", "topic", "verdict", "confidence", "id"],
                condition=models.Q(confidence__isnull=False),
                name="record_by_confidence",
            ),
        ]

    def __str__(self) -> str:
        return f"record {self.pk}"

    @property
    def trace(self) -> Trace:
        return loads(self.raw.body)

    @property
    def data(self) -> dict[str, Any]:
        """The canonical payload: ``{"input": {…}, "output": {…}}``."""
        return self.trace.data

    @property
    def metadata(self) -> dict[str, Any]:
        return self.trace.metadata


class JoinedPart(models.Model):
    """The import key of a line that stands in a conversation now (see ``joining``): importing it again adds nothing."""

    record = models.ForeignKey(DatasetRecord, models.CASCADE, related_name="parts")  # the conversation
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+", db_index=False)
    import_key = models.CharField(max_length=48)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "import_key"], name="one_part_per_import_key")]

    def __str__(self) -> str:
        return f"part of record {self.record_id}"


# What records are counted by, in the order of the counts' unique index.
COUNTED = ("dataset_id", "verdict", "code", "topic", "is_generated", "needs_review", "source", "checked_by")


class RecordCount(models.Model):
    """How many records of a dataset are alike in all that pages count by; the database keeps it (see ``counters``).

    A ``topic`` of '' is that of records without one; kinds that no record is of have no row.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="record_counts", db_index=False)
    verdict = models.CharField(max_length=10)
    code = models.CharField(max_length=40)
    topic = models.CharField(max_length=80)
    is_generated = models.BooleanField()
    needs_review = models.BooleanField()
    source = models.CharField(max_length=10)
    checked_by = models.CharField(max_length=16)
    n = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[name.removesuffix("_id") for name in COUNTED], name="one_count_per_kind_of_record"
            )
        ]

    def __str__(self) -> str:
        return f"{self.n} records"


class RawRecord(models.Model):
    """Payload of a record: JSON text with escapes, never jsonb, so that NULs and lone surrogates survive."""

    record = models.OneToOneField(DatasetRecord, models.CASCADE, primary_key=True, related_name="raw")
    body = models.TextField()

    def __str__(self) -> str:
        return f"payload of record {self.pk}"


class RecordText(models.Model):
    """The words of a record that are searched; the database keeps its index on them (see ``searching``)."""

    record = models.OneToOneField(DatasetRecord, models.CASCADE, primary_key=True, related_name="text")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+", db_index=False)
    words = models.TextField(blank=True)
    stale = models.BooleanField(default=False)  # the payload changed since

    class Meta:
        indexes = [
            models.Index(fields=["dataset", "record"], name="text_by_dataset"),
            models.Index(fields=["dataset"], condition=models.Q(stale=True), name="text_stale"),
        ]

    def __str__(self) -> str:
        return f"words of record {self.record_id}"


class SearchIndex(models.Model):
    """How far a dataset can be searched: every record up to ``upto`` has its words, or is marked stale."""

    dataset = models.OneToOneField(Dataset, models.CASCADE, primary_key=True, related_name="search_index")
    upto = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"search index of {self.dataset_id}"

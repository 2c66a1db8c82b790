"""The only door to datasets and what hangs on them: the user's own, or 404."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone

from .actions import ACTIONS, last_run
from .models import (
    ActionRun,
    Change,
    Dataset,
    DatasetRecord,
    Export,
    GenerationRun,
    ImportBatch,
    RejectedLine,
    Snapshot,
    Upload,
)


def dataset(user: Any, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.of(user), pk=pk)


def record(user: Any, pk: int, record_pk: int) -> DatasetRecord:
    records = DatasetRecord.objects.select_related("raw", "batch", "dataset")
    return get_object_or_404(records.filter(dataset__in=Dataset.objects.of(user)), dataset_id=pk, pk=record_pk)


def record_or_none(dataset: Dataset, record_pk: int) -> DatasetRecord | None:
    """A record of a dataset that the user was let into."""
    return dataset.records.select_related("raw", "batch", "dataset").filter(pk=record_pk).first()


def batch(user: Any, pk: int, batch_pk: int) -> ImportBatch:
    batches = ImportBatch.objects.select_related("dataset", "job").filter(dataset__in=Dataset.objects.of(user))
    return get_object_or_404(batches, dataset_id=pk, pk=batch_pk)


def export(user: Any, pk: int, export_pk: int) -> Export:
    """One that has not expired yet."""
    found = Export.objects.select_related("dataset", "snapshot", "job", "created_by")
    found = found.filter(dataset__in=Dataset.objects.of(user)).exclude(expires_at__lte=timezone.now())
    return get_object_or_404(found, dataset_id=pk, pk=export_pk)


def generation(user: Any, pk: int, run_pk: int) -> GenerationRun:
    runs = GenerationRun.objects.select_related("dataset__workspace", "job", "connection", "created_by")
    return get_object_or_404(runs.filter(dataset__in=Dataset.objects.of(user)), dataset_id=pk, pk=run_pk)


def rejected_line(user: Any, pk: int, batch_pk: int, line: int) -> RejectedLine:
    lines = RejectedLine.objects.select_related("batch__dataset").filter(batch__dataset__in=Dataset.objects.of(user))
    return get_object_or_404(lines, batch__dataset_id=pk, batch_id=batch_pk, line=line)


def change(user: Any, pk: int, change_pk: int) -> Change:
    found = Change.objects.select_related("dataset__workspace", "job").filter(dataset__in=Dataset.objects.of(user))
    return get_object_or_404(found, dataset_id=pk, pk=change_pk)


def snapshot(user: Any, pk: int, snapshot_pk: int) -> Snapshot:
    """One that is complete."""
    found = Snapshot.objects.select_related("dataset").filter(dataset__in=Dataset.objects.of(user))
    return get_object_or_404(found.exclude(content_hash=""), dataset_id=pk, pk=snapshot_pk)


def action_run(user: Any, pk: int, action: str) -> ActionRun:
    """The newest run of an action."""
    found = last_run(dataset(user, pk), action) if action in ACTIONS else None
    if found is None:
        raise Http404
    return found


def upload(user: Any, upload_pk: int) -> Upload:
    """A person's own upload; nobody else can go on with it."""
    uploads = Upload.objects.select_related("dataset", "workspace", "batch", "created_by")
    return get_object_or_404(uploads.filter(created_by=user, workspace__memberships__user=user), pk=upload_pk)

"""For operators: looking only. What users wrote stays out of the lists."""

from __future__ import annotations

from django.contrib import admin

from rft_project.jobs.admin import ReadOnly

from .models import ActionRun, Change, Dataset, DatasetRecord, Export, ImportBatch, RejectedLine, Snapshot, Upload


@admin.register(Dataset)
class DatasetAdmin(ReadOnly):
    list_display = ["name", "workspace", "created_by", "created_at"]
    list_select_related = ["workspace", "created_by"]
    search_fields = ["name"]


@admin.register(ImportBatch)
class ImportBatchAdmin(ReadOnly):
    list_display = [
        "filename", "dataset", "format", "imported", "already_present", "unreadable", "created_by", "created_at",
        "finished_at", "error",
    ]  # fmt: skip
    list_select_related = ["dataset", "created_by"]
    search_fields = ["filename", "dataset__name"]


@admin.register(Upload)
class UploadAdmin(ReadOnly):
    list_display = ["filename", "workspace", "dataset", "received", "size", "created_by", "updated_at"]
    list_select_related = ["workspace", "dataset", "created_by"]
    show_full_result_count = False


@admin.register(RejectedLine)
class RejectedLineAdmin(ReadOnly):
    list_display = ["batch", "line", "reason"]
    list_select_related = ["batch"]
    exclude = ["text"]
    show_full_result_count = False


@admin.register(DatasetRecord)
class DatasetRecordAdmin(ReadOnly):
    list_display = ["id", "dataset", "verdict", "code", "tokens", "topic", "confidence", "method", "source"]
    list_filter = ["verdict", "source"]
    list_select_related = ["dataset"]
    search_fields = ["=id", "=span_id"]
    exclude = ["preview"]
    show_full_result_count = False  # counting a million rows for a number nobody reads


@admin.register(ActionRun)
class ActionRunAdmin(ReadOnly):
    list_display = ["action", "dataset", "job", "created_at"]
    list_filter = ["action"]
    list_select_related = ["dataset", "job"]


@admin.register(Change)
class ChangeAdmin(ReadOnly):
    list_display = ["id", "dataset", "kind", "count", "by", "created_at", "undone_at", "undone_by"]
    list_filter = ["kind"]
    list_select_related = ["dataset", "by", "undone_by"]
    exclude = ["sentence", "params"]


@admin.register(Export)
class ExportAdmin(ReadOnly):
    list_display = ["id", "dataset", "format", "rows", "left_out", "bytes", "created_by", "created_at", "expires_at"]
    list_filter = ["format"]
    list_select_related = ["dataset", "created_by"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly):
    list_display = ["id", "dataset", "content_hash", "created_at"]
    list_select_related = ["dataset"]

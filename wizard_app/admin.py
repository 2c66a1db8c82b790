"""For operators: looking only. What users and models wrote stays out."""

from __future__ import annotations

from django.contrib import admin

from rft_project.jobs.admin import ReadOnly

from .models import Checkpoint, Deployment, MetricPoint, RFTJob, Rollout, RunEvent, StepResult


@admin.register(RFTJob)
class RFTJobAdmin(ReadOnly):
    list_display = [
        "name", "workspace", "dataset", "base_model", "training_word", "tuned_model", "created_by", "created_at",
    ]  # fmt: skip
    list_select_related = ["workspace", "dataset", "created_by"]
    search_fields = ["name", "training_key", "training_handle", "tuned_model"]


@admin.register(StepResult)
class StepResultAdmin(ReadOnly):
    list_display = ["run", "step", "job", "finished_at"]
    list_filter = ["step"]
    list_select_related = ["run", "job"]


@admin.register(Rollout)
class RolloutAdmin(ReadOnly):
    list_display = ["id", "run", "item_id", "sample_index", "reward", "completion_tokens", "seconds", "error"]
    list_select_related = ["run"]
    exclude = ["answer", "tool_calls", "notes", "item"]
    show_full_result_count = False


@admin.register(MetricPoint)
class MetricPointAdmin(ReadOnly):
    list_display = ["run", "series", "step", "value"]
    list_select_related = ["run"]
    show_full_result_count = False


@admin.register(RunEvent)
class RunEventAdmin(ReadOnly):
    list_display = ["at", "run", "level", "message"]
    list_filter = ["level"]
    list_select_related = ["run"]
    show_full_result_count = False


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ["run", "step", "remote_id", "model"]
    list_select_related = ["run"]


@admin.register(Deployment)
class DeploymentAdmin(ReadOnly):
    list_display = ["model", "run", "connection", "state", "created_by", "created_at", "ended_at"]
    list_filter = ["state"]
    list_select_related = ["run", "connection", "created_by"]

"""Jobs for operators: look, put back, stop. Nothing is edited by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from . import services
from .models import Heartbeat, Job, JobEvent


class ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class JobEventInline(admin.TabularInline):
    model = JobEvent
    fields = ("at", "level", "message")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ["id", "kind", "state_label", "phase", "done", "total", "attempts", "requested_by", "created_at"]
    list_filter = ["state", "kind"]
    search_fields = ["=id", "lock_key"]
    date_hierarchy = "created_at"
    list_select_related = ["requested_by"]
    inlines = [JobEventInline]
    actions = ["requeue", "cancel"]

    @admin.action(description="Queue again (failed or stopped jobs)")
    def requeue(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        ended = [job for job in queryset if not job.is_live]
        for job in ended:
            services.retry(job)
        messages.info(request, f"{len(ended)} queued again.")

    @admin.action(description="Stop (unfinished jobs)")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        live = [job for job in queryset if job.is_live]
        for job in live:
            services.request_cancel(job)
        messages.info(request, f"{len(live)} asked to stop.")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly):
    list_display = ["name", "beat_at"]

"""For operators: looking only."""

from __future__ import annotations

from django.contrib import admin

from rft_project.jobs.admin import ReadOnly

from .models import Grader


@admin.register(Grader)
class GraderAdmin(ReadOnly):
    list_display = ["name", "version", "superseded", "grader_type", "preset", "workspace", "created_by", "created_at"]
    list_filter = ["superseded", "preset"]
    list_select_related = ["workspace", "created_by"]
    search_fields = ["name"]

    @admin.display(description="type")
    def grader_type(self, grader: Grader) -> str:
        return str(grader.config.get("type", ""))

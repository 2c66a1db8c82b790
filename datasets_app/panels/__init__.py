"""What pages and regions show, as frozen values: a page and its regions build a panel with the same function."""

from __future__ import annotations

from .coverage import coverage_page_panel
from .details import dataset_rows, record_panel
from .exporting import export_panel, exports_panel
from .generating import generation_panel, plan_panel, plan_totals_of
from .imports import import_panel, rejected_panel, reread_panel
from .overview import actions_panel, coverage_panel, readiness_panel, summary_panel
from .previews import preview_panel
from .privacy import privacy_panel, privacy_work_panel
from .records import bulk_work_panel, changes_panel, newest_panel, records_panel
from .report import report_of_run, report_panel, sanitize_work_panel, suggested_fields
from .reviewing import question_panel
from .snapshots import diff_panel, snapshots_panel
from .sorting import sort_form, sorting_panel
from .topic_sources import sources_panel
from .topics import topic_panel, topic_work_panel, topics_panel

__all__ = [
    "actions_panel",
    "bulk_work_panel",
    "changes_panel",
    "coverage_page_panel",
    "coverage_panel",
    "dataset_rows",
    "diff_panel",
    "export_panel",
    "exports_panel",
    "generation_panel",
    "import_panel",
    "newest_panel",
    "plan_panel",
    "plan_totals_of",
    "preview_panel",
    "privacy_panel",
    "privacy_work_panel",
    "question_panel",
    "readiness_panel",
    "record_panel",
    "records_panel",
    "rejected_panel",
    "report_of_run",
    "report_panel",
    "reread_panel",
    "sanitize_work_panel",
    "snapshots_panel",
    "sort_form",
    "sorting_panel",
    "sources_panel",
    "suggested_fields",
    "summary_panel",
    "topic_panel",
    "topic_work_panel",
    "topics_panel",
]

"""Background work on datasets; ``settings.JOB_HANDLERS`` names these functions."""

from __future__ import annotations

from .bulk import run_bulk, run_undo
from .categorizing import run_categorize, run_resort
from .exporting import run_export
from .generating import run_generate
from .importing import run_import
from .privacy import run_scan_pii
from .rereading import run_reread
from .sanitizing import run_sanitize
from .searching import run_search
from .snapshots import run_snapshot
from .splitting import run_split_topic
from .topics import run_topics

__all__ = [
    "run_bulk",
    "run_categorize",
    "run_export",
    "run_generate",
    "run_import",
    "run_reread",
    "run_resort",
    "run_sanitize",
    "run_scan_pii",
    "run_search",
    "run_snapshot",
    "run_split_topic",
    "run_topics",
    "run_undo",
]

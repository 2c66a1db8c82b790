"""The tables of datasets: ``records`` holds what there is, ``history`` what was done to it, ``exports`` the files,
``findings`` which records hold personal data or secrets."""

from __future__ import annotations

from .exports import Export
from .findings import Finding, FoundValue, Rescan, Vault
from .history import (
    ActionRun,
    Change,
    ChangedRecord,
    MadeRecord,
    Snapshot,
    SnapshotItem,
)
from .records import (
    COUNTED,
    DUPLICATE,
    GENERATED,
    INVALID,
    MANUAL,
    TRACE,
    VALID,
    Dataset,
    DatasetRecord,
    ImportBatch,
    RawRecord,
    RecordCount,
    RecordFields,
    RecordText,
    RejectedLine,
    SearchIndex,
    Upload,
)

__all__ = [
    "COUNTED",
    "DUPLICATE",
    "GENERATED",
    "INVALID",
    "MANUAL",
    "TRACE",
    "VALID",
    "ActionRun",
    "Change",
    "ChangedRecord",
    "Dataset",
    "DatasetRecord",
    "Export",
    "Finding",
    "FoundValue",
    "ImportBatch",
    "MadeRecord",
    "RawRecord",
    "RecordCount",
    "RecordFields",
    "RecordText",
    "RejectedLine",
    "Rescan",
    "SearchIndex",
    "Snapshot",
    "SnapshotItem",
    "Upload",
    "Vault",
]

"""The tables of datasets: ``records`` holds what there is, ``history`` what was done to it, ``exports`` the files,
``findings`` which records hold personal data or secrets, ``reviewing`` what people are asked, ``generating`` the runs
that wrote records of their own, ``topics`` edits of the tree."""

from __future__ import annotations

from .exports import Export
from .findings import Consent, Finding, FoundValue, FrozenFinding, Rescan, Vault
from .generating import GenerationCall, GenerationRun
from .history import (
    ActionRun,
    Change,
    ChangedRecord,
    CoverageMoment,
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
    JoinedPart,
    RawRecord,
    RecordCount,
    RecordFields,
    RecordText,
    RejectedLine,
    SearchIndex,
    Upload,
)
from .reviewing import CachedVector, Question
from .topics import TopicEdit, TopicProposal

__all__ = [
    "COUNTED",
    "DUPLICATE",
    "GENERATED",
    "INVALID",
    "MANUAL",
    "TRACE",
    "VALID",
    "ActionRun",
    "CachedVector",
    "Change",
    "ChangedRecord",
    "Consent",
    "CoverageMoment",
    "Dataset",
    "DatasetRecord",
    "Export",
    "Finding",
    "FoundValue",
    "FrozenFinding",
    "GenerationCall",
    "GenerationRun",
    "ImportBatch",
    "JoinedPart",
    "MadeRecord",
    "Question",
    "RawRecord",
    "RecordCount",
    "RecordFields",
    "RecordText",
    "RejectedLine",
    "Rescan",
    "SearchIndex",
    "Snapshot",
    "SnapshotItem",
    "TopicEdit",
    "TopicProposal",
    "Upload",
    "Vault",
]

"""What is counted while a file is written, and the manifest that stands beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from datasets_app.core.exporting.base import Entry, ExportFormat, Rendered, Rule

EXAMPLES = 5  # records named of each rule; the list beside the file names them all
Part = Literal["", "train", "valid"]


class Count(BaseModel):
    """How many rows a rule or a note met, and the first of them by record number."""

    count: int = 0
    examples: list[int] = []

    def add(self, record: int) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(record)


class Tally(BaseModel):
    """Counts of one export; it travels from slice to slice of the job.

    ``content`` chains a SHA-256 over record numbers and lines, so that equal content has equal hashes in files that
    differ only in how they are compressed.
    """

    rows: int = 0
    left_out: int = 0
    broken: dict[str, Count] = {}
    notes: dict[str, Count] = {}
    content: str = ""
    fields: str | None = None
    fields_differ: bool = False
    reference: str | None = None
    references_differ: bool = False

    def add(self, entry: Entry, made: Rendered) -> None:
        for id in made.broken:
            self.broken.setdefault(id, Count()).add(entry.record)
        if made.broken:
            self.left_out += 1
            return
        self.rows += 1
        for id in made.notes:
            self.notes.setdefault(id, Count()).add(entry.record)
        told = f"{self.content}:{entry.record}:".encode() + made.text
        self.content = hashlib.sha256(told).hexdigest()
        fields, reference = _short(made.fields), _short(made.reference)
        self.fields_differ |= self.fields not in (None, fields)
        self.references_differ |= self.reference not in (None, reference)
        self.fields, self.reference = fields, reference


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Finding(BaseModel):
    """One rule or note with what it met, as people read it."""

    rule: str
    sentence: str
    count: int
    examples: list[int]


def findings(format: ExportFormat, counts: dict[str, Count]) -> list[Finding]:
    """Most frequent first; a rule that this version does not know any more keeps its id as its sentence."""
    known = {rule.id: rule for rule in (*format.rules, *format.notes)}
    found = [
        Finding(rule=id, sentence=known.get(id, Rule(id, id)).sentence, **count.model_dump())
        for id, count in counts.items()
    ]
    return sorted(found, key=lambda finding: (-finding.count, finding.rule))


def too_much(format: ExportFormat, tally: Tally, part: Part, size: int) -> str:
    """Why the platform would refuse the file for its size (in bytes) or its rows: one sentence, "" where it would not.

    Worth asking on the way: what is too much stays too much.
    """
    limits = format.limits
    most = limits.max_valid_rows if part == "valid" else limits.max_rows
    if most is not None and tally.rows > most:
        return f"{format.platform} takes at most {most:,} rows in this file; choose a topic, or a smaller part."
    if limits.max_bytes is not None and size > limits.max_bytes:
        return f"{format.platform} takes files of up to 512 MB; choose a topic, or a smaller part."
    return ""


def too_little(format: ExportFormat, tally: Tally, part: Part) -> str:
    """Why there is no file to be had of so few rows; asked at the end."""
    without = f"; {tally.left_out:,} were left out, the reasons are below" if tally.left_out else ""
    if not tally.rows:
        return f"No record can be exported like this{without}." if without else "No record matches; choose others."
    # the minimum is published for training files
    if part != "valid" and tally.rows < format.limits.min_rows:
        least, rows = f"{format.limits.min_rows:,}", f"{tally.rows:,}"
        return f"{format.platform} takes files of at least {least} rows, and this one would have {rows}{without}."
    return ""


def warnings(format: ExportFormat, tally: Tally) -> Iterator[str]:
    """Sentences on the file as a whole that do not keep a platform from taking it."""
    if not format.platform or tally.rows < 2:
        return
    if tally.fields_differ:
        yield "The rows do not all have the same fields; a grader that reads one will miss it in some."
    if not tally.references_differ and tally.reference != _short("null"):
        yield "All right answers are the same, so there is nothing to tell answers apart by."


class Source(BaseModel):
    """Where the rows of a file come from: a dataset as it was, or a part of a snapshot."""

    dataset: str
    snapshot: int | None = None
    snapshot_hash: str = ""
    part: Part = ""
    filters: dict[str, str] = {}


class Manifest(BaseModel):
    """Stands beside an exported file and says what it is. ``bytes`` and ``sha256`` are those of the file."""

    format: str
    rules: str
    source: Source
    rows: int
    left_out: int
    left_out_by_rule: list[Finding]
    notes: list[Finding]
    warnings: list[str]
    file: str
    bytes: int
    sha256: str
    content_hash: str
    gzip: bool
    software: str
    made_at: datetime

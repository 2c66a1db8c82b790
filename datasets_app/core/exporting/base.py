"""What an export format is: how one record becomes one line, what it refuses, and what it asks of the whole file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from datasets_app.core.records import Trace

Kind = Literal["bool", "int", "float", "text", "json"]


class About(BaseModel):
    """What is known of a record beside its trace; a record of a snapshot has its topic only. ``confidence`` 0 to 1."""

    model_config = ConfigDict(frozen=True)

    topic: str = ""
    confidence: float | None = None
    method: str = ""
    verdict: str = ""
    code: str = ""
    source: str = ""
    is_generated: bool | None = None
    tokens: int | None = None


_UNKNOWN = About()


@dataclass(frozen=True, slots=True)
class Entry:
    """One record on its way out; ``record`` is its number in the dataset."""

    record: int
    trace: Trace
    about: About = _UNKNOWN


@dataclass(frozen=True, slots=True)
class Rule:
    """``sentence`` says of a row what is wrong with it (or, of a note, what was done about it)."""

    id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """One record in a format: ``text`` is its line without the line break, b"" where ``broken`` names rules.

    ``notes`` are ids of what is worth saying of a row that is written all the same. ``fields`` identifies which keys a
    grader finds in the row and ``reference`` the right answer; both only for what is said of the file as a whole.
    """

    text: bytes
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fields: str = ""
    reference: str = ""


class Columns(BaseModel):
    """What all records of a file hold together: needed where every row has the same columns.

    ``fields``: item fields that get a column of their own with the kind of their values; ``others``: some fields have
    none and go to one column together. ``tools``: some conversation calls tools or is offered some.
    """

    fields: dict[str, Kind | None] = {}
    reference: Kind | None = None
    has_reference: bool = False
    others: bool = False
    tools: bool = False

    @property
    def ordered(self) -> list[tuple[str, Kind | None]]:
        """The fields by name: a JSON column keeps no order, and a run that goes on must write as it began."""
        return sorted(self.fields.items())


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers a platform publishes for one file. ``None``: none is published."""

    min_rows: int = 1
    max_rows: int | None = None
    max_valid_rows: int | None = None
    max_bytes: int | None = None


class Unfit(ValueError):
    """A record holds what the columns have no place for: it was changed after they were counted."""


@dataclass(frozen=True)
class ExportFormat:
    """One way to write a dataset to a file.

    ``sentence`` and ``needs`` are for people who choose. ``version`` names the rules the rows were checked with.
    ``head`` is what stands before the first row. ``surveyed``: all records are read once before the first is written,
    for ``Columns``. ``finish`` makes the file from the lines where they are not the file already.
    """

    name: str
    label: str
    suffix: str
    sentence: str
    needs: str
    version: str
    render: Callable[[Entry, Columns], Rendered]
    rules: tuple[Rule, ...] = ()
    notes: tuple[Rule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    platform: str = ""  # its name, where the file is for one
    surveyed: bool = False
    head: Callable[[Columns], bytes] = lambda columns: b""
    finish: Callable[[Path, Path, Columns], Any] | None = None
    media_type: str = "application/jsonl"

    def rule(self, id: str) -> Rule:
        """Raises KeyError."""
        return {rule.id: rule for rule in (*self.rules, *self.notes)}[id]

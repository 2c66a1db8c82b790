"""Which places of a record become its answer, its ids and its item fields: chosen by a person, applied by every reader.

What is chosen comes on top of what the format says; nothing that a file holds is thrown away by a choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from datasets_app.core.records import Trace, clean_id, clean_text
from datasets_app.core.records_fields import field_value, is_filled, list_fields, shown
from rft_project.platforms.types import JsonDict, Value

_MISSING = object()


class FieldMapping(Value):
    """Dotted paths as ``field_value`` reads them; '' leaves what the format found.

    ``fields`` are item fields by the name a grader reads, with their path; they come beside those of the format.
    ``left_out`` are item fields of the format that a grader shall not see; they are kept in the metadata.
    """

    reference: str = ""
    span_id: str = ""
    session_id: str = ""
    fields: dict[str, str] = {}
    left_out: tuple[str, ...] = ()

    def apply(self, trace: Trace) -> Trace:
        """The record with the choices applied, in place. A path that leads nowhere in this record changes nothing."""
        reference = field_value(trace, self.reference, _MISSING) if self.reference else _MISSING
        span_id = clean_id(field_value(trace, self.span_id)) if self.span_id else ""
        session_id = clean_id(field_value(trace, self.session_id)) if self.session_id else ""
        added = {name: field_value(trace, path, _MISSING) for name, path in self.fields.items()}
        if reference is not _MISSING:
            trace.reference_answer, trace.has_reference = reference, True
        trace.span_id = span_id or trace.span_id
        trace.session_id = session_id or trace.session_id
        for name in self.left_out:
            if name in trace.fields:
                _keep(trace.metadata, name, trace.fields.pop(name))
        trace.fields.update({name: value for name, value in added.items() if value is not _MISSING})
        return trace


def _keep(metadata: JsonDict, name: str, value: Any) -> None:
    """Puts the value under its name, or the next one that is free."""
    while name in metadata:
        name += "_"
    metadata[name] = value


AS_THE_FORMAT_SAYS = FieldMapping()


@dataclass(frozen=True, slots=True)
class ItemField:
    """Something a grader could read. ``given``: the format makes an item field of it already."""

    name: str
    path: str
    filled: int
    example: str
    given: bool


def item_fields(traces: Iterable[Trace]) -> list[ItemField]:
    """What could be an item field in these records (read without a mapping): the format's own, then the metadata."""
    found = list(traces)
    given = _count(chain.from_iterable(trace.fields.items() for trace in found))
    own = [ItemField(name, f"fields.{name}", n, example, True) for name, (n, example) in given.items()]
    beside = [
        ItemField(name, info.path, info.filled, info.example, False)
        for info in list_fields(found)
        if info.path.startswith("metadata.") and (name := field_name(info.path)) not in given
    ]
    return [field for field in (*own, *beside) if clean_text(field.path) == field.path]


def field_name(path: str) -> str:
    """Name of the item field that a place in the metadata makes: ``metadata.ticket.team`` is ``ticket_team``."""
    return path.removeprefix("metadata.").replace(".", "_")


def _count(pairs: Iterator[tuple[str, Any]]) -> dict[str, tuple[int, str]]:
    """Name -> (how often it is filled, one value)."""
    counts: dict[str, tuple[int, str]] = {}
    for name, value in pairs:
        if is_filled(value):
            n, example = counts.get(name, (0, ""))
            counts[name] = (n + 1, example or shown(value))
    return counts

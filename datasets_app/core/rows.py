"""A record in the two forms it travels in: the grader's item and the platform's training row."""

from __future__ import annotations

from datasets_app.core.records import Trace
from rft_project.platforms.types import JsonDict, make_item

RESERVED = frozenset({"messages", "tools"})  # keys of a row that are no item fields on any platform


def item_of(trace: Trace) -> JsonDict:
    """What a grader sees of a record."""
    fields = {name: value for name, value in trace.fields.items() if name not in RESERVED}
    return make_item(fields, trace.messages, trace.reference_answer if trace.has_reference else None)


def row_of(trace: Trace) -> JsonDict:
    """One line of an RFT file: prompt, tools, and what the grader reads. The logged answer is not in it."""
    row = item_of(trace)
    return {**row, "tools": trace.tools} if trace.tools else row

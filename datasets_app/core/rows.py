"""A record as it travels: the platform's training row, which is the grader's item."""

from __future__ import annotations

from datasets_app.core.records import Trace
from rft_project.platforms.types import JsonDict, make_item

RESERVED = frozenset({"messages", "tools"})  # keys of a row that are no item fields on any platform


def item_of(trace: Trace) -> JsonDict:
    """One line of an RFT file, which is what a grader sees of a record: prompt, tools, and the fields that it reads.

    The logged answer is not in it.
    """
    fields = {name: value for name, value in trace.fields.items() if name not in RESERVED}
    item = make_item(fields, trace.messages, trace.reference_answer if trace.has_reference else None)
    return {**item, "tools": trace.tools} if trace.tools else item

"""Fields of a record by dotted path: what a reference answer can come from and what a grader may require."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from datasets_app.core.records import Trace, clean_text
from rft_project.platforms.types import JsonDict, text_of

_EXAMPLE = 120  # characters of an example value
_FIELD_DEPTH = 3
_MISSING = object()


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A place in the records a reference answer could come from: how many have it filled, and one value."""

    path: str
    filled: int
    example: str


def field_value(trace: Trace, path: str, missing: Any = None) -> Any:
    """Value at a dotted path: an item field by name, ``metadata.…``, ``reference_answer``, ``output.text``.

    A name with a dot in it is found too; numbers step into lists. ``missing`` is handed back where there is nothing.
    """
    if path == "output.text":
        return _output_text(trace) or missing
    if path == "reference_answer" or path.startswith("reference_answer."):
        root: JsonDict = {"reference_answer": trace.reference_answer} if trace.has_reference else {}
    elif path.startswith(("metadata.", "fields.")):
        head, path = path.split(".", 1)
        root = trace.metadata if head == "metadata" else trace.fields
    else:
        root = trace.fields
    return _step(root, path, missing)


def _step(node: Any, path: str, missing: Any) -> Any:
    if isinstance(node, dict) and path in node:
        return node[path]
    head, dot, rest = path.partition(".")
    while dot:
        child = _MISSING
        if isinstance(node, dict):
            child = node.get(head, _MISSING)
        elif isinstance(node, list) and head.isdecimal() and int(head) < len(node):
            child = node[int(head)]
        if child is not _MISSING:
            found = _step(child, rest, _MISSING)
            if found is not _MISSING:
                return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    if isinstance(node, list) and path.isdecimal() and int(path) < len(node):
        return node[int(path)]
    return missing


def _output_text(trace: Trace) -> str:
    texts = [text_of(m.get("content")) for m in trace.output_messages]
    return next((t for t in reversed(texts) if t.strip()), "")


def list_fields(traces: Iterable[Trace]) -> list[FieldInfo]:
    """Places a reference answer could come from, by how many records have them filled (not null, not blank text)."""
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}

    def seen(path: str, value: Any) -> None:
        if is_filled(value):
            counts[path] = counts.get(path, 0) + 1
            examples.setdefault(path, shown(value))

    for trace in traces:
        if trace.has_reference:
            seen("reference_answer", trace.reference_answer)
        for path, value in chain(_leaves(trace.fields, ""), _leaves(trace.metadata, "metadata.")):
            seen(path, value)
        seen("output.text", _output_text(trace))
    order = sorted(counts, key=lambda path: (-counts[path], path))
    return [FieldInfo(path, counts[path], examples[path]) for path in order]


def is_filled(value: Any) -> bool:
    """Whether there is anything: not null, not blank text."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def shown(value: Any) -> str:
    """The beginning of a value, as an example for people."""
    return clean_text(value if isinstance(value, str) else str(value))[:_EXAMPLE]


def _leaves(node: JsonDict, prefix: str, depth: int = 1) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict) and value and depth < _FIELD_DEPTH:
            yield from _leaves(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", value

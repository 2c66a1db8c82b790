"""OpenTelemetry spans: flattened attributes, times and ids, whichever dialect they are in.

Exports write a span in many ways: OTLP's JSON (key and value objects), a flat object of attributes, attributes nested
by their dots, or columns of a table named ``attributes.…``. Here each becomes one flat object of attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets_app.core.formats.base import parsed
from datasets_app.core.records import Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_MAX_ITEMS = 10_000  # of a list written as numbered attributes
_NAMES = ("attributes.", "gen_ai.", "llm.", "ai.", "openinference.", "traceloop.")


@dataclass(slots=True)
class Span:
    """One span. ``attributes`` is flat: dotted names to values."""

    attributes: JsonDict
    name: Any = None
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    started: Any = None
    finished: Any = None
    failure: str = ""
    events: list[JsonDict] = field(default_factory=list)

    def first(self, *names: str) -> Any:
        """The first of these attributes that has a value, or None."""
        return next((self.attributes[name] for name in names if self.attributes.get(name) not in (None, "")), None)


def is_span(line: JsonDict) -> bool:
    """Whether this is a span with attributes in one of the ways above (of any kind, a model's call or not)."""
    if isinstance(line.get("attributes"), dict | list):
        return True
    return any(
        key.startswith(("attributes.", "gen_ai.", "llm.", "ai.", "openinference.", "traceloop.")) for key in line
    )


def span_of(line: JsonDict) -> Span:
    context = line.get("context")
    context = context if isinstance(context, dict) else {}
    attributes = flat_attributes(line)

    def found(*names: str) -> Any:
        return next((p[n] for n in names for p in (line, context) if p.get(n) not in (None, "")), None)

    return Span(
        attributes,
        name=line.get("name"),
        trace_id=clean_id(found("traceId", "trace_id", "context.trace_id")),
        span_id=clean_id(found("spanId", "span_id", "context.span_id", "id")),
        parent_id=clean_id(found("parentSpanId", "parent_span_id", "parent_id", "parentId")),
        started=found("startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime", "start_timestamp"),
        finished=found("endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime", "end_timestamp"),
        failure=_failure(line),
        events=[e for e in parsed(line.get("events")) or () if isinstance(e, dict)] if line.get("events") else [],
    )


def _failure(line: JsonDict) -> str:
    """What a span says of its failure, or ''."""
    status = line.get("status")
    code = (
        status.get("code", status.get("status_code")) if isinstance(status, dict) else line.get("status_code", status)
    )
    if code in (2, "2", "ERROR", "STATUS_CODE_ERROR", "Error"):
        said = status.get("message") or status.get("description") if isinstance(status, dict) else None
        return str(said or line.get("status_message") or "the span's status is ERROR")
    return ""


def flat_attributes(line: JsonDict) -> JsonDict:
    """All attributes of a span by their dotted names."""
    given = parsed(line.get("attributes"))
    if isinstance(given, list):
        return {
            pair["key"]: _otlp_value(pair.get("value"))
            for pair in given
            if isinstance(pair, dict) and isinstance(pair.get("key"), str)
        }
    if isinstance(given, dict):
        if any(isinstance(value, dict) for value in given.values()):
            flat: JsonDict = {}
            _flatten(given, "", flat)
            return flat
        return given
    flat = {}
    for key, value in line.items():
        name = key.removeprefix("attributes.")
        if value is None or (name == key and "." not in key):
            continue
        if isinstance(value, dict):
            _flatten(value, f"{name}.", flat)
        else:
            flat[name] = value
    return flat


def _flatten(node: JsonDict, prefix: str, flat: JsonDict) -> None:
    """Objects inside attributes become dotted names; lists stay."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            flat.setdefault(f"{prefix}{key}", value)
            _flatten(value, f"{prefix}{key}.", flat)
        else:
            flat[f"{prefix}{key}"] = value


def _otlp_value(value: Any) -> Any:
    """A value of OTLP's JSON as plain JSON. Integers are written as text there."""
    if not isinstance(value, dict):
        return value
    for key, inner in value.items():
        if key == "intValue" and isinstance(inner, str):
            return int(inner) if inner.lstrip("-").isdecimal() and len(inner) < 20 else inner
        if key == "arrayValue" and isinstance(inner, dict):
            items = inner.get("values")
            return [_otlp_value(item) for item in items] if isinstance(items, list) else []
        if key == "kvlistValue" and isinstance(inner, dict):
            pairs = inner.get("values")
            return {
                str(pair.get("key")): _otlp_value(pair.get("value"))
                for pair in (pairs if isinstance(pairs, list) else ())
                if isinstance(pair, dict)
            }
        if key in ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"):
            return inner
    return None


def numbered(attributes: JsonDict, prefix: str) -> list[JsonDict]:
    """A list that was written as numbered attributes (``prefix.0.role``), rebuilt; numbers may have gaps.

    Inner lists (``…tool_calls.0.name``) are rebuilt too. A list that is there as such is handed back.
    """
    given = parsed(attributes.get(prefix))
    if isinstance(given, list):
        return [item for item in given if isinstance(item, dict)]
    start = f"{prefix}."
    tree: JsonDict = {}
    for key, value in attributes.items():
        if key.startswith(start):
            *path, last = key[len(start) :].split(".")
            node = tree
            for step in path[:20]:
                inner = node.setdefault(step, {})
                if not isinstance(inner, dict):
                    inner = node[step] = {}
                node = inner
            if not isinstance(node.get(last), dict):
                node[last] = value
    rebuilt = _lists(tree)
    return [item for item in rebuilt if isinstance(item, dict)] if isinstance(rebuilt, list) else []


def _lists(node: Any) -> Any:
    """Objects whose keys are all numbers become lists in their order."""
    if not isinstance(node, dict):
        return node
    if node and all(key.isdecimal() and len(key) < 10 for key in node):
        if len(node) > _MAX_ITEMS:
            raise Unreadable(f"The span has more than {_MAX_ITEMS:,} numbered attributes.")
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}


def otlp_spans(line: JsonDict) -> list[Any] | None:
    """All spans of an OTLP export in one line, or None where it is none."""
    resources = line.get("resourceSpans", line.get("resource_spans"))
    if not isinstance(resources, list):
        return None
    found: list[Any] = []
    for resource in resources:
        scopes = resource.get("scopeSpans", resource.get("scope_spans")) if isinstance(resource, dict) else None
        for scope in scopes if isinstance(scopes, list) else ():
            spans = scope.get("spans") if isinstance(scope, dict) else None
            found.extend(spans if isinstance(spans, list) else ())
    return found

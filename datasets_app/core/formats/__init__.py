"""Trace formats: one reader module per family, and the table that tells them apart.

A new format is a module with a ``Format`` and a line in the table. The order matters: the first that recognises a line
has it, so the stricter come first. A line may also be a container (an OTLP export, a Langfuse trace with its
observations, a list): then each thing in it is recognised and read for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from datasets_app.core.formats import (
    anthropic,
    bedrock,
    canonical,
    chat,
    cohere,
    completions,
    gateways,
    gemini,
    langfuse,
    langsmith,
    openai_chat,
    openai_responses,
    otel,
    rows,
)
from datasets_app.core.formats.base import Format, NoCall
from datasets_app.core.formats.spans import otlp_spans
from datasets_app.core.records import Trace, Unreadable

# Formats that one of these keys gives away; a line without any of them need not be asked about them.
MARKED: tuple[Format, ...] = (
    gateways.HELICONE,
    gateways.LITELLM,
    gateways.VLLORA,
    bedrock.LOG,
    langsmith.FORMAT,
    langfuse.FORMAT,
    completions.STORED,
    anthropic.BATCH,
    rows.SHAREGPT,
    rows.ALPACA,
    rows.TAU,
    otel.OPENINFERENCE,
    otel.VERCEL,
    otel.OPENLLMETRY,
    otel.GENAI,
)
MARKS = frozenset(
    {"request_body", "signed_body_url", "call_type", "operation_name", "schemaType", "run_type"}
    | {"traceId", "trace_id", "projectId", "object", "custom_id", "conversations", "instruction", "traj"}
    | {"attributes", "span_kind", "attributes.openinference.span.kind", "gen_ai.operation.name", "gen_ai.system"}
    | {"context.span_id", "span_id", "ai.operationId", "attributes.gen_ai.operation.name", "attributes.gen_ai.system"}
)
COMMON: tuple[Format, ...] = (openai_chat.FORMAT, canonical.FORMAT, chat.FORMAT)
OTHERS: tuple[Format, ...] = (
    openai_responses.FORMAT,
    anthropic.FORMAT,
    completions.TEXT,
    gemini.FORMAT,
    cohere.FORMAT,
    bedrock.CALLS,
    rows.TABLE,
)
TABLE: tuple[Format, ...] = (*COMMON, *OTHERS, *MARKED)
_UNMARKED = (*COMMON, *OTHERS)
_ALL = (*MARKED, otel.OTHER, *COMMON, *OTHERS)
FORMATS: dict[str, Format] = {f.name: f for f in (*TABLE, otel.OTHER)}
# Formats whose records are spans: one call may be logged at several levels.
SPANS = frozenset(
    {"vllora", "langsmith", "langfuse", "litellm", "openinference", "vercel_ai", "openllmetry", "otel_genai"}
)
AUTO = "auto"
UNKNOWN_FORMAT = (
    "The format was not recognised. Chat messages, logs of OpenAI, Anthropic, Gemini, Cohere and Bedrock, exports of "
    "Langfuse, LangSmith, Helicone and LiteLLM, OpenTelemetry spans, and rows with a prompt are."
)
# Keys whose list of objects is what a line is about.
_LISTS = (
    "data",
    "traces",
    "records",
    "runs",
    "spans",
    "observations",
    "generations",
    "items",
    "results",
    "rows",
    "hits",
)
Reading = tuple[str, Trace | Unreadable]  # format name, and the record or why there is none


def recognise(line: Any) -> str | None:
    """Name of the first format of the table that recognises the JSON object, or None."""
    if isinstance(line, dict):
        for known in _UNMARKED if MARKS.isdisjoint(line) else _ALL:
            if known.recognise(line):
                return known.name
    return None


def items_of(line: Any) -> list[Any] | None:
    """What a container holds, each as an object that can be recognised for itself; None for anything else."""
    if isinstance(line, list):
        if not line or not all(isinstance(item, dict) for item in line):
            return None
        talk = all("role" in item or item.get("type") == "constructor" for item in line)
        return [{"messages": line}] if talk else line
    if not isinstance(line, dict):
        return None
    for inside in (otlp_spans(line), langfuse.observations(line)):
        if inside is not None:
            return inside
    for key in _LISTS:
        items = line.get(key)
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            return items
    return None


def readings(line: Any, format: str, fallback: str) -> Iterator[Reading]:
    """The records in one decoded line, in order, each with its format, or why there is none. Never empty.

    Args:
        format: a name from ``FORMATS``, or ``auto``.
        fallback: the format that is tried where ``auto`` recognises nothing.
    """
    name = recognise(line) if format == AUTO else format if _recognises(line, format) else None
    items = items_of(line) if name is None else None
    if items is None:
        yield _reading(line, name or (fallback if format == AUTO else format))
        return
    none = 0
    for item in items:
        own = (recognise(item) or fallback) if format == AUTO else format
        reading = _reading(item, own)
        if isinstance(reading[1], NoCall):
            none += 1
        else:
            yield reading
    if none == len(items):
        yield fallback, NoCall(f"None of the {none} spans in this line is a call of a model.")


def _recognises(line: Any, format: str) -> bool:
    return isinstance(line, dict) and FORMATS[format].recognise(line)


def _reading(line: Any, name: str) -> Reading:
    try:
        return name, parse(line, name)
    except Unreadable as error:
        return name, error


def detect(sample: Sequence[Any]) -> list[tuple[str, float]]:
    """Formats that decoded records can be read as, with their share (0 to 1) of all of them, the largest first.

    An empty list means the format is unknown. What the shares lack to 1 could be read as nothing.
    """
    counts: Counter[str] = Counter()
    for line in sample:
        if recognise(line) or items_of(line):
            found = (name for name, trace in readings(line, AUTO, canonical.FORMAT.name) if isinstance(trace, Trace))
            counts.update([name for name in [next(found, "")] if name])
    if not counts:
        counts = Counter(
            next((f.name for f in TABLE if f.accepts(line)), "") for line in sample if isinstance(line, dict)
        )
        counts.pop("", None)
    order = list(FORMATS)
    return [(name, n / len(sample)) for name, n in sorted(counts.items(), key=lambda i: (-i[1], order.index(i[0])))]


def parse(line: Any, format: str) -> Trace:
    """The record in one decoded line. Raises ``Unreadable``, and ``KeyError`` for an unknown format name."""
    known = FORMATS[format]
    if not isinstance(line, dict):
        raise Unreadable(f"The line holds {kind_of(line)}, not a JSON object.")
    return known.read(line)


def kind_of(value: Any) -> str:
    """JSON kind of a value with its article, for sentences."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"

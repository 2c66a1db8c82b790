"""Formats whose rows all have the same columns: CSV for people, Parquet for data tools, TRL for one's own training."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from datasets_app.core.exporting.base import Columns, Entry, Kind, Rendered, Rule, Unfit
from datasets_app.core.exporting.dialects import TRL, broken_rules, utf8_line
from datasets_app.core.records import Trace, clean_text, encode_json, tool_calls_of
from datasets_app.core.records_fields import field_value
from rft_project.platforms.types import JsonDict, last_user_text, text_of
from rft_project.spreadsheets import guarded

MOST_COLUMNS = 200  # item fields with a column of their own
_LONGEST_NAME = 100
_FIELD = "fields."
OTHERS = "other_fields"

NO_MESSAGES = Rule("no_messages", "The record has no list of messages, so it has no row in a table.")
REPLACED = Rule("characters_replaced", "NULs and halves of characters were replaced by U+FFFD.")
MESSAGES_AS_TEXT = Rule("parts_as_json", "Messages made of parts, such as pictures, hold them as JSON text.")

# Column, and what a reader expects of it; item fields come after these.
FIXED: dict[str, Kind] = {
    "record": "int",
    "user_message": "text",
    "logged_answer": "text",
    "topic": "text",
    "confidence": "float",
    "method": "text",
    "verdict": "text",
    "code": "text",
    "source": "text",
    "is_generated": "bool",
    "tokens": "int",
    "span_id": "text",
    "session_id": "text",
    "started_at": "float",
    "finished_at": "float",
}
JSON_COLUMNS = ("messages", "tools", "output", "metadata")


# --- which columns there are ----------------------------------------------------------------------------------------


def survey(columns: Columns, trace: Trace) -> None:
    """Take one more record into account."""
    for name, value in trace.fields.items():
        if name in columns.fields or (len(columns.fields) < MOST_COLUMNS and _is_name(name)):
            columns.fields[name] = _joined(columns.fields.get(name), kind_of(value))
        else:
            columns.others = True
    if trace.has_reference:
        columns.has_reference = True
        columns.reference = _joined(columns.reference, kind_of(trace.reference_answer))
    messages = trace.messages
    if not columns.tools:
        columns.tools = bool(trace.tools) or any(tool_calls_of(m) or m.get("role") == "tool" for m in messages)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == clean_text(name)


def kind_of(value: Any) -> Kind | None:
    """The narrowest kind of column that holds ``value``; None for null, which any holds."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    return "float" if isinstance(value, float) else "text" if isinstance(value, str) else "json"


def _joined(one: Kind | None, other: Kind | None) -> Kind | None:
    if one == other or other is None:
        return one
    if one is None:
        return other
    return "float" if {one, other} == {"int", "float"} else "json"


def typed(value: Any, kind: Kind | None) -> Any:
    """``value`` as a column of ``kind`` holds it. Raises Unfit where the column was counted without this value."""
    if value is None:
        return None
    if kind == "json":
        return encode_json(value)
    own = kind_of(value)
    if _joined(kind, own) != kind:
        raise Unfit(f"a {own} stands in a column of {kind}")
    return float(value) if kind == "float" else value


def cell(value: Any) -> Any:
    """``value`` for a reader who knows no kinds: text as it is, all else as JSON; None stays."""
    return value if value is None or isinstance(value, str) else encode_json(value)


# --- rows -----------------------------------------------------------------------------------------------------------


def fixed_values(entry: Entry) -> JsonDict:
    """The columns that do not depend on what the records hold."""
    trace, about = entry.trace, entry.about
    return {
        "record": entry.record,
        "user_message": last_user_text(trace.messages),
        "logged_answer": field_value(trace, "output.text", ""),
        "topic": about.topic or None,
        "confidence": about.confidence,
        "method": about.method or None,
        "verdict": about.verdict or None,
        "code": about.code or None,
        "source": about.source or None,
        "is_generated": about.is_generated,
        "tokens": about.tokens,
        "span_id": trace.span_id or None,
        "session_id": trace.session_id or None,
        "started_at": trace.started_at,
        "finished_at": trace.finished_at,
    }


def _others(trace: Trace, columns: Columns) -> JsonDict:
    """Fields without a column. Raises Unfit where there is no column for them either."""
    rest = {name: value for name, value in trace.fields.items() if name not in columns.fields}
    if (rest and not columns.others) or (trace.has_reference and not columns.has_reference):
        raise Unfit("a field came after the columns were counted")
    return rest


def field_names(columns: Columns) -> list[str]:
    """Names of the item fields' columns."""
    return [f"{_FIELD}{name}" for name, _ in columns.ordered] + ([OTHERS] if columns.others else [])


def has_messages(trace: Trace) -> bool:
    """The prompt is a list of messages, whatever these hold."""
    given = trace.input.get("messages")
    return isinstance(given, list) and all(isinstance(message, dict) for message in given)


# --- CSV ------------------------------------------------------------------------------------------------------------


def csv_names(columns: Columns) -> list[str]:
    reference = ["reference_answer"] if columns.has_reference else []
    return [*FIXED, *reference, *field_names(columns), *JSON_COLUMNS]


def csv_head(columns: Columns) -> bytes:
    """The line of names, after the mark by which spreadsheets know UTF-8."""
    return b"\xef\xbb\xbf" + _csv_line([guarded(name) for name in csv_names(columns)]) + b"\n"


def csv_row(entry: Entry, columns: Columns) -> Rendered:
    """One line. Objects and lists are JSON; what a spreadsheet would run as a formula has an apostrophe before it."""
    trace = entry.trace
    if not has_messages(trace):
        return Rendered(b"", (NO_MESSAGES.id,))
    values = list(fixed_values(entry).values())
    if columns.has_reference:
        values.append(cell(trace.reference_answer))
    rest = _others(trace, columns)
    values += [cell(trace.fields.get(name)) for name, _ in columns.ordered]
    values += [encode_json(rest) if rest else None] if columns.others else []
    values += [encode_json(value) if value else None for value in _json_values(trace)]
    texts = [guarded(value) if isinstance(value, str) else value for value in values]
    cleaned = [clean_text(text) if isinstance(text, str) else text for text in texts]
    return Rendered(_csv_line(cleaned), notes=() if cleaned == texts else (REPLACED.id,))


def _json_values(trace: Trace) -> tuple[Any, ...]:
    """Values of ``JSON_COLUMNS``."""
    return trace.messages, trace.tools, trace.output, trace.metadata


def _csv_line(values: list[Any]) -> bytes:
    buffer = io.StringIO()
    shown = ["true" if value is True else "false" if value is False else value for value in values]
    csv.writer(buffer, lineterminator="\r\n").writerow(shown)  # what is in the terminator is quoted in cells
    return buffer.getvalue()[:-2].encode()


# --- TRL ------------------------------------------------------------------------------------------------------------

# TRL hands columns to reward functions by name, beside arguments of its own.
_TAKEN_BY_TRL = frozenset(
    {"prompt", "prompts", "completion", "completions", "completion_ids", "chosen", "rejected", "label", "messages"}
    | {"tools", "images", "image", "chat_template_kwargs", "trainer_state", "log_extra", "log_metric"}
    | {"record", "topic", "reference_answer", "environments", OTHERS}
)


def trl_row(entry: Entry, columns: Columns) -> Rendered:
    """A row of a prompt-only conversational dataset, with the columns of every other row.

    Columns of one kind keep it; mixed ones, objects and lists are JSON text, so that the file loads without a schema.
    """
    trace = entry.trace
    broken = broken_rules(TRL, trace)
    if broken:
        return Rendered(b"", tuple(sorted(broken)))
    row: JsonDict = {"prompt": [_trl_message(message, columns.tools) for message in trace.messages]}
    if columns.tools:
        row["tools"] = encode_json(trace.tools)
    if columns.has_reference:
        row["reference_answer"] = typed(trace.reference_answer, columns.reference)
    rest = _others(trace, columns)
    for name, kind in columns.ordered:
        row[f"field_{name}" if name in _TAKEN_BY_TRL else name] = typed(trace.fields.get(name), kind)
    if columns.others:
        row[OTHERS] = encode_json(rest)
    row |= {"record": entry.record, "topic": entry.about.topic or None}
    text, replaced = utf8_line(row)
    return Rendered(text, notes=(REPLACED.id,) if replaced else ())


def _trl_message(message: JsonDict, tools: bool) -> JsonDict:
    plain: JsonDict = {"role": message.get("role"), "content": text_of(message.get("content"))}
    if tools:
        calls = tool_calls_of(message)
        plain |= {"tool_calls": [_trl_call(call) for call in calls], "tool_call_id": message.get("tool_call_id")}
    return plain


def _trl_call(call: JsonDict) -> JsonDict:
    function = call.get("function")
    known = function if isinstance(function, dict) else {}
    called = {"name": known.get("name"), "arguments": cell(known.get("arguments"))}
    return {"id": call.get("id"), "type": call.get("type"), "function": called}


# --- Parquet --------------------------------------------------------------------------------------------------------


def parquet_line(entry: Entry, columns: Columns) -> Rendered:
    """The row as the line of JSON that ``parquet.write`` reads."""
    trace = entry.trace
    if not has_messages(trace):
        return Rendered(b"", (NO_MESSAGES.id,))
    row = fixed_values(entry)
    if columns.has_reference:
        row["reference_answer"] = typed(trace.reference_answer, columns.reference)
    rest = _others(trace, columns)
    row |= {f"{_FIELD}{name}": typed(trace.fields.get(name), kind) for name, kind in columns.ordered}
    if columns.others:
        row[OTHERS] = encode_json(rest) if rest else None
    row["messages"] = [_parquet_message(message) for message in trace.messages]
    row |= {
        name: encode_json(value) if value else None
        for name, value in zip(JSON_COLUMNS[1:], _json_values(trace)[1:], strict=True)
    }
    parts = any(isinstance(message.get("content"), dict | list) for message in trace.messages)
    text, replaced = utf8_line(row)
    return Rendered(text, notes=(*((MESSAGES_AS_TEXT.id,) if parts else ()), *((REPLACED.id,) if replaced else ())))


def _parquet_message(message: JsonDict) -> JsonDict:
    calls = message.get("tool_calls")
    role, called = message.get("role"), message.get("tool_call_id")
    return {
        "role": cell(role),
        "content": cell(message.get("content")),
        "tool_calls": encode_json(calls) if calls else None,
        "tool_call_id": cell(called),
    }


def decoded(line: bytes) -> JsonDict:
    """A line that ``parquet_line`` wrote."""
    row: JsonDict = msgspec.json.decode(line)
    return row

"""A snapshot's records as training needs them: the platform's rows, and what a grader preset wants to know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datasets_app.core.records import Trace, encode_json
from datasets_app.core.rows import item_of
from datasets_app.core.tokens import count_text
from datasets_app.models import Snapshot, SnapshotItem
from graders_app.core.presets import PresetContext
from rft_project.platforms.types import JsonDict, ModelInfo, text_of
from wizard_app.core.answering import room_for_thoughts
from wizard_app.core.fitting import RowFacts
from wizard_app.models import RFTJob

TRAIN, VALID = "train", "valid"
_NUMBER = re.compile(r"\D{0,12}\d[\d,]*(?:\.\d+)?\D{0,20}")  # "42", "$ 1,300.50", "12 apples"
MOST_ALLOWED = 200  # distinct answers up to which a task counts as choosing from a list


def rows_of(snapshot: Snapshot, part: str) -> list[JsonDict]:
    return [item_of(item.trace) for item in snapshot.items.filter(part=part).order_by("pk").iterator()]


def reference_text(trace: Trace) -> str:
    """The reference as text; of a record without one, the logged answer."""
    if trace.has_reference and trace.reference_answer is not None:
        reference = trace.reference_answer
        return reference if isinstance(reference, str) else encode_json(reference)
    return next((text_of(message.get("content")) for message in reversed(trace.output_messages)), "")


@dataclass(frozen=True)
class _About:
    """``tokens``: the longest usual answer."""

    context: PresetContext
    tokens: int
    rows: RowFacts


@lru_cache(maxsize=32)
def _about(snapshot_pk: int, content_hash: str) -> _About:
    """What a snapshot's records hold; a snapshot never changes."""
    labels: dict[str, int] = {}
    keys: dict[str, int] = {}
    lengths, tokens, rows = [], [1], RowFacts()
    total = references = numbers = calls = offering = 0
    for item in SnapshotItem.objects.filter(snapshot=snapshot_pk).iterator():
        trace = item.trace
        row = item_of(trace)
        size = len(encode_json(row).encode("utf-8", "replace"))
        rows = rows.with_row(row, size=size, valid=item.part == VALID)
        total += 1
        references += trace.has_reference and trace.reference_answer is not None
        if trace.has_reference and isinstance(trace.reference_answer, str):
            labels[trace.reference_answer] = labels.get(trace.reference_answer, 0) + 1
        text = reference_text(trace)
        if text:
            lengths.append(len(text))
            tokens.append(count_text(text))
        numbers += bool(_NUMBER.fullmatch(_plain_reference(trace)))
        calls += _is_calls(trace.reference_answer)
        offering += bool(trace.tools)
        for key in _json_keys(trace):
            keys[key] = keys.get(key, 0) + 1
    lengths.sort()
    tokens.sort()
    context = PresetContext(
        labels=sorted(labels) if len(labels) <= MOST_ALLOWED else [],
        reference_count=references,
        total=total,
        json_fields=sorted(key for key, n in keys.items() if n * 2 >= total),
        typical_answer_chars=lengths[len(lengths) // 2] if lengths else 400,
        number_count=numbers,
        call_count=calls,
        tool_count=offering,
    )
    return _About(context, tokens[int(0.95 * (len(tokens) - 1))], rows)


def _plain_reference(trace: Trace) -> str:
    reference = trace.reference_answer
    if isinstance(reference, bool):
        return ""
    return str(reference) if isinstance(reference, str | int | float) else ""


def _is_calls(reference: Any) -> bool:
    """Whether a reference is a tool call, a list of them, or an object with ``tool_calls``."""
    if isinstance(reference, dict) and "tool_calls" in reference:
        reference = reference["tool_calls"]
    entries = reference if isinstance(reference, list) else [reference]
    functions = [entry.get("function", entry) if isinstance(entry, dict) else None for entry in entries]
    return bool(functions) and all(isinstance(f, dict) and {"name", "arguments"} <= set(f) for f in functions)


def _json_keys(trace: Trace) -> list[str]:
    reference: Any = trace.reference_answer
    return list(reference) if isinstance(reference, dict) else []


def preset_context(snapshot: Snapshot) -> PresetContext:
    return _about(snapshot.pk, snapshot.content_hash).context


def row_facts(snapshot: Snapshot) -> RowFacts:
    return _about(snapshot.pk, snapshot.content_hash).rows


def allowed_answers(snapshot: Snapshot) -> list[str]:
    """The distinct references where they are few enough to be a list to choose from, else []."""
    return preset_context(snapshot).labels


def reads_json(run: RFTJob) -> bool:
    """Whether answers that are JSON are of use: the grader reads their fields, or the references have some."""
    reads = "output_json" in encode_json(run.grader_config or {})
    return reads or bool(preset_context(run.frozen).json_fields)


def answer_tokens(snapshot: Snapshot, info: ModelInfo | None, effort: str = "") -> int:
    """Tokens an answer may have: twice the usual longest reference and a few more, within what the model takes, and
    room for its thoughts, which count among them."""
    usual = _about(snapshot.pk, snapshot.content_hash).tokens
    wanted = max(8, 2 * usual + 4)
    most = info.max_answer_tokens if info is not None else None
    return min(wanted, most or 1024, 1024) + room_for_thoughts(info, effort)

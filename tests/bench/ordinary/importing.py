"""Read the file, store it, then go through the rows and write their verdicts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import quicktok

from tests.bench.ordinary.models import Trace
from tests.bench.peers.naive import check, text_of

BATCH = 1000
MAX_TOKENS = 8000


def exact_counter() -> Callable[[str], int]:
    count: Callable[[str], int] = quicktok.get_encoding("o200k_base").count
    return count


def run(path: Path, dataset: str, count: Callable[[str], int]) -> dict[str, int]:
    """Verdicts of the file: records by their first code, ``valid`` and ``unreadable`` included."""
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        while chunk := list(islice(lines, BATCH)):
            rows = [row for row in (_row(line, dataset) for line in chunk) if row is not None]
            counts["unreadable"] += len(chunk) - len(rows)
            Trace.objects.bulk_create(rows)
    checked: list[Trace] = []
    for row in Trace.objects.filter(dataset=dataset).iterator(chunk_size=BATCH):
        row.tokens = _tokens(row.data, count)
        row.verdict = check(row.data) or ("exceeds_max_tokens" if row.tokens > MAX_TOKENS else "valid")
        counts[row.verdict] += 1
        checked.append(row)
        if len(checked) == BATCH:
            Trace.objects.bulk_update(checked, ["verdict", "tokens"])
            checked.clear()
    Trace.objects.bulk_update(checked, ["verdict", "tokens"])
    return dict(sorted(counts.items()))


def _row(line: str, dataset: str) -> Trace | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return Trace(dataset=dataset, span_id=record.get("span_id", ""), data=record)


def _tokens(record: Any, count: Any) -> int:
    """As the product counts: the texts of the prompt and its tool calls as compact JSON."""
    data = record.get("data", record)
    given = data.get("input") if isinstance(data, dict) else None
    messages = given.get("messages") if isinstance(given, dict) else None
    total = 0
    for message in messages if isinstance(messages, list) else ():
        total += count(text_of(message.get("content")))
        if message.get("tool_calls"):
            total += count(json.dumps(message["tool_calls"], separators=(",", ":")))
    return total

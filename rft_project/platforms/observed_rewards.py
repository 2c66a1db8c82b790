"""The reward curve a grader's own log tells, where a platform tells none. Pure.

The compiled function logs one line of JSON for each answer it grades. They are counted off in lots, about one training
step each where batch size and answers per prompt are known. That is what the *grader* saw: the trainer's steps may lie
otherwise, and lines may be missing or late. Hence its series are called ``observed_reward`` and not ``train_reward``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import defaultdict
from typing import Any

from .errors import PlatformError
from .lambda_grader import TRIAL
from .types import JsonDict, TrainingEvent, Value

#: Gradings in a lot where the job does not say how many a step has.
LOT = 256
#: How rows of each set are called in the files that are uploaded; graders get and log it.
TRAIN, VALID = "train-", "valid-"
#: Columns of metric files under the names of ours, by what Bedrock's console calls them.
_COLUMNS = {
    "critic/rewards/mean": "train_reward",
    "val-score/rewards/mean@1": "valid_reward",
    "response_length/mean": "answer_tokens",
    "actor/entropy": "entropy",
}
_STEPS = ("step", "step_number", "global_step", "training/global_step")
_CURSOR = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)(!?)\Z")


class Cursor(Value):
    """How far a job's story was read: ``lots`` told; the log from ``since`` (epoch ms) on, without the ``seen`` lines
    of that millisecond that were counted; ``rows`` of its metric files. ``refused``: it was said that the log may not
    be read."""

    lots: int = 0
    since: int = 0
    seen: int = 0
    rows: int = 0
    refused: bool = False

    @classmethod
    def of(cls, text: str | None) -> Cursor:
        """Raises PlatformError for a text that is no cursor."""
        found = _CURSOR.match(text or "0.0.0.0")
        if found is None:
            raise PlatformError("This is no place in a job's events to go on from.", status=400)
        lots, since, seen, rows = map(int, found.groups()[:4])
        return cls(lots=lots, since=since, seen=seen, rows=rows, refused=bool(found[5]))

    def text(self) -> str:
        return f"{self.lots}.{self.since}.{self.seen}.{self.rows}{'!' if self.refused else ''}"


class Graded(Value):
    """One line of a grader's log. ``at``: epoch ms."""

    at: int
    reward: float | None
    parts: dict[str, float]
    failed: bool
    counted: bool  # False for trials, validation rows and lines that are none of the grader's


def _is_ours(line: dict[str, Any]) -> bool:
    rewards, errors = line.get("sub_rewards"), line.get("errors")
    told = isinstance(rewards, dict) and isinstance(errors, list) and all(isinstance(error, dict) for error in errors)
    return told and {"id", "reward"} <= line.keys()


def graded(at: int, message: str) -> Graded:
    """A log line as it is counted; START, END, REPORT and what a grader prints itself are not, whatever it is."""
    try:
        line: Any = json.loads(message)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or not _is_ours(line):
        return Graded(at=at, reward=None, parts={}, failed=False, counted=False)
    parts = {name: value for name, value in line["sub_rewards"].items() if _is_number(value)}
    return Graded(
        at=at,
        reward=line["reward"] if _is_number(line["reward"]) else None,
        parts=parts,
        failed=any(error.get("kind") != "sample_parse_error" for error in line["errors"]),
        counted=not str(line["id"]).startswith((TRIAL, VALID)),
    )


def told(lines: list[Graded], cursor: Cursor, lot: int, *, final: bool) -> tuple[list[TrainingEvent], Cursor]:
    """Events of the lots that are whole in ``lines`` (all since ``cursor``, in order), and the cursor after them.

    ``final``: the job is over, so the rest is a lot too.
    """
    fresh = _fresh(lines, cursor)
    events: list[TrainingEvent] = []
    open_lot: list[Graded] = []
    for position, line in enumerate(fresh):
        if line.counted:
            open_lot.append(line)
        if len(open_lot) == lot or (final and open_lot and position == len(fresh) - 1):
            events.append(_event(open_lot, cursor.lots + 1))
            cursor = _after(fresh[: position + 1], cursor)
            open_lot = []
    return events, cursor


def _fresh(lines: list[Graded], cursor: Cursor) -> list[Graded]:
    skipped = 0
    fresh = []
    for line in lines:
        if line.at < cursor.since:
            continue
        if line.at == cursor.since and skipped < cursor.seen:
            skipped += 1
            continue
        fresh.append(line)
    return fresh


def _after(read: list[Graded], cursor: Cursor) -> Cursor:
    last = read[-1].at
    same = sum(line.at == last for line in read)
    seen = same + (cursor.seen if last == cursor.since else 0)
    return cursor.model_copy(update={"lots": cursor.lots + 1, "since": last, "seen": seen})


def _event(lot: list[Graded], number: int) -> TrainingEvent:
    parts: dict[str, list[float]] = defaultdict(list)
    for line in lot:
        for name, value in line.parts.items():
            parts[name].append(value)
    metrics = {"observed_reward": _mean([line.reward or 0.0 for line in lot])}
    metrics |= {f"observed_reward:{name}": _mean(values) for name, values in sorted(parts.items())}
    metrics["errors"] = float(sum(line.failed for line in lot))
    return TrainingEvent(id=f"observed-{number}", at=lot[-1].at / 1000, step=number, metrics=metrics)


def steps_of(content: str) -> list[tuple[int, dict[str, float]]]:
    """Steps and numbers of a metrics file, whatever its columns are called; [] where it has no column of steps."""
    table = csv.DictReader(io.StringIO(content))
    name = next((column for column in table.fieldnames or [] if column.strip().lower() in _STEPS), None)
    if name is None:
        return []
    found = []
    for row in table:
        step = _number(row[name])
        if step is not None:
            numbers = {c: n for c, text in row.items() if c and c != name and (n := _number(text)) is not None}
            found.append((int(step), {_COLUMNS.get(column, column): number for column, number in numbers.items()}))
    return found


def lot_size(hyperparameters: JsonDict) -> int:
    """Gradings in one step of a job, where both of its settings are known."""
    batch, answers = hyperparameters.get("batchSize"), hyperparameters.get("trainingSamplePerPrompt")
    return int(batch) * int(answers) if batch and answers else LOT


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)

"""Train / validation split: deterministic, stratified by topic, keeping together what belongs together. No I/O.

The order in which rows are considered comes from a hash of seed and row id, so a split does not depend on the order of
the rows, and a row added later changes as little as possible.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

DEFAULT_RATIO = 0.9
MIN_VALIDATION = 20  # below this a mean reward is too rough to compare with
MAX_VALIDATION_SHARE = 0.3  # what a small dataset gives up at most to reach MIN_VALIDATION
MAX_TRACE_SHARE = 0.5  # of the rows allowed in validation, at most this share goes there
NO_TOPIC = "uncategorized"


@dataclass(frozen=True)
class Row:
    """One record to place. Rows that share a group key (a conversation, a session, a near-duplicate group) stay on one
    side; keys of different kinds need different prefixes, as in ``conversation:17`` and ``near:4``."""

    id: str | int
    topic: str | None = None
    generated: bool = False
    groups: tuple[str, ...] = ()


class Leak(NamedTuple):
    """A validation row with a group mate in training."""

    valid_id: str | int
    train_id: str | int
    group: str


class TopicSplit(BaseModel):
    """Rows of one topic; ``generated`` counts those among train and valid together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int
    valid: int
    generated: int = 0


class SplitReport(BaseModel):
    """What the split page shows. Shares and balance 0..1; balance ``None`` with fewer than two topics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int
    train: int
    valid: int
    from_traces: int
    generated: int
    synthetic_share: float
    topics: dict[str, TopicSplit]
    balance_before: float | None
    balance_after: float | None
    moved: int
    not_validated: list[str]
    notes: list[str]
    ratio: float
    seed: int


class Split(NamedTuple):
    """Ids of both sides, each in the order of the rows given."""

    train: list[str | int]
    valid: list[str | int]
    report: SplitReport


@dataclass(frozen=True)
class _Group:
    """Rows that stay together. ``topic``: the most frequent of its rows."""

    rows: tuple[Row, ...]
    topic: str
    rank: str
    allowed: bool  # may go to validation


class SplitError(ValueError):
    """The rows or options cannot be split; the message is one sentence for people."""


def split(
    rows: Sequence[Row],
    *,
    ratio: float = DEFAULT_RATIO,
    seed: int = 0,
    stratify: bool = True,
    generated_in_validation: bool = False,
    min_validation: int = MIN_VALIDATION,
) -> Split:
    """Place every row in train or validation.

    Validation gets ``1 - ratio`` of all rows, but at least ``min_validation``, for which a small dataset gives up to
    ``MAX_VALIDATION_SHARE`` of its rows, and at least one row of every topic that has two groups to choose from.
    Generated rows, and rows grouped with one, stay in training unless ``generated_in_validation``.
    Raises :class:`SplitError`.
    """
    if not 0.0 < ratio < 1.0:
        raise SplitError("The training share must be between 0 and 1, for example 0.9.")
    if len({row.id for row in rows}) != len(rows):
        raise SplitError("A record appears twice: each can be split only once.")
    groups = _grouped(rows, seed, generated_in_validation)
    target = validation_size(len(rows), _allowed_rows(groups), ratio, min_validation)
    chosen = _choose(groups, target, stratify)
    valid_ids = {row.id for group in chosen for row in group.rows}
    alone = _grouped([Row(row.id, row.topic, row.generated) for row in rows], seed, generated_in_validation)
    naive = {row.id for group in _choose(alone, target, stratify) for row in group.rows}
    moved = len({leak.valid_id for leak in leaks(*_sides(rows, naive))})
    train, valid = _sides(rows, valid_ids)
    report = _report(rows, train, valid, moved=moved, ratio=ratio, seed=seed)
    return Split([row.id for row in train], [row.id for row in valid], report)


def validation_size(total: int, allowed: int, ratio: float, min_validation: int = MIN_VALIDATION) -> int:
    """Rows aimed at for validation, of ``total`` rows of which ``allowed`` may go there."""
    size = round(total * (1.0 - ratio))
    size = max(size, min(min_validation, int(total * MAX_VALIDATION_SHARE)))
    return max(min(size, int(allowed * MAX_TRACE_SHARE)), 1 if allowed and total > 1 else 0)


def leaks(train: Iterable[Row], valid: Iterable[Row]) -> list[Leak]:
    """Every validation row that shares a group key with a training row, once, with the first such row."""
    first: dict[str, str | int] = {}
    for row in train:
        for key in row.groups:
            first.setdefault(key, row.id)
    found = []
    for row in valid:
        shared = [key for key in row.groups if key in first]
        if shared:
            found.append(Leak(row.id, first[shared[0]], shared[0]))
    return found


def _rank(seed: int, row_id: str | int) -> str:
    return hashlib.blake2b(f"{seed}:{row_id}".encode(), digest_size=8).hexdigest()


def _allowed_rows(groups: Iterable[_Group]) -> int:
    return sum(len(group.rows) for group in groups if group.allowed)


def _sides(rows: Iterable[Row], valid_ids: set[str | int]) -> tuple[list[Row], list[Row]]:
    every = list(rows)
    return [row for row in every if row.id not in valid_ids], [row for row in every if row.id in valid_ids]


def _grouped(rows: Sequence[Row], seed: int, generated_in_validation: bool) -> list[_Group]:
    """Connected rows (sharing any key, directly or through others) as groups, in the seeded order."""
    parent = list(range(len(rows)))

    def find(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        for key in row.groups:
            parent[find(index)] = find(first.setdefault(key, index))
    members: dict[int, list[Row]] = defaultdict(list)
    for index, row in enumerate(rows):
        members[find(index)].append(row)
    groups = []
    for together in members.values():
        topics = Counter(row.topic or NO_TOPIC for row in together)
        topic = min(topics, key=lambda name: (-topics[name], name))
        rank = min(_rank(seed, row.id) for row in together)
        allowed = generated_in_validation or not any(row.generated for row in together)
        groups.append(_Group(tuple(together), topic, rank, allowed))
    return sorted(groups, key=lambda group: group.rank)


def _choose(groups: Sequence[_Group], target: int, stratify: bool) -> list[_Group]:
    """Groups for validation. Of each topic one group at least stays in training."""
    by_topic: dict[str, list[_Group]] = defaultdict(list)
    everywhere: Counter[str] = Counter()
    for group in groups:
        name = group.topic if stratify else ""
        everywhere[name] += 1
        if group.allowed:
            by_topic[name].append(group)
    sizes = {name: _allowed_rows(members) for name, members in by_topic.items()}
    chosen: list[_Group] = []
    for name, quota in quotas(sizes, target).items():
        members = by_topic[name]
        most = len(members) if everywhere[name] > len(members) else len(members) - 1
        if target > 0:
            chosen += _fill(members, quota, most)
    return chosen


def quotas(sizes: Mapping[str, int], target: int) -> dict[str, int]:
    """``target`` shared out in proportion to ``sizes`` by largest remainder (ties by name), each at least 1.

    What the minimum of 1 takes too much is taken back from the largest shares, so the sum is the target or, where there
    are more topics than that, their number.
    """
    total = sum(sizes.values())
    if not total:
        return dict.fromkeys(sizes, 0)
    exact = {name: target * size / total for name, size in sizes.items()}
    share = {name: int(value) for name, value in exact.items()}
    left = target - sum(share.values())
    for name in sorted(exact, key=lambda name: (share[name] - exact[name], name))[: max(left, 0)]:
        share[name] += 1
    share = {name: max(value, 1) for name, value in share.items()}
    for _ in range(sum(share.values()) - target):
        largest = max(sorted(share), key=lambda name: share[name])
        if share[largest] > 1:
            share[largest] -= 1
    return share


def _fill(members: Sequence[_Group], quota: int, most: int) -> list[_Group]:
    """Groups in seeded order while they fit the quota, at most ``most``; the smallest one when none fits."""
    taken: list[_Group] = []
    room = quota
    for group in members:
        if len(taken) < most and len(group.rows) <= room:
            taken.append(group)
            room -= len(group.rows)
    if not taken and most > 0:
        taken = [min(members, key=lambda group: (len(group.rows), group.rank))]
    return taken


def _report(
    rows: Sequence[Row], train: Sequence[Row], valid: Sequence[Row], *, moved: int, ratio: float, seed: int
) -> SplitReport:
    counts = {"train": _by_topic(train), "valid": _by_topic(valid), "all": _by_topic(rows)}
    made = _by_topic(row for row in rows if row.generated)
    topics = {
        name: TopicSplit(train=counts["train"][name], valid=counts["valid"][name], generated=made[name])
        for name in sorted(counts["all"])
    }
    generated = sum(made.values())
    not_validated = [name for name, topic in topics.items() if topic.valid == 0]
    return SplitReport(
        total=len(rows),
        train=len(train),
        valid=len(valid),
        from_traces=len(rows) - generated,
        generated=generated,
        synthetic_share=generated / len(rows) if rows else 0.0,
        topics=topics,
        balance_before=_balance(counts["all"], topics),
        balance_after=_balance(counts["train"], topics),
        moved=moved,
        not_validated=not_validated,
        notes=_notes(len(rows), len(valid), not_validated, moved=moved, ratio=ratio),
        ratio=ratio,
        seed=seed,
    )


def _notes(total: int, valid: int, not_validated: Sequence[str], *, moved: int, ratio: float) -> list[str]:
    notes = []
    aimed = round(total * (1.0 - ratio))
    if valid > aimed + 1:
        notes.append(
            f"Validation has {valid} of {total} records ({valid / total:.0%}), over the {1 - ratio:.0%} asked for, "
            "so that its mean says something."
        )
    if total and valid < MIN_VALIDATION:
        notes.append(f"Validation has only {valid} records: differences between models will be rough.")
    if moved:
        notes.append(f"{moved} had a near-twin or a turn of the same conversation in training: kept on one side.")
    if not_validated:
        names = ", ".join(not_validated[:3]) + (" and others" if len(not_validated) > 3 else "")
        notes.append(f"Validation has no record of {names}: import more of these.")
    return notes


def _by_topic(rows: Iterable[Row]) -> Counter[str]:
    return Counter(row.topic or NO_TOPIC for row in rows)


def _balance(counts: Mapping[str, int], topics: Iterable[str]) -> float | None:
    """Smallest topic / largest, 0..1, uncategorized rows left out."""
    values = [counts.get(name, 0) for name in topics if name != NO_TOPIC]
    if len(values) < 2:
        return None
    return min(values) / max(values) if max(values) else 0.0

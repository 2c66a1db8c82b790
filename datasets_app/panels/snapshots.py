"""The snapshots of a dataset and what differs between two of them."""

from __future__ import annotations

from dataclasses import dataclass

from datasets_app.models import Dataset, Snapshot, SnapshotItem
from datasets_app.panels.previews import told
from datasets_app.snapshots import difference
from rft_project.jobs.models import Job, live_job
from rft_project.web.worddiff import Pair, turn_diff

SHOWN = 100  # snapshots in the list
LISTED = 20  # records of each kind in a comparison


@dataclass(frozen=True)
class SnapshotLine:
    snapshot: Snapshot
    records: int
    made: str
    previous: int  # the snapshot before it, 0 for the first


@dataclass(frozen=True)
class SnapshotsPanel:
    dataset: Dataset
    lines: list[SnapshotLine]
    job: Job | None


def snapshots_panel(dataset: Dataset) -> SnapshotsPanel:
    found = list(dataset.snapshots.select_related("created_by").order_by("-pk")[:SHOWN])
    lines = []
    for at, snapshot in enumerate(found):
        by_hand = snapshot.params.get("made") == "by hand"
        records = snapshot.report.get("records") or sum(snapshot.report.get(part, 0) for part in ("train", "valid"))
        before = next((other.pk for other in found[at + 1 :] if other.content_hash), 0)
        made = f"By {snapshot.created_by or 'somebody'}" if by_hand else "For a training run"
        lines.append(SnapshotLine(snapshot, records, made, before))
    return SnapshotsPanel(dataset, lines, live_job(f"dataset:{dataset.pk}:snapshot"))


@dataclass(frozen=True)
class ChangedItem:
    pk: int
    said: str
    words: Pair | None


@dataclass(frozen=True)
class DiffPanel:
    before: Snapshot
    after: Snapshot
    others: list[Snapshot]
    added: list[SnapshotItem]
    removed: list[SnapshotItem]
    changed: list[ChangedItem]
    counts: tuple[int, int, int]
    topics: list[tuple[str, int, int, int]]

    @property
    def same(self) -> bool:
        return not any(self.counts)


def diff_panel(before: Snapshot, after: Snapshot) -> DiffPanel:
    found = difference(before, after)
    counts = found.added.count(), found.removed.count(), found.changed.count()
    return DiffPanel(
        before=before,
        after=after,
        others=list(after.dataset.snapshots.exclude(content_hash="").order_by("-pk")[:SHOWN]),
        added=list(found.added[:LISTED]),
        removed=list(found.removed[:LISTED]),
        changed=[_changed(item) for item in found.changed[:LISTED]],
        counts=counts,
        topics=[(name, was, now, now - was) for name, was, now in found.topics],
    )


def _changed(item: SnapshotItem) -> ChangedItem:
    was = SnapshotItem(body=item.was_body)  # type: ignore[attr-defined]
    said = [
        f"{name}: {old or 'none'} → {new or 'none'}"
        for name, old, new in (
            ("topic", item.was_topic, item.topic),  # type: ignore[attr-defined]
            ("verdict", item.was_verdict, item.verdict),  # type: ignore[attr-defined]
        )
        if old != new
    ]
    words = turn_diff(told(was.trace), told(item.trace)) if was.body != item.body else None
    return ChangedItem(item.record_id, ", ".join(said), words)

"""Checkpoints of a run on disk: written whole or not at all, the best few and the last kept. No torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEPT_BEST = 3
RECORD = "training.json"


class Checkpoints:
    """Folders ``step-<n>`` below ``directory``, each with the adapter and ``training.json`` (step, valid_reward)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for unfinished in directory.glob(".*"):
            shutil.rmtree(unfinished, ignore_errors=True)

    def write(self, step: int, record: dict[str, Any], save: Callable[[Path], None]) -> Path:
        """``save`` writes the adapter into the folder it gets. Replaces a checkpoint of the same step; drops those
        that are neither the last nor among the best. Returns the folder."""
        target = self.directory / f"step-{step}"
        unfinished = self.directory / f".step-{step}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        save(unfinished)
        (unfinished / RECORD).write_text(json.dumps({"step": step, **record}))
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
        self._prune()
        return target

    def records(self) -> list[dict[str, Any]]:
        """``training.json`` of every checkpoint, by step."""
        found = [json.loads((p / RECORD).read_text()) for p in self.directory.glob("step-*")]
        return sorted(found, key=lambda r: r["step"])

    def best(self) -> dict[str, Any] | None:
        """Record of the highest validation reward, the earliest of equals; None where nothing was validated."""
        scored = _ranked([r for r in self.records() if r["valid_reward"] is not None])
        return scored[0] if scored else None

    def _prune(self) -> None:
        records = self.records()
        keep = {r["step"] for r in [records[-1], *_ranked(records)[:KEPT_BEST]]}
        for record in records:
            if record["step"] not in keep:
                shutil.rmtree(self.directory / f"step-{record['step']}")


def _ranked(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Best first, the earliest of equals; without validation the newest first."""
    if any(r["valid_reward"] is not None for r in records):
        records = [r for r in records if r["valid_reward"] is not None]
        return sorted(records, key=lambda r: (-r["valid_reward"], r["step"]))
    return sorted(records, key=lambda r: -r["step"])


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """``path`` with what ``write`` puts into the file it is given: after a crash the old content or the new, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    write(unfinished)
    with unfinished.open("rb") as stream:
        os.fsync(stream.fileno())
    unfinished.replace(path)

"""The engine's state on disk: files, jobs, events, checkpoints. One SQLite file and plain folders.

Several processes use it at once (the server and the training worker); every method is one transaction, so a
``kill -9`` at any moment leaves the state before it or after it. Times are epoch seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rft_project.engine.records import (
    CANCELLED,
    FAILED,
    QUEUED,
    SUCCEEDED,
    CheckpointRecord,
    Event,
    FileRecord,
    Job,
    NewJob,
)
from rft_project.platforms.types import JsonDict

#: Metadata key under which a client names its intent: one key, one job.
APP_KEY = "app_key"
#: Starts of a job's training process without a new step between them before it is given up.
MOST_STARTS = 5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, filename TEXT NOT NULL, purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, app_key TEXT UNIQUE, created_at INTEGER NOT NULL,
  started_at INTEGER, finished_at INTEGER, status TEXT NOT NULL, model TEXT NOT NULL, fine_tuned_model TEXT,
  training_file TEXT NOT NULL, validation_file TEXT NOT NULL, suffix TEXT NOT NULL, seed INTEGER NOT NULL,
  metadata TEXT NOT NULL, method TEXT NOT NULL, error TEXT, step INTEGER, total_steps INTEGER,
  starts INTEGER NOT NULL DEFAULT 0, step_at_start INTEGER
);
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, created_at REAL NOT NULL,
  level TEXT NOT NULL, type TEXT NOT NULL, message TEXT NOT NULL, data TEXT
);
CREATE INDEX IF NOT EXISTS events_of_job ON events (job, number);
CREATE TABLE IF NOT EXISTS checkpoints (
  id TEXT PRIMARY KEY, job TEXT NOT NULL, step INTEGER NOT NULL, created_at INTEGER NOT NULL,
  model TEXT NOT NULL UNIQUE, metrics TEXT NOT NULL, UNIQUE (job, step)
);
"""


class Store:
    """Thread-safe. ``directory`` is made where it is missing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "files").mkdir(parents=True, exist_ok=True)
        (directory / "jobs").mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            directory / "engine.sqlite3", timeout=20.0, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # Files

    def file_path(self, file_id: str) -> Path:
        return self.directory / "files" / f"{file_id}.jsonl"

    def upload_path(self) -> Path:
        """Where to write an upload before ``add_file`` takes it over."""
        return self.directory / "files" / f"{secrets.token_hex(12)}.part"

    def add_file(self, content: Path, filename: str, purpose: str) -> FileRecord:
        """Moves ``content`` into the store; it is on disk before anything names it."""
        record = FileRecord(f"file-{secrets.token_hex(12)}", _now(), filename, purpose, content.stat().st_size)
        with content.open("rb") as stream:
            os.fsync(stream.fileno())
        content.replace(self.file_path(record.id))
        values = (record.id, record.created_at, filename, purpose, record.bytes)
        with self._write() as cursor:
            cursor.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", values)
        return record

    def file(self, file_id: str) -> FileRecord | None:
        row = self._row("SELECT * FROM files WHERE id = ?", file_id)
        return FileRecord(**dict(row)) if row else None

    def files(self) -> list[FileRecord]:
        """Newest first."""
        return [FileRecord(**dict(row)) for row in self._rows("SELECT * FROM files ORDER BY rowid DESC")]

    def file_in_use(self, file_id: str) -> bool:
        """Whether a job that is not finished needs it."""
        query = "SELECT 1 FROM jobs WHERE ? IN (training_file, validation_file) AND status IN ('queued', 'running')"
        return self._row(query, file_id) is not None

    def delete_file(self, file_id: str) -> None:
        with self._write() as cursor:
            cursor.execute("DELETE FROM files WHERE id = ?", (file_id,))
        self.file_path(file_id).unlink(missing_ok=True)

    # Jobs

    def job_folder(self, job_id: str) -> Path:
        return self.directory / "jobs" / job_id

    def create_job(self, new: NewJob) -> tuple[Job, bool]:
        """The new job and True, or the one an earlier request with the same ``metadata["app_key"]`` made and False."""
        key = new.metadata.get(APP_KEY)
        job_id = f"ftjob-{secrets.token_hex(8)}"
        values = (job_id, key, _now(), QUEUED, new.model, new.training_file, new.validation_file, new.suffix, new.seed)
        with self._write() as cursor:
            found = cursor.execute("SELECT id FROM jobs WHERE app_key = ?", (key,)).fetchone() if key else None
            if not found:
                cursor.execute(
                    "INSERT INTO jobs (id, app_key, created_at, status, model, training_file, validation_file, suffix,"
                    " seed, metadata, method) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, json.dumps(new.metadata), json.dumps(new.method)),
                )
                _add_event(cursor, job_id, "created", "info", "message", f"Created fine-tuning job: {job_id}", None)
            made = self.job(found["id"] if found else job_id)
        assert made is not None
        return made, not found

    def job(self, job_id: str) -> Job | None:
        row = self._row("SELECT * FROM jobs WHERE id = ?", job_id)
        return _job(row) if row else None

    def jobs(self, after: str | None, limit: int, metadata: dict[str, str]) -> tuple[list[Job], bool]:
        """Newest first, those before ``after`` with all of ``metadata``; and whether there are more."""
        query = "SELECT * FROM jobs WHERE 1"
        values: list[Any] = []
        if after is not None:
            query += " AND number < (SELECT number FROM jobs WHERE id = ?)"
            values.append(after)
        for name, value in metadata.items():
            query += " AND EXISTS (SELECT 1 FROM json_each(jobs.metadata) WHERE key = ? AND value = ?)"
            values += [name, value]
        rows = self._rows(query + " ORDER BY number DESC LIMIT ?", *values, limit + 1)
        return [_job(row) for row in rows[:limit]], len(rows) > limit

    def next_job(self) -> Job | None:
        """A job that was running when the engine ended, else the one that waits longest."""
        row = self._row(
            "SELECT * FROM jobs WHERE status IN ('running', 'queued') ORDER BY status = 'running' DESC, number LIMIT 1"
        )
        return _job(row) if row else None

    def start(self, job_id: str) -> bool:
        """Counts a start of the training process before it happens; False (job failed) after too many in vain."""
        with self._write() as cursor:
            row = cursor.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            starts = row["starts"] + 1 if row["step"] == row["step_at_start"] else 1
            if starts > MOST_STARTS:
                message = (
                    f"The training process died {MOST_STARTS} times in a row at step {row['step'] or 0}: "
                    "there may be too little memory."
                )
                _finish(cursor, job_id, FAILED, None, {"code": "process_died", "message": message, "param": None})
                return False
            cursor.execute(
                "UPDATE jobs SET status = 'running', started_at = coalesce(started_at, ?), starts = ?,"
                " step_at_start = step WHERE id = ? AND status IN ('queued', 'running')",
                (_now(), starts, job_id),
            )
            return bool(cursor.rowcount)

    def finish(self, job_id: str, status: str, *, model: str | None = None, error: JsonDict | None = None) -> bool:
        """Ends a job that has not ended yet; False where it has."""
        with self._write() as cursor:
            return _finish(cursor, job_id, status, model, error)

    # Progress

    def add_event(
        self, job_id: str, key: str, message: str, *, level: str = "info", data: JsonDict | None = None
    ) -> None:
        """``key`` names the event within its job: telling the same one again changes nothing."""
        with self._write() as cursor:
            _add_event(cursor, job_id, key, level, "metrics" if data else "message", message, data)

    def record_step(
        self, job: Job, step: int, total: int, message: str, data: JsonDict, metrics: dict[str, float] | None
    ) -> bool:
        """One step's metrics and, with ``metrics``, its checkpoint. False where the job does not run any more.

        A step that is told again after a crash keeps its first event.
        """
        with self._write() as cursor:
            cursor.execute(
                "UPDATE jobs SET step = max(coalesce(step, 0), ?), total_steps = ? WHERE id = ? AND status = 'running'",
                (step, total, job.id),
            )
            if not cursor.rowcount:
                return False
            _add_event(cursor, job.id, f"step-{step}", "info", "metrics", message, data)
            if metrics is not None:
                model = f"{job.tuned_id}:ckpt-step-{step}"
                checkpoint_id = f"ftckpt-{job.id.removeprefix('ftjob-')}-{step}"
                values = (checkpoint_id, job.id, step, _now(), model, json.dumps(metrics))
                cursor.execute("INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", values)
            return True

    def events(self, job_id: str, after: str | None, limit: int) -> tuple[list[Event], bool]:
        """Newest first, those before the event ``after``; and whether there are more."""
        query = "SELECT number, id, created_at, level, type, message, data FROM events WHERE job = ?"
        values: list[Any] = [job_id]
        if after is not None:
            query += " AND number < (SELECT number FROM events WHERE id = ?)"
            values.append(after)
        rows = self._rows(query + " ORDER BY number DESC LIMIT ?", *values, limit + 1)
        events = [Event(**{**dict(row), "data": json.loads(row["data"]) if row["data"] else None}) for row in rows]
        return events[:limit], len(rows) > limit

    # Checkpoints and tuned models

    def checkpoint_folder(self, job_id: str, step: int) -> Path:
        return self.job_folder(job_id) / "checkpoints" / f"step-{step}"

    def checkpoints(self, job_id: str) -> list[CheckpointRecord]:
        """Newest first; those the trainer has dropped from disk are left out."""
        rows = self._rows("SELECT * FROM checkpoints WHERE job = ? ORDER BY step DESC", job_id)
        return [c for c in map(_checkpoint, rows) if self.checkpoint_folder(c.job, c.step).is_dir()]

    def best_checkpoint(self, job_id: str) -> CheckpointRecord | None:
        """Highest validation reward, the earliest of equals; the newest where nothing was validated."""
        found = self.checkpoints(job_id)
        scored = [c for c in found if "full_valid_mean_reward" in c.metrics]
        if scored:
            return max(scored, key=lambda c: (c.metrics["full_valid_mean_reward"], -c.step))
        return found[0] if found else None

    def baseline(self, job_id: str) -> float | None:
        """Validation reward before training; None where it was not measured."""
        row = self._row("SELECT data FROM events WHERE id = ?", _event_id(job_id, "step-0"))
        reward = json.loads(row["data"])["scores"].get("valid_reward_mean") if row else None
        return None if reward is None else float(reward)

    def tuned_models(self) -> list[tuple[Job, int]]:
        """Finished jobs that made a model."""
        rows = self._rows("SELECT * FROM jobs WHERE fine_tuned_model IS NOT NULL ORDER BY number")
        return [(job, job.finished_at or job.created_at) for job in map(_job, rows)]

    def find_model(self, model_id: str) -> tuple[Job, Path] | None:
        """Job and folder of a tuned model or a checkpoint by its id; None where there is none (any more)."""
        row = self._row("SELECT * FROM checkpoints WHERE model = ?", model_id)
        if row is None:
            made = self._row("SELECT id FROM jobs WHERE fine_tuned_model = ?", model_id)
            best = self.best_checkpoint(made["id"]) if made else None
        else:
            best = _checkpoint(row)
        job = self.job(best.job) if best else None
        if best is None or job is None or not self.checkpoint_folder(best.job, best.step).is_dir():
            return None
        return job, self.checkpoint_folder(best.job, best.step)

    def clear_resume(self, job_id: str) -> None:
        """A finished job needs its resume state no more."""
        shutil.rmtree(self.job_folder(job_id) / "resume", ignore_errors=True)

    # SQLite

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> Sequence[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _row(self, query: str, *values: Any) -> sqlite3.Row | None:
        found = self._rows(query, *values)
        return found[0] if found else None


def _now() -> int:
    return int(time.time())


def _job(row: sqlite3.Row) -> Job:
    values = {name: row[name] for name in Job.__slots__}
    values["metadata"], values["method"] = json.loads(row["metadata"]), json.loads(row["method"])
    values["error"] = json.loads(row["error"]) if row["error"] else None
    return Job(**values)


def _checkpoint(row: sqlite3.Row) -> CheckpointRecord:
    return CheckpointRecord(**{**dict(row), "metrics": json.loads(row["metrics"])})


def _event_id(job: str, key: str) -> str:
    return f"ftevent-{job.removeprefix('ftjob-')}-{key}"


def _add_event(
    cursor: sqlite3.Cursor, job: str, key: str, level: str, kind: str, message: str, data: JsonDict | None
) -> None:
    cursor.execute(
        "INSERT OR IGNORE INTO events (id, job, created_at, level, type, message, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (_event_id(job, key), job, time.time(), level, kind, message, json.dumps(data) if data else None),
    )


def _finish(cursor: sqlite3.Cursor, job: str, status: str, model: str | None, error: JsonDict | None) -> bool:
    cursor.execute(
        "UPDATE jobs SET status = ?, finished_at = ?, fine_tuned_model = ?, error = ?"
        " WHERE id = ? AND status IN ('queued', 'running')",
        (status, _now(), model, json.dumps(error) if error else None, job),
    )
    ended = bool(cursor.rowcount)
    if ended:
        words = {SUCCEEDED: "The job has successfully completed.", CANCELLED: "The job was cancelled."}
        level = "error" if status == FAILED else "info"
        message = error["message"] if error else words.get(status, "The job failed.")
        _add_event(cursor, job, "finished", level, "message", message, None)
    return ended

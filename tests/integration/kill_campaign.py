"""``kill -9`` at random moments of a large import and of its sanitize run: both must end like undisturbed ones.

``python -m tests.integration.kill_campaign --records 100000 --kills 20`` works on SQLite, and on PostgreSQL behind
``python -m tests.postgres --``; in either case on a database of its own, which is gone afterwards. Exits with 1 where
anything differs: a row, a payload, a finding, a rejected line, a count, or the report.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import django

SEED = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.kill_campaign", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="lines of the file")
    parser.add_argument("--kills", type=int, default=20, help="of the import, and as many of the sanitize run")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rft-kills-") as folder, _database(Path(folder)):
        found = Campaign(Path(folder), options.records, options.kills, options.seed).run()
    for sentence in found:
        say(f"DIFFERENT: {sentence}")
    say("Verdict: " + ("NOT like the undisturbed run." if found else "like the undisturbed run, row for row."))
    return 1 if found else 0


def say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


@contextmanager
def _database(folder: Path) -> Iterator[None]:
    """A new database with our tables, whatever ``DATABASE_URL`` names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["RFT_TEST_DIR"] = str(folder)
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'studio.sqlite3'}")
    django.setup()
    from django.db import connection

    if connection.vendor == "sqlite":  # a file, so that other processes see it
        connection.settings_dict["TEST"]["NAME"] = str(folder / "campaign.sqlite3")
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


class Campaign:
    """One file, imported and sanitized in peace and under fire. ``span``: seconds the undisturbed job took."""

    def __init__(self, folder: Path, records: int, kills: int, seed: int) -> None:
        from rft_project.connections.models import Workspace

        self.folder, self.records, self.kills = folder, records, kills
        self.dice = random.Random(seed)
        self.file = _file_of(folder / "traces.jsonl", records, seed)
        self.workspace = Workspace.objects.create(name="Campaign")
        self.span: dict[str, float] = {}
        self.host: Host | None = None

    def run(self) -> list[str]:
        """What differs, one sentence each; rounds are added until every kill has hit a job at work."""
        from django.db import connection

        say(f"{self.records:,} lines, {self.file.stat().st_size / 1e6:,.0f} MB, {connection.vendor}")
        expected = self._round("Undisturbed", {})
        say(f"undisturbed: import {self.span['import']:.0f} s, sanitize {self.span['sanitize']:.0f} s")
        left, number = {"import": self.kills, "sanitize": self.kills}, 0
        found: list[str] = []
        while any(left.values()) and not found:
            number += 1
            self.host = Host()
            try:
                outcome = self._round(f"Killed {number}", left)
            finally:
                self.host.end()
            found = differences(expected, outcome)
        return found

    def _round(self, name: str, left: dict[str, int]) -> dict[str, Any]:
        from datasets_app import actions, services
        from datasets_app.models import ImportBatch

        dataset = services.create_dataset(self.workspace, name, by=None)
        copy = self.folder / f"{name}.jsonl"
        shutil.copy(self.file, copy)
        batch = ImportBatch.objects.create(dataset=dataset, filename=self.file.name, path=str(copy))
        jobs = {"import": self._work("import", lambda: services.start_import(batch, "auto", "", by=None), left)}
        start = lambda: actions.start(dataset, actions.SANITIZE, {}, by=None)  # noqa: E731
        jobs["sanitize"] = self._work("sanitize", start, left)
        return outcome_of(batch, jobs, copy)

    def _work(self, what: str, start: Callable[[], Any], left: dict[str, int]) -> Any:
        """The job, ended; ``left`` is how many kills there still have to be."""
        from tests.integration.harm import wait_ended
        from tests.worker import drain

        began = time.monotonic()
        job = start()
        if self.host is None:
            drain()
            job.refresh_from_db()
            self.span[what] = time.monotonic() - began
            return job
        left[what] -= self._kill(what, job, self.host, left[what])
        wait_ended(job, 1800)
        say(f"{what}: {job.state} after {time.monotonic() - began:.0f} s {job.error_message}".rstrip())
        return job

    def _kill(self, what: str, job: Any, host: Host, wanted: int) -> int:
        """Kills at random moments, each after something was committed since the one before: a job whose worker dies
        twice without progress is given up by design. Returns how many hit."""
        from tests.integration.harm import ended, kill_worker, owner_pid, times_lost
        from tests.worker import wait_for

        landed = 0
        while landed < wanted:
            wait_for(lambda: ended(job) or (job.state == "RUNNING" and job.deaths == 0), 600, every=0.02)
            time.sleep(self.dice.uniform(0, self.span[what] / self.kills))
            pid = owner_pid(job)
            if not job.is_live:
                break
            if not pid:
                continue  # between two slices
            at = f"{job.done:,} of {job.total:,}" if job.total else f"{job.done:,}"
            whole = landed % 2 == 1
            (host.power_cut if whole else kill_worker)(pid)
            wait_for(lambda: owner_pid(job) != pid, 120, every=0.02)  # noqa: B023
            if times_lost(job) > landed:
                landed += 1
                say(f"kill {landed} of the {what}: {'host' if whole else 'worker'} at {at} ({job.phase or 'Reading'})")
        return landed


class Host:
    """The worker of a machine, which may lose its power."""

    def __init__(self) -> None:
        from tests.integration.harm import FAST
        from tests.worker import WorkerProcess

        self._start = lambda: WorkerProcess(*FAST)
        self._worker = self._start()

    def power_cut(self, pid: int) -> None:
        """Every process of the worker ends at once, and it is started again."""
        self._worker.kill()
        self._worker = self._start()

    def end(self) -> None:
        self._worker.kill()


def _file_of(path: Path, count: int, seed: int) -> Path:
    """Conversations as exports have them, and every tenth line one of the odd ones: repeated, binary, cut off."""
    from tests.bench import data
    from tests.integration.harm import lines_of_every_kind

    odd = iter(lines_of_every_kind(-(-count // 10), seed))
    with path.open("wb") as out:
        for number, made in enumerate(data.made(count, seed)):
            out.write((next(odd).encode() if number % 10 == 0 else made.line) + b"\n")
    return path


def outcome_of(batch: Any, jobs: dict[str, Any], copy: Path) -> dict[str, Any]:
    """All that two rounds are compared by; each row as its line and a digest."""
    from datasets_app.models import RejectedLine
    from tests.integration.outcome import COLUMNS, counts_of, each_row

    dataset = batch.dataset
    at = COLUMNS.index("line")
    rejected = RejectedLine.objects.filter(batch=batch).order_by("line", "pk")
    found: dict[str, Any] = {
        "rows": [(row[at], _digest(row)) for row in each_row(dataset)],
        "rejected lines": [_digest(row) for row in rejected.values_list("line", "where", "kind", "reason", "text")],
        "findings": list(
            dataset.records.filter(findings__isnull=False)
            .order_by("pk", "findings__value__kind", "findings__value__number")
            .values_list("line", "findings__value__kind", "findings__value__number", "findings__count")
        ),
        "counts of the import": counts_of(batch),
        "counters, and the same counted anew": _counters(dataset),
        "staged file": copy.exists(),
    }
    for what, job in jobs.items():
        found[f"end of the {what}"] = job.state, job.error_message, job.done
        found[f"report of the {what}"] = job.result | {"dataset": "", "timestamp": ""}
    same, anew = found["counters, and the same counted anew"]
    if same != anew:
        found["counters"] = f"are {sorted(same.items())}, the records say {sorted(anew.items())}"
    sizes = ", ".join(f"{len(found[name]):,} {name}" for name in ("rows", "rejected lines", "findings"))
    say(f"{dataset.name}: {sizes}")
    return found


def _digest(row: tuple[Any, ...]) -> bytes:
    return blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _counters(dataset: Any) -> tuple[Counter[Any], Counter[Any]]:
    """The counters the database keeps, and the same counted from the records."""
    from django.db.models import Count

    from datasets_app.models import COUNTED

    names = [name for name in COUNTED if name != "dataset_id"]
    kept = {tuple(row): n for *row, n in dataset.record_counts.values_list(*names, "n")}
    live = dataset.records.order_by().values_list(*names).annotate(found=Count("pk"))
    topic = names.index("topic")
    counted = {(*row[:topic], row[topic] or "", *row[topic + 1 :]): n for *row, n in live}
    return Counter(kept), Counter(counted)


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One sentence for each thing that is not the same."""
    told = []
    for name in sorted({*expected, *found}):
        ours, theirs = found.get(name), expected.get(name)
        if ours == theirs:
            continue
        if isinstance(ours, list) and isinstance(theirs, list):
            first = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
            told.append(f"{name}: {len(ours)} instead of {len(theirs)}; the first that differs is number {first}")
        else:
            told.append(f"{name}: {str(ours)[:300]} instead of {str(theirs)[:300]}")
    return told


if __name__ == "__main__":
    sys.exit(main())

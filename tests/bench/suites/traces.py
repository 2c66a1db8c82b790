"""The command ``sanitize_traces`` on a large file, and on twice as large a one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contest import ROOT
from tests.bench.figures import Bar, Section, at_most
from tests.bench.processes import PeakMemory
from tests.bench.work import Bench


@dataclass(frozen=True)
class Sanitized:
    records: int
    mib: float
    wall: float
    cpu: float
    rss: float
    pss: float
    report: dict[str, int]

    def cells(self) -> tuple[str, ...]:
        size = f"{self.records:,} records, {self.mib:,.0f} MB"
        return (
            size,
            f"{self.wall:.1f}",
            f"{self.cpu:.1f}",
            f"{self.cpu * 1e5 / self.records:.2f}",
            f"{self.pss:,.0f}",
            f"{self.rss:,.0f}",
        )


def sanitized(path: Path, records: int, folder: Path) -> Sanitized:
    """Runs the command as people do, with all of its work on: near-duplicates, exact tokens, both outputs, report."""
    outputs = [f"--{name}={folder / name}" for name in ("out", "rejected", "report")]
    started, before = time.monotonic(), _children_cpu()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sanitize_traces", str(path), *outputs],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "RFT_TEST_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    memory = PeakMemory(process.pid)
    memory.start()
    if process.wait():
        raise RuntimeError(f"sanitize_traces ended with {process.returncode}")
    wall, cpu = time.monotonic() - started, _children_cpu() - before
    memory.stop()
    report = json.loads((folder / "report").read_text(encoding="utf-8"))
    counts = {name: report[name] for name in ("total", "valid", "duplicates_removed", "near_duplicates", "unreadable")}
    return Sanitized(records, path.stat().st_size / 1e6, wall, cpu, memory.rss, memory.pss, counts)


def _children_cpu() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(bench: Bench) -> Section:
    count = bench.size(120_000, 4_000)
    runs = [sanitized(bench.traces(n), n, bench.folder) for n in (count, count * 2)]
    once, twice = runs
    section = Section(f"sanitize_traces on {count:,} records")
    grown = twice.pss / once.pss
    section.bars = [
        at_most("time, near-duplicates and exact tokens on", once.wall, 60, "s"),
        at_most("peak memory of all its processes", once.pss, 300, "MiB", 0),
        Bar("peak memory for twice the file ÷ for the file", f"{grown:.2f}", "≤ 1.1", grown <= 1.1),
    ]
    head = ("file", "wall s", "CPU s", "CPU s / 100k records", "peak MiB (shared pages once)", "peak MiB (sum of RSS)")
    section.tables = [(head, [one.cells() for one in runs])]
    found = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in once.report.items())
    section.notes.append(f"Found in the first file: {found}. The whole command, its start included.")
    return section

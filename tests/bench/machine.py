"""The facts of the machine and of what ran on it."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.bench.contest import ROOT
from tests.postgres import NoPostgres, folder_of_binaries

PACKAGES = (
    *("Django", "msgspec", "quicktok-v1", "rensa", "google-re2", "psycopg", "rapidfuzz"),
    *("datasketch", "rouge-score", "sacrebleu"),
)


def commit() -> str:
    """The short id of the checked-out commit, with a plus sign where files differ from it; '' outside a repository."""
    asked = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def facts() -> list[tuple[str, str]]:
    return [
        ("processor", f"{_processor()}, {len(os.sched_getaffinity(0))} cores used"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("system", platform.system()),
        ("Python", platform.python_version()),
        ("SQLite", sqlite3.sqlite_version),
        ("PostgreSQL", _postgres()),
        ("packages", ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _postgres() -> str:
    try:
        binary = folder_of_binaries() / "postgres"
    except NoPostgres:
        return "none"
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.split()[2]


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""

"""``python -m tests.bench``: measures the bars of speed and writes ``docs/benchmarks.md`` from what it measured.

Every suite keeps its figures under ``tests/artifacts/bench``, so that one suite can be measured again without the
others; a small run prints and keeps nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.contest import ROOT
from tests.bench.figures import Section
from tests.bench.machine import commit
from tests.bench.report import as_document
from tests.bench.work import Bench

SUITES = ("sanitize", "traces", "importing", "near", "pii", "million", "topics", "graders", "pool")
KEPT = ROOT / "tests" / "artifacts" / "bench"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    options = _options()
    suites = options.suite or SUITES
    sections, failed = [], []
    for name in suites:
        sys.stderr.write(f"== {name}\n")
        bench = Bench(KEPT, small=options.size == "small")
        started = time.monotonic()
        try:
            section = importlib.import_module(f"tests.bench.suites.{name}").run(bench)
        except Exception as error:  # the others are measured all the same
            sys.stderr.write(f"{name} could not be measured: {error}\n")
            failed.append(name)
            continue
        finally:
            bench.close()
        section.when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        section.commit = commit()
        section.command = f"make bench SUITE={name}" + (" SIZE=small" if bench.small else "")
        sections.append(section)
        sys.stdout.write(section.as_markdown() + "\n\n")
        sys.stderr.write(f"   {time.monotonic() - started:.0f} s\n")
        if not bench.small:
            (KEPT / f"{name}.json").write_text(json.dumps(section.as_json(), indent=1), encoding="utf-8")
    if options.size == "full":
        _write_document(options.out)
    return 1 if failed else 0


def _write_document(path: Path) -> None:
    """From the figures kept of every suite, those that this run did not measure included."""
    kept = [KEPT / f"{name}.json" for name in SUITES]
    sections = [Section.from_json(json.loads(file.read_text(encoding="utf-8"))) for file in kept if file.exists()]
    path.write_text(as_document(sections), encoding="utf-8")
    sys.stderr.write(f"{path} is written.\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--suite", action="append", choices=SUITES, help="this one only; may be given several times")
    parser.add_argument("--size", choices=("full", "small"), default="full", help="small: a quick try, nothing is kept")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``docs/benchmarks.md``: every figure in it was measured by ``make bench``."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench import machine
from tests.bench.figures import Section, table

HEAD = """# Benchmarks

Written by `make bench` from what it measured; do not edit. One suite alone: `make bench SUITE=sanitize`; a quick try
that changes nothing here: `make bench SIZE=small`.

What counts is the **ratio of CPU seconds** (of the process, its children and the PostgreSQL server) between the product
and what is named beside it, both doing the same work in the same run: they take turns, each pair gives a ratio, and the
median of the pairs is the figure, with the smallest and the largest in brackets. Both sides' results are compared, and
a run whose results differ is refused. Absolute times depend on the machine and on what else it does, and are given for
orientation. The traces are made by `tests/bench/data.py`, the other sides are in `tests/bench/peers`."""


def as_document(sections: Sequence[Section]) -> str:
    parts = [HEAD, table(("machine", ""), machine.facts())]
    bars = [(section, bar) for section in sections for bar in section.bars if bar.holds is not None]
    missed = [f"- {bar.what}: {bar.measured}, the bar is {bar.bar}." for _, bar in bars if not bar.holds]
    parts.append(f"**{len(bars) - len(missed)} of {len(bars)} bars hold.**" + (" Missed:" if missed else ""))
    parts += ["\n".join(missed)] if missed else []
    parts += [section.as_markdown() for section in sections]
    return "\n\n".join(parts) + "\n"

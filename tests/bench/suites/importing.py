"""A file into the database: ``import_traces`` against the ordinary Django way, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench.contest import Contest, Run, contest, once
from tests.bench.databases import Database
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench

Counts = dict[str, int]


def no_tokens(text: str) -> int:
    """Stands in for the counter on both sides, to see what is compared beside it."""
    return 0


def ours(path: str, small: str, *, tokens: bool) -> Callable[[], Callable[[], Counts]]:
    from django.core.management import call_command

    from datasets_app.core import tokens as counted_by
    from datasets_app.models import Dataset, RejectedLine
    from tests.bench.million_pages import counters_hold

    if not tokens:
        counted_by.counter = lambda: no_tokens  # type: ignore[assignment]
    call_command("import_traces", small, dataset="Warm", report="/dev/null")

    def counted() -> Counts:
        dataset = Dataset.objects.get(name="Measured")
        assert counters_hold(dataset)
        records = dataset.records.order_by()
        counts = Counter(code or "valid" for code in records.values_list("code", flat=True))
        counts["unreadable"] = RejectedLine.objects.filter(batch__dataset__name="Measured").count()
        return dict(sorted(counts.items()))

    def timed() -> Callable[[], Counts]:
        call_command("import_traces", path, dataset="Measured", report="/dev/null")
        return counted

    return timed


def ordinary(path: str, small: str, *, tokens: bool) -> Callable[[], Counts]:
    from django.db import connection

    from tests.bench.ordinary import importing
    from tests.bench.ordinary.models import Trace

    with connection.schema_editor() as editor:
        editor.create_model(Trace)
    count = importing.exact_counter() if tokens else no_tokens
    importing.run(Path(small), "Warm", count)
    return lambda: importing.run(Path(path), "Measured", count)


def raced(bench: Bench, database: Database, count: int, *, tokens: bool = True) -> Contest:
    paths = {"path": str(bench.traces(count)), "small": str(bench.traces(200))}

    def play(name: str) -> Run:
        with database.fresh() as environment:
            return once(f"{__name__}:{name}", environment, **paths, tokens=tokens)

    pairs = bench.pairs if tokens else min(bench.pairs, 3)
    return contest(partial(play, "ours"), partial(play, "ordinary"), pairs, tell=bench.tell)


def run(bench: Bench) -> Section:
    count = bench.size(20_000, 1_000)
    section = Section("Import: file to database")
    for database in bench.databases:
        bench.tell(database.name)
        found = raced(bench, database, count)
        what = f"import_traces ÷ bulk_create of a JSON column + iterate + bulk_update, {database.name}"
        section.bars.append(ratio_bar(what, found, 1 / 12, bar="≤ 1/12 = 0.083"))
        section.tables.append(seconds_row(f"{count:,} lines, {database.name}", found, count))
        bench.tell(f"{database.name}, tokens not counted")
        uncounted = raced(bench, database, count, tokens=False)
        what = f"the same without tokens on either side, {database.name}"
        section.bars.append(replace(ratio_bar(what, uncounted, 1), bar="", holds=None))
    section.notes.append(
        "Both sides store every record, its verdict and its exact tokens (counted with the same package), start warm, "
        "and must end with the same records by first code; ours also with counters that agree with the records. CPU "
        "includes that of the PostgreSQL server. Counting tokens costs both sides nearly the same; the ratio without "
        "it is that of all else."
    )
    return section

"""A file into the database: ``import_traces`` against the ordinary Django way, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.contest import Contest, Run, contest, once
from tests.bench.databases import Database
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench

Counts = dict[str, int]


def ours(path: str, small: str) -> Callable[[], Callable[[], Counts]]:
    from django.core.management import call_command

    from datasets_app.models import Dataset, RejectedLine
    from tests.bench.million_pages import counters_hold

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


def ordinary(path: str, small: str) -> Callable[[], Counts]:
    from django.db import connection

    from tests.bench.ordinary import importing
    from tests.bench.ordinary.models import Trace

    with connection.schema_editor() as editor:
        editor.create_model(Trace)
    importing.run(Path(small), "Warm")
    return lambda: importing.run(Path(path), "Measured")


def raced(bench: Bench, database: Database, count: int) -> Contest:
    paths = {"path": str(bench.traces(count)), "small": str(bench.traces(200))}

    def play(name: str) -> Run:
        with database.fresh() as environment:
            return once(f"{__name__}:{name}", environment, **paths)

    return contest(partial(play, "ours"), partial(play, "ordinary"), bench.pairs, tell=bench.tell)


def run(bench: Bench) -> Section:
    count = bench.size(20_000, 1_000)
    section = Section("Import: file to database")
    for database in bench.databases:
        bench.tell(database.name)
        found = raced(bench, database, count)
        what = f"import_traces ÷ bulk_create of a JSON column + iterate + bulk_update, {database.name}"
        section.bars.append(ratio_bar(what, found, 1 / 12, bar="≤ 1/12 = 0.083"))
        section.tables.append(seconds_row(f"{count:,} lines, {database.name}", found, count))
    section.notes.append(
        "Both sides store every record, its verdict and its exact tokens (counted with the same package), start warm, "
        "and must end with the same records by first code; ours also with counters that agree with the records. CPU "
        "includes that of the PostgreSQL server."
    )
    return section

"""Pages, search, counts and bulk changes at a million records, on both databases."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.bench.contest import once
from tests.bench.figures import Bar, Section, at_most
from tests.bench.work import Bench

QUERY, CPU, DEEPER, COUNTS, CHANGE = 5.0, 15.0, 1.5, 0.05, 10.0


def run(bench: Bench) -> Section:
    count = bench.size(1_000_000, 20_000)
    section = Section(f"At {count:,} records: pages, search, coverage, bulk changes")
    for database in bench.databases:
        bench.tell(f"{database.name}: filling and asking")
        with database.fresh() as environment:
            found = once("tests.bench.million_pages:measured", environment, count=count).result
        _pages(section, database.name, found["pages"])
        _counts(section, database.name, found["counts"])
        _changes(section, database.name, found["bulk"])
        section.notes.append(f"{database.name} was filled in {found['filled']:,.0f} s, by SQL.")
    section.notes.append(
        "Medians of 15 requests each through the whole stack of the application, signed in, without the network. "
        "Server CPU is that of the web process and of its PostgreSQL backend. Query is what the database works for all "
        "queries of a request together: each is asked again by itself, all its rows fetched, and its CPU taken on both "
        "sides, because elapsed time would measure how busy the machine is."
    )
    return section


def _pages(section: Section, name: str, pages: list[dict[str, Any]]) -> None:
    query, cpu = (max(pages, key=lambda page: page[key]) for key in ("query", "cpu"))
    section.bars += [
        at_most(f"{name}: queries of the slowest page ({query['page']})", query["query"], QUERY, "ms"),
        at_most(f"{name}: server CPU of the dearest page ({cpu['page']})", cpu["cpu"], CPU, "ms"),
    ]
    deep = {page["page"].removesuffix(", deep page"): page for page in pages if page["page"].endswith("deep page")}
    first = {page["page"].removesuffix(", first page"): page for page in pages if page["page"].endswith("first page")}
    ratios = {view: deep[view]["cpu"] / first[view]["cpu"] for view in deep}
    if ratios:
        worst = max(ratios, key=lambda view: ratios[view])
        said = f"{ratios[worst]:.2f} ({worst})"
        section.bars.append(Bar(f"{name}: deep page ÷ first page, CPU", said, "≤ 1.5", ratios[worst] <= DEEPER))
    rows = [
        (p["page"], f"{p['queries']:.0f}", f"{p['query']:.2f}", f"{p['slowest']:.2f}", f"{p['cpu']:.2f}") for p in pages
    ]
    section.tables.append(((name, "queries", "query ms", "slowest query ms", "server CPU ms"), rows))


def _counts(section: Section, name: str, found: dict[str, Any]) -> None:
    ratios = [ours / live for ours, live in zip(found["ours"], found["live"], strict=True)]
    said = f"{median(ratios):.4f} ({median(found['ours']):.2f} ms ÷ {median(found['live']):.1f} ms)"
    holds = median(ratios) <= COUNTS and found["equal"]
    section.bars.append(Bar(f"{name}: coverage from counters ÷ live GROUP BY, equal counts", said, "≤ 0.05", holds))


def _changes(section: Section, name: str, found: list[dict[str, Any]]) -> None:
    for one in found:
        bar = at_most(f"{name}: {one['what']}, {one['records']:,} records", one["seconds"], CHANGE, "s")
        section.bars.append(bar)
    equal = all(one["equal"] for one in found)
    section.bars.append(Bar(f"{name}: counters equal after each of these", "yes" if equal else "no", "yes", equal))

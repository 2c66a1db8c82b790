"""Sanitizing of whole files without a database: one pass, record by record, in the order of the files.

Memory is flat in the size of the files but for the index of duplicates and four bytes per record for the token
percentiles.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from datasets_app.core.dedupe import SHARED_SAMPLE, DuplicateIndex, Prints, duplicate_issue, prints_of, shared_lines
from datasets_app.core.formats import AUTO
from datasets_app.core.hygiene import HygieneReport, ReportBuilder, recommend
from datasets_app.core.judging import Judged, judged
from datasets_app.core.pii.sweeping import Pii, Sweep
from datasets_app.core.quick import Quick, QuickHere, Ready
from datasets_app.core.reading import Parsed, Rejected, UnreadableFile, read_traces
from datasets_app.core.records import Trace, dumps, to_canonical, user_turns
from datasets_app.core.sanitizing import SanitizeConfig, status_of
from datasets_app.core.workers import QuickPool
from rft_project.platforms.types import JsonDict

_LOT, _LOT_BYTES = 1000, 16 << 20  # entries judged together, and the bytes of their lines
_SAMPLE_BYTES = 64 << 20


class BatchReport(HygieneReport):
    """The hygiene report of a batch of files, and what only files have: formats by records, lines that could not be
    read, and the seconds it took. Unreadable lines are not among the records counted in ``total``."""

    formats: dict[str, int] = {}
    unreadable: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Sinks:
    """Where a batch hands what it finds. ``valid`` gets every valid record, ``refused`` one JSON object per invalid
    record, duplicate and unreadable line, ``trouble`` one sentence per file that was not read to its end, and ``at``
    how many bytes of all files are behind it."""

    valid: Callable[[Judged], None] = lambda found: None
    refused: Callable[[JsonDict], None] | None = None
    trouble: Callable[[str], None] = lambda sentence: None
    at: Callable[[int], None] = lambda offset: None


@dataclass(slots=True)
class _File:
    """One input file; ``name`` as the person gave it, ``base`` the bytes of the files before it."""

    number: int
    name: str
    path: Path
    base: int = 0


_Entry = tuple[_File, Parsed | Ready | Rejected]
_LINE_BITS = 44  # of the key of a record, which is its line and the number of its file


@dataclass(slots=True)
class _Run:
    config: SanitizeConfig
    sinks: Sinks
    names: list[str]
    sweep: Sweep | None
    builder: ReportBuilder = field(default_factory=ReportBuilder)
    formats: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def named(self, key: int) -> str:
        line = f"line {key & (1 << _LINE_BITS) - 1}"
        return f"{self.names[key >> _LINE_BITS]} {line}" if len(self.names) > 1 else line


def sanitize_files(
    paths: Sequence[Path],
    config: SanitizeConfig,
    *,
    format: str = AUTO,
    pii: Pii = Pii.REPORT,
    sinks: Sinks | None = None,
    workers: int = 1,
) -> BatchReport:
    """Sanitizes the files in order; duplicates are found across all of them. One bad file does not stop the others.

    ``workers`` processes share the work; what comes out is the same for any number.
    """
    started = time.monotonic()
    sweep = None if pii is Pii.OFF else Sweep(redact=pii is Pii.REDACT)
    run = _Run(config, sinks or Sinks(), [path.name for path in paths], sweep)
    with QuickPool(config, workers) if workers > 1 else nullcontext() as pool:
        entries = _entries(paths, format, run, pool or QuickHere(config))
        sample = deque(_sampled(entries)) if config.near_duplicates is not None else deque()
        shared = shared_lines(_user_turns_of(entry) for _, entry in sample if not isinstance(entry, Rejected))
        if pool is not None:
            pool.shared = shared
        index = DuplicateIndex(config.near_duplicates, shared)
        for lot in _lots(chain(_taken(sample), entries)):
            _judge(lot, index, run)
    report = run.builder.build(held=sweep.held if sweep is not None else None)
    if pii is Pii.REDACT:  # nothing is left to do about what it held
        report.recommendations = recommend(report.total, report.records_with)
    return BatchReport(
        **report.model_dump(),
        formats=dict(run.formats.most_common()),
        unreadable=run.unreadable,
        seconds=round(time.monotonic() - started, 3),
    )


def _entries(paths: Iterable[Path], format: str, run: _Run, quick: Quick) -> Iterator[_Entry]:
    base = 0
    for number, path in enumerate(paths):
        file = _File(number, str(path), path, base)
        try:
            for entry in read_traces(path, format=format, quick=quick):
                yield file, entry
        except UnreadableFile as error:
            run.sinks.trouble(str(error))
        base += path.stat().st_size if path.is_file() else 0


def _sampled(entries: Iterator[_Entry]) -> Iterator[_Entry]:
    """The first entries, from which lines that many records share are learned."""
    size = 0
    for number, (file, entry) in enumerate(entries, 1):
        yield file, entry
        size += 0 if isinstance(entry, Rejected) else entry.size
        if number >= SHARED_SAMPLE or size >= _SAMPLE_BYTES:
            return


def _taken(entries: deque[_Entry]) -> Iterator[_Entry]:
    """The entries, each let go of when the next one is asked for."""
    while entries:
        yield entries.popleft()


def _user_turns_of(entry: Parsed | Ready) -> list[str]:
    return entry.judged.turns if isinstance(entry, Ready) else user_turns(entry.trace)


def _lots(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    lot: list[_Entry] = []
    size = 0
    for file, entry in entries:
        lot.append((file, entry))
        size += 0 if isinstance(entry, Rejected) else entry.size
        if len(lot) >= _LOT or size >= _LOT_BYTES:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def _judge(lot: list[_Entry], index: DuplicateIndex, run: _Run) -> None:
    """Judges some entries and tells of them in their order."""
    found = {
        place: entry.judged if isinstance(entry, Ready) else judged(entry.trace, run.config, entry.format)
        for place, (_, entry) in enumerate(lot)
        if not isinstance(entry, Rejected)
    }
    _find_repeats(lot, found, index, run)
    for place, (file, entry) in enumerate(lot):
        if isinstance(entry, Rejected):
            _tell_unreadable(file, entry, run)
        else:
            _tell(file, entry, found[place], run)
        run.sinks.at(file.base + entry.offset)


def _find_repeats(lot: list[_Entry], found: dict[int, Judged], index: DuplicateIndex, run: _Run) -> None:
    """Only valid records are compared, so that the record kept is always a valid one."""
    good = [place for place, one in found.items() if not one.issues]
    rows = {place: prints for place in good if (prints := getattr(lot[place][1], "prints", None)) is not None}
    late = [place for place in good if place not in rows]
    made = prints_of([found[place].said for place in late], index.threshold, index.shared)
    rows |= {place: (made, row) for row, place in enumerate(late)}
    prints = Prints.joined([rows[place] for place in good])
    keys = [lot[place][0].number << _LINE_BITS | lot[place][1].line for place in good]
    for place, match in zip(good, index.add_all(keys, prints), strict=True):
        if match is not None:
            found[place].issues = [duplicate_issue(match, run.named(match.kept_key))]


def _tell_unreadable(file: _File, entry: Rejected, run: _Run) -> None:
    run.unreadable += 1
    text = entry.text if run.sweep is None else run.sweep.swept_text(entry.text)
    if run.sinks.refused is not None:
        run.sinks.refused(_place(file, entry) | {"reason": entry.reason, "text": text})
    if entry.fatal:
        run.sinks.trouble(f"{_named(file, entry)}: {entry.reason}")


def _tell(file: _File, entry: Parsed | Ready, found: Judged, run: _Run) -> None:
    run.builder.add(found.issues, found.tokens)
    run.formats[found.format] += 1
    instead = _redacted(entry, found, run.sweep) if run.sweep is not None else None
    if not found.issues:
        run.sinks.valid(found)
    elif run.sinks.refused is not None:
        first = found.issues[0]
        run.sinks.refused(
            _place(file, entry)
            | {"verdict": status_of(found.issues), "code": first.code, "detail": first.detail}
            | {"issues": [issue.as_json() for issue in found.issues], "record": to_canonical(instead or entry.trace)}
        )


def _redacted(entry: Parsed | Ready, found: Judged, sweep: Sweep) -> Trace | None:
    """The record that is written instead, None where it is written as it is."""
    trace = entry.trace
    swept = sweep.swept(trace)
    if swept is trace:
        return None
    found.source = dumps(swept)
    return swept


def _place(file: _File, entry: Parsed | Ready | Rejected) -> JsonDict:
    return {"file": file.name, "line": entry.line} | ({"member": entry.where} if entry.where else {})


def _named(file: _File, entry: Rejected) -> str:
    return file.path.name + (f" ({entry.where})" if entry.where else "")

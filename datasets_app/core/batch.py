"""Sanitizing of whole files without a database: one pass, record by record, in the order of the files.

Memory is flat in the size of the files but for the index of duplicates and four bytes per record for the token
percentiles.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from datasets_app.core import tokens
from datasets_app.core.dedupe import SHARED_SAMPLE, DuplicateIndex, duplicate_issue, shared_lines
from datasets_app.core.formats import AUTO
from datasets_app.core.hygiene import HygieneReport, ReportBuilder
from datasets_app.core.reading import Parsed, Rejected, UnreadableFile, read_traces
from datasets_app.core.records import to_canonical
from datasets_app.core.sanitizing import Issue, SanitizeConfig, status_of, verdict
from rft_project.platforms.types import JsonDict

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

    valid: Callable[[Parsed], None] = lambda entry: None
    refused: Callable[[JsonDict], None] = lambda line: None
    trouble: Callable[[str], None] = lambda sentence: None
    at: Callable[[int], None] = lambda offset: None


@dataclass(slots=True)
class _File:
    """One input file; ``name`` as the person gave it, ``base`` the bytes of the files before it."""

    name: str
    path: Path
    base: int = 0


@dataclass(slots=True)
class _Run:
    config: SanitizeConfig
    several: bool
    builder: ReportBuilder = field(default_factory=ReportBuilder)
    formats: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0


def sanitize_files(
    paths: Sequence[Path], config: SanitizeConfig, *, format: str = AUTO, sinks: Sinks | None = None
) -> BatchReport:
    """Sanitizes the files in order; duplicates are found across all of them. One bad file does not stop the others."""
    started = time.monotonic()
    sinks = sinks or Sinks()
    run = _Run(config, several=len(paths) > 1)
    entries = _entries(paths, format, run, sinks)
    sample = list(_sampled(entries)) if config.near_duplicates is not None else []
    index = DuplicateIndex(
        config.near_duplicates, shared_lines(entry.trace for _, entry in sample if isinstance(entry, Parsed))
    )
    for file, entry in chain(sample, entries):
        if isinstance(entry, Parsed):
            _judge(file, entry, index, run, sinks)
        else:
            run.unreadable += 1
            sinks.refused(_place(file, entry) | {"reason": entry.reason, "text": entry.text})
            if entry.fatal:
                sinks.trouble(f"{_named(file, entry)}: {entry.reason}")
        sinks.at(file.base + entry.offset)
    return BatchReport(
        **run.builder.build().model_dump(),
        formats=dict(run.formats.most_common()),
        unreadable=run.unreadable,
        seconds=round(time.monotonic() - started, 3),
    )


def _entries(paths: Iterable[Path], format: str, run: _Run, sinks: Sinks) -> Iterator[tuple[_File, Parsed | Rejected]]:
    base = 0
    for path in paths:
        file = _File(str(path), path, base)
        try:
            for entry in read_traces(path, format=format):
                yield file, entry
        except UnreadableFile as error:
            sinks.trouble(str(error))
        base += path.stat().st_size if path.is_file() else 0


def _sampled(entries: Iterator[tuple[_File, Parsed | Rejected]]) -> Iterator[tuple[_File, Parsed | Rejected]]:
    """The first entries, from which lines that many records share are learned."""
    size = 0
    for number, (file, entry) in enumerate(entries, 1):
        yield file, entry
        size += entry.size if isinstance(entry, Parsed) else 0
        if number >= SHARED_SAMPLE or size >= _SAMPLE_BYTES:
            return


def _judge(file: _File, entry: Parsed, index: DuplicateIndex, run: _Run, sinks: Sinks) -> None:
    count = tokens.count(entry.trace)
    issues = verdict(entry.trace, run.config, count)
    if not issues:
        issues = _repeats(file, entry, index, run)
    run.builder.add(issues, count)
    run.formats[entry.format] += 1
    if not issues:
        sinks.valid(entry)
        return
    first = issues[0]
    sinks.refused(
        _place(file, entry)
        | {"verdict": status_of(issues), "code": first.code, "detail": first.detail}
        | {"issues": [issue.as_json() for issue in issues], "record": to_canonical(entry.trace)}
    )


def _repeats(file: _File, entry: Parsed, index: DuplicateIndex, run: _Run) -> list[Issue]:
    """Only valid records are compared, so that the record kept is always a valid one."""
    match = index.add((file.path.name, entry.line), entry.trace)
    if match is None:
        return []
    name, line = match.kept_key
    return [duplicate_issue(match, f"{name} line {line}" if run.several else f"line {line}")]


def _place(file: _File, entry: Parsed | Rejected) -> JsonDict:
    return {"file": file.name, "line": entry.line} | ({"member": entry.where} if entry.where else {})


def _named(file: _File, entry: Parsed | Rejected) -> str:
    return file.path.name + (f" ({entry.where})" if entry.where else "")

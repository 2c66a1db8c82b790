"""Sanitizes trace files without a database: valid records out, the others with their reasons, and a report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from datasets_app.core.batch import BatchReport, Sinks, sanitize_files
from datasets_app.core.formats import AUTO, FORMATS
from datasets_app.core.pii.kinds import KINDS, REVIEWED
from datasets_app.core.pii.sweeping import Pii
from datasets_app.core.records import encode_json
from datasets_app.core.sanitizing import CODES, DEFAULT_THRESHOLD, SanitizeConfig
from datasets_app.core.workers import WorkerLost
from rft_project.jobs.terminal import WRONG_USAGE, progress_bar, refuse_clash, replacing, write_line

_SMALL = 4 << 20  # bytes
_DEFAULTS = SanitizeConfig()


class Command(BaseCommand):
    help = "Sanitize trace files without a database; exits 1 when a file could not be read to its end."
    requires_system_checks = []  # nothing of the web application is used

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".jsonl, .json, .gz or .zip")
        parser.add_argument("--out", type=Path, metavar="FILE", help="valid records, one per line")
        parser.add_argument("--rejected", type=Path, metavar="FILE", help="all others, with their reasons")
        parser.add_argument("--report", type=Path, metavar="FILE", help="the hygiene report as JSON")
        parser.add_argument("--format", default=AUTO, choices=[AUTO, *FORMATS])
        parser.add_argument(
            "--min-user-message-length", type=int, default=_DEFAULTS.min_user_message_length, metavar="CHARACTERS"
        )
        parser.add_argument("--max-tokens", type=int, default=_DEFAULTS.max_tokens, metavar="TOKENS")
        parser.add_argument(
            "--near-duplicates",
            type=_threshold,
            default=DEFAULT_THRESHOLD,
            metavar="0-1|off",
            help="similarity from which user texts are near duplicates",
        )
        parser.add_argument(
            "--pii",
            default=Pii.REPORT.value,
            choices=[choice.value for choice in Pii],
            help="personal data and secrets: count the records that hold any (the default), put placeholders in their "
            "place in all that is written, or do not look",
        )
        parser.add_argument("--workers", type=int, metavar="N", help="processes that share the work (as many as cores)")

    def handle(self, *args: Any, **options: Any) -> None:
        config = _config(options)
        outputs = [options[name] for name in ("out", "rejected", "report") if options[name]]
        refuse_clash(options["files"], outputs)
        troubles: list[str] = []
        with ExitStack() as files:
            out = files.enter_context(_replacing(options["out"]))
            rejected = files.enter_context(_replacing(options["rejected"]))
            total = sum(path.stat().st_size for path in options["files"] if path.is_file())
            bar = files.enter_context(progress_bar(self.stderr, total))
            sinks = Sinks(trouble=troubles.append, at=bar)
            if out:
                sinks.valid = lambda found: _write(out, found.body)
            if rejected:
                sinks.refused = lambda line: _write(rejected, encode_json(line))
            try:
                report = sanitize_files(
                    options["files"],
                    config,
                    format=options["format"],
                    pii=Pii(options["pii"]),
                    sinks=sinks,
                    workers=_workers(options),
                )
            except WorkerLost as lost:
                raise CommandError(str(lost)) from None
        if options["report"]:
            with _replacing(options["report"]) as target:
                _write(target, report.model_dump_json(indent=2))
        self.stdout.write(_summary(report, Pii(options["pii"])))
        for sentence in troubles:
            self.stderr.write(sentence)
        if troubles:
            sys.exit(1)


def _workers(options: dict[str, Any]) -> int:
    """As many processes as asked for or as there are cores; one where the files are read before two could start."""
    if options["workers"] is not None:
        return int(options["workers"])
    size = sum(path.stat().st_size for path in options["files"] if path.is_file())
    return max(1, os.cpu_count() or 1) if size > _SMALL else 1


def _threshold(text: str) -> float | None:
    if text == "off":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError("must be a number above 0 and at most 1, or off")
    return value


def _config(options: dict[str, Any]) -> SanitizeConfig:
    if options["min_user_message_length"] < 0:
        raise CommandError("--min-user-message-length must not be negative.", returncode=WRONG_USAGE)
    if options["max_tokens"] < 1:
        raise CommandError("--max-tokens must be at least 1.", returncode=WRONG_USAGE)
    if options["workers"] is not None and options["workers"] < 1:
        raise CommandError("--workers must be at least 1.", returncode=WRONG_USAGE)
    names = ("min_user_message_length", "max_tokens", "near_duplicates")
    return SanitizeConfig(**{name: options[name] for name in names})


@contextmanager
def _replacing(path: Path | None) -> Iterator[IO[str] | None]:
    """``replacing``, or nothing at all where no file is wanted."""
    if path is None:
        yield None
        return
    with replacing(path) as target:
        yield target


def _write(target: IO[str] | None, line: str) -> None:
    if target is not None:
        write_line(target, line)


def _summary(report: BatchReport, pii: Pii) -> str:
    lines = [f"{report.valid:,} of {report.total:,} records are valid ({report.seconds:.1f} s)."]
    lines += [f"  {count:>9,}  {CODES[code][0]} ({code})" for code, count in report.errors_by_type.items()]
    if report.unreadable:
        lines.append(f"  {report.unreadable:>9,}  lines that could not be read")
    for kind, count in {**(report.secrets or {}), **(report.pii or {})}.items():
        done = "" if pii is not Pii.REDACT else ", redacted" if kind in REVIEWED else ", left as they are"
        lines.append(f"  {count:>9,}  records with {KINDS[kind].many}{done}")
    return "\n".join(lines + report.recommendations)

"""Grades a file of answers with a grader document, without a database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from graders_app.batch import UNREADABLE, BatchReport, grade_file
from graders_app.core.errors import GraderError
from graders_app.core.evaluate import JailUnavailable, open_grader
from graders_app.documents import read_object
from graders_app.trial import no_judge
from rft_project.platforms.types import JsonDict

_WRONG_USAGE = 2
_BAR = 30  # characters
_EVERY = 0.2  # seconds between two drawings


class Command(BaseCommand):
    help = (
        'Grade lines {"item": {…}, "sample": {"output_text": "…"}} with a grader document. Each line that is not empty '
        "gets one line in --out. Exits 1 when a line could not be read or the grader was refused."
    )
    requires_system_checks = []  # nothing of the web application is used

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="answers, one JSON object per line")
        parser.add_argument("--grader", type=Path, required=True, metavar="FILE", help="the grader document, JSON")
        parser.add_argument(
            "--out", type=Path, required=True, metavar="FILE", help="reward, sub_rewards and errors of each line"
        )
        parser.add_argument("--report", type=Path, metavar="FILE", help="count, mean, std, errors and seconds as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        inputs = [options["file"], options["grader"]]
        _refuse_clash(inputs, [options[name] for name in ("out", "report") if options[name]])
        config = _document(options["grader"])
        try:
            report = self._grade(options["file"], config, options["out"])
        except (GraderError, JailUnavailable) as error:
            raise CommandError(str(error)) from None
        if options["report"]:
            with _replacing(options["report"]) as target:
                target.write(json.dumps(report.to_json(), indent=2) + "\n")
        self.stdout.write(_summary(report))
        if bad := report.errors[UNREADABLE]:
            lines = "1 line" if bad == 1 else f"{bad:,} lines"
            raise CommandError(f"{lines} could not be read. {report.first_unreadable}")

    def _grade(self, path: Path, config: JsonDict, out: Path) -> BatchReport:
        try:
            source = path.open("rb")
        except OSError as error:
            raise CommandError(_unreadable(path, error), returncode=_WRONG_USAGE) from None
        with source, open_grader(config, judge=no_judge) as grader, _replacing(out) as target:
            bar = _Bar(self.stderr, path.stat().st_size)
            try:
                return grade_file(grader, source, target.write, bar)
            finally:
                bar.close()


def _document(path: Path) -> JsonDict:
    try:
        return read_object(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(_unreadable(path, error), returncode=_WRONG_USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text; give a grader document.", returncode=_WRONG_USAGE) from None
    except GraderError as error:
        raise CommandError(f"{path}: {error}", returncode=_WRONG_USAGE) from None


def _unreadable(path: Path, error: OSError) -> str:
    if path.is_dir():
        return f"{path} is a folder; give a file."
    return (
        f"{path} does not exist; check the path." if not path.exists() else f"{path} can't be read: {error.strerror}."
    )


def _refuse_clash(inputs: list[Path], outputs: list[Path]) -> None:
    """No output may overwrite an input or another output, and each needs a folder to go to."""
    taken = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise CommandError(f"{path} is named twice; give each output a file of its own.", returncode=_WRONG_USAGE)
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise CommandError(
                f"{path} can't be written; give a file in a folder that exists.", returncode=_WRONG_USAGE
            )
        taken.add(path.resolve())


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write that takes its name only when all of it is written."""
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as target:
            yield target
        unfinished.replace(path)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}.") from None
    finally:
        unfinished.unlink(missing_ok=True)


class _Bar:
    """A progress bar over bytes, on a terminal only."""

    def __init__(self, stream: Any, total: int) -> None:
        self._stream, self._total = stream, total
        self._shown = stream.isatty() and total > 0
        self._due = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._shown and now >= self._due:
            self._due = now + _EVERY
            self._draw(min(done / self._total, 1.0))

    def close(self) -> None:
        if self._shown:
            self._draw(1.0)
            self._stream.write("", ending="\n")

    def _draw(self, share: float) -> None:
        self._stream.write(f"\r[{'#' * round(_BAR * share):<{_BAR}}] {share:4.0%}", ending="")
        self._stream.flush()


def _summary(report: BatchReport) -> str:
    seconds = f"({report.seconds:.1f} s)"
    if not report.rewarded:
        lines = [f"None of {report.count:,} answers has a score {seconds}."]
    else:
        score = f"mean {report.mean:.3f}, standard deviation {report.std:.3f}"
        lines = [f"{report.rewarded:,} of {report.count:,} answers scored: {score} {seconds}."]
    lines += [f"  {count:>9,}  {kind}" for kind, count in report.errors.most_common()]
    return "\n".join(lines)

"""What commands that read and write files share: outputs that are whole or absent, and a bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

WRONG_USAGE = 2  # exit code
_UNFINISHED = ".part"
_BAR = 30  # characters
_EVERY = 0.2  # seconds between two drawings


def refuse_clash(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Raises CommandError when an output would overwrite an input or another output, or has no folder to go to."""
    taken = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise CommandError(f"{path} is named twice; give each output a file of its own.", returncode=WRONG_USAGE)
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise CommandError(f"{path} can't be written; give a file in a folder that exists.", returncode=WRONG_USAGE)
        taken.add(path.resolve())


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write that takes its name only when all of it is written. Raises CommandError."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as target:
            yield target
        unfinished.replace(path)
    except OSError as error:
        raise _not_written(path, error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """``data`` as the whole of ``path``, or nothing of it. Raises CommandError."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        raise _not_written(path, error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def write_line(target: IO[str], line: str) -> None:
    """A line into a file of ``replacing``; where several are open, the error names this one. Raises CommandError."""
    try:
        target.write(line + "\n")
    except OSError as error:
        raise _not_written(Path(target.name.removesuffix(_UNFINISHED)), error) from None


def _not_written(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path} can't be written ({error.strerror}); make room or choose another place.")


class Bar:
    """A progress bar over bytes; draws nothing where the stream is no terminal."""

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


@contextmanager
def progress_bar(stream: Any, total: int) -> Iterator[Bar]:
    """A bar that is closed however the work ends. ``total`` in bytes; 0 draws nothing."""
    bar = Bar(stream, total)
    try:
        yield bar
    finally:
        bar.close()

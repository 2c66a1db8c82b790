"""Files that commands are given, and one sentence for each that cannot be read."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError

from graders_app.core.errors import GraderError
from graders_app.documents import read_object
from rft_project.jobs.terminal import WRONG_USAGE
from rft_project.platforms.types import JsonDict


def read_document_file(path: Path) -> JsonDict:
    """A grader document. Raises CommandError."""
    try:
        return read_object(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(unreadable(path, error), returncode=WRONG_USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text; give a grader document.", returncode=WRONG_USAGE) from None
    except GraderError as error:
        raise CommandError(f"{path}: {error}", returncode=WRONG_USAGE) from None


def unreadable(path: Path, error: OSError) -> str:
    if path.is_dir():
        return f"{path} is a folder; give a file."
    return (
        f"{path} does not exist; check the path." if not path.exists() else f"{path} can't be read: {error.strerror}."
    )

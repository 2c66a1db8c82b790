"""Writes a dataset, or a part of a snapshot, to a file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app import exports
from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.exporting.report import Manifest
from datasets_app.filters import Where
from datasets_app.management.dataset_command import DatasetCommand
from datasets_app.models import VALID, Dataset, Export, Snapshot
from datasets_app.services import Refused
from rft_project.jobs.terminal import WRONG_USAGE, refuse_clash

ANY = "any"


class Command(DatasetCommand):
    help = "Write the valid records of a dataset to a file, with a manifest and a list of what was left out beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--format", required=True, choices=list(FORMATS))
        parser.add_argument("--out", required=True, type=Path, metavar="FILE")
        parser.add_argument("--verdict", default=VALID, choices=[VALID, "invalid", "duplicate", ANY])
        parser.add_argument("--topic", default="", metavar="NAME", help="records of one topic only")
        parser.add_argument("--snapshot", type=int, metavar="NUMBER", help="a frozen split instead of the records")
        parser.add_argument("--part", default="", choices=["train", "valid"], help="of the snapshot")
        parser.add_argument("--gzip", action="store_true", help="pack the file; not for platforms and Parquet")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset, out = self.dataset(options), options["out"]
        beside = {"manifest": _beside(out, "manifest.json"), "left_out": _beside(out, "left-out.jsonl")}
        refuse_clash([], [out, *beside.values()])
        snapshot = self._snapshot(dataset, options)
        try:
            export = exports.start_export(dataset, options["format"], _selection(options), by=None, snapshot=snapshot)
        except Refused as refused:
            raise CommandError(str(refused), returncode=WRONG_USAGE) from None
        assert export.job is not None
        report = self.finish(export.job)
        export.refresh_from_db()
        try:
            files = _bring(export, out, beside)
        except OSError as error:
            raise CommandError(f"{out} can't be written: {error.strerror}.", returncode=1) from error
        exports.delete_export(export)
        self.write_report({**report, **files}, options)

    @staticmethod
    def _snapshot(dataset: Dataset, options: dict[str, Any]) -> Snapshot | None:
        """Raises CommandError for a snapshot of another dataset, and for a part of none."""
        if options["snapshot"] is None:
            if options["part"]:
                raise CommandError("--part needs --snapshot.", returncode=WRONG_USAGE)
            return None
        found = dataset.snapshots.filter(pk=options["snapshot"]).first()
        if found is None:
            raise CommandError(f"{dataset} has no snapshot {options['snapshot']}.", returncode=WRONG_USAGE)
        return found


def _selection(options: dict[str, Any]) -> exports.Selection:
    frozen = options["snapshot"] is not None
    verdict = "" if frozen or options["verdict"] == ANY else options["verdict"]
    where = Where(verdict=verdict, topic=options["topic"])
    return exports.Selection(where=where, part=options["part"], gzip=options["gzip"])


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.name}.{ending}")


def _bring(export: Export, out: Path, beside: dict[str, Path]) -> dict[str, str]:
    """Copy the files out; each takes its name only when all of it is there. Raises OSError."""
    manifest = Manifest.model_validate(export.manifest).model_copy(update={"file": out.name})
    _place(exports.file_of(export), out)
    unfinished = _beside(beside["manifest"], "part")
    unfinished.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(beside["manifest"])
    found = {"file": str(out), "manifest": str(beside["manifest"])}
    if export.left_out:
        _place(exports.left_out_of(export), beside["left_out"])
        found["left_out_file"] = str(beside["left_out"])
    return found


def _place(source: Path, target: Path) -> None:
    unfinished = _beside(target, "part")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise

"""Writes a grader as a file for a platform, or as a Python file that runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from graders_app.core.compiling import TARGETS, compile_grader
from graders_app.core.errors import GraderError
from graders_app.management.reading import read_document_file
from graders_app.models import Grader
from rft_project.jobs.terminal import WRONG_USAGE, refuse_clash, write_bytes
from rft_project.platforms.types import JsonDict


class Command(BaseCommand):
    help = (
        "Compile a grader: OpenAI's or Azure's JSON, a zip for Bedrock's reward function (AWS Lambda), or one Python "
        "file. Give a document's file or the name of a grader. Exits 1 when the grader cannot go there."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the grader document, JSON")
        source.add_argument("--grader", metavar="NAME", help="a grader of this installation, its current version")
        parser.add_argument("--to", choices=sorted(TARGETS), required=True, help="where it is to run")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
        parser.add_argument("--judge-model", default="", metavar="ID", help="takes the place of the role judge")

    def handle(self, *args: Any, **options: Any) -> None:
        path, out = options["file"], options["out"]
        refuse_clash([path] if path else [], [out])
        config = read_document_file(path) if path else _saved(options["grader"])
        try:
            data = compile_grader(config, options["to"], judge_model=options["judge_model"])
        except GraderError as error:
            raise CommandError(str(error)) from None
        write_bytes(out, data)
        self.stdout.write(f"{out}: {len(data):,} bytes. {TARGETS[options['to']].sentence}")


def _saved(name: str) -> JsonDict:
    found = list(Grader.objects.filter(name=name).latest_versions()[:2])
    if len(found) != 1:
        how = "No grader has" if not found else "Several workspaces have a grader of"
        raise CommandError(f"{how} the name {name!r}; give a document's file.", returncode=WRONG_USAGE)
    return found[0].config

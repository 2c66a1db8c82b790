"""Makes the topics of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.actions import TOPICS
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import TopicError, parse_json
from datasets_app.management.dataset_command import DatasetCommand
from datasets_app.services import Refused
from datasets_app.topic_commands import replace_with


class Command(DatasetCommand):
    help = (
        "Make the topics of a dataset: from its records, from a template, or from a file. "
        "The records are sorted into them by a worker afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--template", choices=list(TEMPLATES))
        source.add_argument("--topics", metavar="FILE", help="a topic hierarchy as JSON")
        source.add_argument("--clusters", type=int, metavar="N", help="number of topics; the data decide otherwise")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = self.dataset(options)
        if options["template"] or options["topics"]:
            tree = TEMPLATES[options["template"]].tree if options["template"] else self._read(options["topics"])
            try:
                replace_with(dataset, tree, "The topics were replaced from the command line.", by=None)
            except Refused as error:
                raise CommandError(str(error), returncode=1) from error
            report = {"topics": tree.leaves(), "source": options["template"] or options["topics"]}
        else:
            report = self.act(dataset, TOPICS, {"clusters": options["clusters"]})
        self.write_report(report, options)

    @staticmethod
    def _read(name: str) -> Any:
        try:
            return parse_json(Path(name).read_bytes())
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}.", returncode=1) from error
        except TopicError as error:
            raise CommandError(str(error), returncode=1) from error

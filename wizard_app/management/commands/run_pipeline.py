"""The whole main job from a file to a tuned model, headless; started again with the same name it goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app import actions, consent
from datasets_app import services as datasets
from datasets_app.core.hygiene import HygieneReport
from datasets_app.facts import coverage_report, dataset_facts
from datasets_app.models import Dataset, ImportBatch
from graders_app.core.errors import GraderError
from graders_app.core.presets import load_preset
from graders_app.models import Grader
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.connections.services import local_connection
from rft_project.jobs.console import JobCommand
from rft_project.platforms.errors import PlatformError
from wizard_app import deploying, flow, services, splitting
from wizard_app.choosing import trainable
from wizard_app.items import preset_context
from wizard_app.models import RFTJob
from wizard_app.receivers import question_about
from wizard_app.schemas import DryRunParams, SplitParams, TrainParams

PRESET = "preset:"


class Command(JobCommand):
    help = "Import, sanitize, find topics, split, grade, dry-run, train, compare and deploy; resumes by name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--name", required=True, help="of the dataset and the run; the same name goes on")
        parser.add_argument("--grader", required=True, metavar="FILE|preset:NAME")
        parser.add_argument("--reference-field", default="", metavar="PATH")
        parser.add_argument("--platform", default="local", help="kind or name of a connection")
        parser.add_argument("--model", default="", help="base model; the platform's first one otherwise")
        parser.add_argument("--samples", type=int, default=4, metavar="K", help="answers per prompt in the dry run")
        parser.add_argument("--dry-run-size", type=int, default=60, metavar="N")
        parser.add_argument("--steps", type=int, help="training steps; the model's default otherwise")
        parser.add_argument("--train-ratio", type=float, default=0.8, help="share of the records that is trained on")
        parser.add_argument("--clusters", type=int, metavar="N", help="number of topics; the data decide otherwise")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--train-anyway", metavar="REASON", default="", help="train in spite of a NO-GO")
        parser.add_argument(
            "--send-findings",
            action="store_true",
            help="send records to the platform although they hold unreviewed personal data or secrets",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        report: dict[str, Any] = {"name": options["name"]}
        try:
            self._walk(report, options)
        except (services.Refused, datasets.Refused, consent.Unasked, PlatformError, GraderError) as error:
            report["error"] = str(error)
        except CommandError as error:
            if error.returncode != 1:
                raise
            report["error"] = str(error)
        report["seconds"] = round(time.monotonic() - started, 1)
        self.write_report(report, options)
        if "error" in report:
            raise CommandError(report["error"], returncode=1)

    def _walk(self, report: dict[str, Any], options: dict[str, Any]) -> None:
        workspace = self.workspace(options)
        dataset, _ = Dataset.objects.get_or_create(workspace=workspace, name=options["name"])
        connection, model = self._model(workspace, options)
        self._data(dataset, report, options)
        run = RFTJob.objects.filter(workspace=workspace, name=options["name"]).first()
        run = run or services.create_run(dataset, options["name"], by=None)
        report["split"] = splitting.split_run(
            run, SplitParams(ratio=options["train_ratio"], seed=options["seed"])
        ).report.model_dump(mode="json")
        grader = self._grader(run, options)
        report["grader"] = services.choose_grader(run, grader).model_dump(mode="json")
        self._may_be_sent(run, connection, options)
        self._dry_run(run, connection, model, report, options)
        self._train(run, report, options)
        if connection.kind in flow.DEPLOYED_FIRST:
            self._deploy(run, report)
            self._compare(run, report)
        else:
            self._compare(run, report)
            self._deploy(run, report)

    def _deploy(self, run: RFTJob, report: dict[str, Any]) -> None:
        """Where it stands already, it is only named."""
        deployment = deploying.deploy(run, by=None)
        if not deployment.answers and deployment.job is not None:
            self.finish(deployment.job)
            deployment.refresh_from_db()
        report["model"] = run.tuned_model
        report["deployment"] = {"model": deployment.called, "state": deployment.state}

    def _model(self, workspace: Any, options: dict[str, Any]) -> tuple[Connection, str]:
        """The connection and base model; asked first, so that a typing error costs no work."""
        wanted = options["platform"]
        if wanted == "local":
            connection: Connection | None = local_connection(workspace)
        else:
            connection = workspace.connections.filter(name=wanted).first()
            connection = connection or workspace.connections.filter(kind=wanted).first()
        if connection is None:
            raise CommandError(f"This workspace has no connection called {wanted}.", returncode=2)
        models = [info.id for info in trainable(connection)]
        if not models:
            raise services.Refused(f"{connection.name} has no model that can be trained.")
        model = options["model"] or models[0]
        if model not in models:
            raise CommandError(f"{connection.name} has no model {model}; it has {', '.join(models)}.", returncode=2)
        return connection, model

    def _data(self, dataset: Dataset, report: dict[str, Any], options: dict[str, Any]) -> None:
        path = Path(options["file"])
        batch = ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(path.resolve()), owned=False)
        report["import"] = self.finish(datasets.start_import(batch, "auto", options["reference_field"], by=None))
        if dataset_facts(dataset).unchecked:
            self._act(dataset, actions.SANITIZE, {})
        report["sanitize"] = HygieneReport.model_validate(actions.last_result(dataset, actions.SANITIZE)).model_dump(
            mode="json"
        )
        report["topics"] = self._topics(dataset, options)
        if dataset.topics.topics and dataset_facts(dataset).uncategorized:
            self._act(dataset, actions.CATEGORIZE, {})
        report["categorize"] = actions.last_result(dataset, actions.CATEGORIZE)
        report["coverage"] = coverage_report(dataset).to_json()

    def _topics(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        """Records that do not fall into groups are no reason to stop: everything after works without topics."""
        if not dataset.topics.topics:
            try:
                self._act(dataset, actions.TOPICS, {"clusters": options["clusters"]})
            except CommandError as error:
                return {"topics": [], "note": str(error)}
            dataset.refresh_from_db()
        found = actions.last_result(dataset, actions.TOPICS)
        return {key: value for key, value in found.items() if key != "typical"}

    def _act(self, dataset: Dataset, action: str, params: dict[str, Any]) -> None:
        self.finish(actions.start(dataset, action, params, by=None))

    def _grader(self, run: RFTJob, options: dict[str, Any]) -> Grader:
        wanted, preset = options["grader"], ""
        if wanted.startswith(PRESET):
            preset = load_preset(wanted.removeprefix(PRESET)).slug
            config = load_preset(preset).build(preset_context(run.frozen))
        else:
            try:
                config = json.loads(Path(wanted).read_text(encoding="utf-8"))
            except OSError as error:
                raise CommandError(f"{wanted} cannot be read: {error.strerror}.", returncode=2) from error
            except ValueError as error:
                raise CommandError(f"{wanted} is not JSON: {error}.", returncode=2) from error
        return save_grader(run.workspace, f"{run.name} grader", config, preset=preset, by=None)

    def _may_be_sent(self, run: RFTJob, connection: Connection, options: dict[str, Any]) -> None:
        """What a page would ask a person is answered by an option."""
        while (question := question_about(run, connection)) is not None:
            if question.unseen:
                raise services.Refused(question.unseen)
            if not options["send_findings"]:
                how = "Review them on the dataset's page, or pass --send-findings."
                raise services.Refused(f"{question.sentence} {how}")
            consent.agree(question, by=None)

    def _dry_run(
        self, run: RFTJob, connection: Connection, model: str, report: dict[str, Any], options: dict[str, Any]
    ) -> None:
        params = DryRunParams(
            connection=str(connection.pk),
            model=model,
            size=options["dry_run_size"],
            answers=options["samples"],
            seed=options["seed"],
        )
        state = flow.state_of(run, flow.DRY_RUN)
        if not state.done or state.stale or run.base_model != model:
            self.finish(services.start_dry_run(run, params, by=None))
        found = run.steps.get(step=flow.DRY_RUN)
        report["dry_run"] = found.summary
        if found.summary["diagnosis"]["verdict"] == "NO-GO":
            if not options["train_anyway"]:
                sentence = " ".join(reason["sentence"] for reason in found.summary["diagnosis"]["reasons"])
                raise services.Refused(f"The dry run says NO-GO: {sentence}")
            services.override_no_go(run, options["train_anyway"], by=None)

    def _train(self, run: RFTJob, report: dict[str, Any], options: dict[str, Any]) -> None:
        state = flow.state_of(run, flow.TRAIN)
        if not state.done or state.stale:
            chosen = {"steps": options["steps"]} if options["steps"] else {}
            self.finish(
                services.start_training(run, TrainParams(hyperparameters=chosen, seed=options["seed"]), by=None)
            )
        run.refresh_from_db()
        report["train"] = run.steps.get(step=flow.TRAIN).summary

    def _compare(self, run: RFTJob, report: dict[str, Any]) -> None:
        state = flow.state_of(run, flow.RESULTS)
        if not state.done or state.stale:
            self.finish(services.start_evaluation(run, by=None))
        results = run.steps.get(step=flow.RESULTS).summary
        overall = results["outcome"]["overall"]
        report["results"] = results["outcome"]
        report |= {"baseline": overall["before"], "tuned": overall["after"], "verdict": results["outcome"]["verdict"]}

"""What the pages of split, grader, dry run and training offer to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.core.readiness import DatasetFacts
from datasets_app.facts import dataset_facts
from graders_app.core.presets import PRESETS, Preset
from graders_app.models import Grader
from rft_project.connections.services import with_role
from rft_project.jobs.models import Job
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import last_user_text, text_of
from wizard_app import flow
from wizard_app.choosing import model_info
from wizard_app.core.splitting import NO_TOPIC, SplitReport
from wizard_app.forms import SplitForm, TrainForm
from wizard_app.items import preset_context, reference_text
from wizard_app.models import RFTJob
from wizard_app.schemas import DryRunParams, GraderSummary, SplitSummary, TrainParams


@dataclass(frozen=True)
class SplitPanel:
    """``changed``: in what the dataset differs from what was frozen; '' when in nothing that counts can tell."""

    report: SplitReport | None
    form: SplitForm
    valid: int
    changed: str


@dataclass(frozen=True)
class StepWork:
    """The job of a step whose work shows nothing but how far it is."""

    run: RFTJob
    job: Job | None

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> int:
        return self.job.version if self.job is not None else 0


def work_of(run: RFTJob, step: str) -> StepWork:
    return StepWork(run, flow.state_of(run, step).job)


def split_panel(run: RFTJob) -> SplitPanel:
    state = flow.state_of(run, flow.SPLIT)
    report = SplitSummary.model_validate(state.result.summary).report if state.result and state.done else None
    facts = dataset_facts(run.dataset)
    initial = state.result.params if state.result and state.done else {"ratio": 0.9 if facts.valid >= 1000 else 0.8}
    return SplitPanel(report, SplitForm(initial=initial), facts.valid, _changed(report, facts) if report else "")


def _changed(report: SplitReport, facts: DatasetFacts) -> str:
    """The snapshot stays what it is; a person may want to split again."""
    if report.total != facts.valid:
        return f"The dataset had {report.total:,} valid records at this split and has {facts.valid:,} now."
    then = {name: topic.train + topic.valid for name, topic in report.topics.items()}
    now = {**facts.topics, NO_TOPIC: facts.unknown + facts.uncategorized}
    if then != {name: count for name, count in now.items() if count}:
        return "Records have other topics now than at this split."
    return ""


@dataclass(frozen=True)
class PresetLine:
    preset: Preset
    have: int
    total: int

    @property
    def usable(self) -> bool:
        return self.have > 0


@dataclass(frozen=True)
class TrialItem:
    pk: int
    prompt: str
    reference: str
    logged: str


@dataclass(frozen=True)
class GraderPanel:
    presets: list[PresetLine]
    saved: list[Grader]
    chosen: GraderSummary | None
    missing: list[tuple[str, int]]
    items: list[TrialItem]


def grader_panel(run: RFTJob) -> GraderPanel:
    assert run.snapshot is not None
    context = preset_context(run.frozen)
    judge = with_role(run.workspace, "judge")
    presets = [
        PresetLine(preset, 0 if preset.judge and judge is None else preset.available(context)[0], context.total)
        for preset in PRESETS
    ]
    state = flow.state_of(run, flow.GRADER)
    chosen = GraderSummary.model_validate(state.result.summary) if state.result and state.done else None
    items = []
    for item in run.snapshot.items.filter(part="train").order_by("pk")[:5]:
        trace = item.trace
        logged = next((text_of(m.get("content")) for m in reversed(trace.output_messages)), "")
        items.append(TrialItem(item.pk, last_user_text(trace.messages), reference_text(trace), logged))
    return GraderPanel(
        presets=sorted(presets, key=lambda line: not line.usable),
        saved=list(Grader.objects.filter(workspace=run.workspace).latest_versions()),
        chosen=chosen,
        missing=sorted(chosen.missing.items()) if chosen else [],
        items=items,
    )


def asked_with(run: RFTJob) -> DryRunParams | None:
    """How the dry run asked; training does alike."""
    measured = run.steps.filter(step=flow.DRY_RUN).first()
    return DryRunParams.model_validate(measured.params) if measured is not None else None


def train_form(run: RFTJob, data: Any = None) -> tuple[TrainForm | None, str]:
    """The settings of the run's base model, or the sentence why they cannot be shown."""
    try:
        info = model_info(run.platform_connection, run.base_model) if run.connection is not None else None
    except PlatformError as error:
        return None, str(error)
    if info is None:
        return None, "The base model of the dry run is not offered any more; run the dry run with another one."
    trained = run.steps.filter(step=flow.TRAIN).first()
    options = TrainParams.model_validate(trained.params).options if trained is not None else {}
    return TrainForm(data, info=info, initial={**options, **run.hyperparameters}), ""

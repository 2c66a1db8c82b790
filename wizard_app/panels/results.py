"""The results page: before and after on the same prompts, pair by pair, and how to use the model."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

from rft_project.jobs.models import Job
from rft_project.platforms.types import last_user_text
from rft_project.web.charts import PairRow, before_after, stacked
from rft_project.web.charts.pairs import BeforeAfter
from rft_project.web.charts.parts import Part, StackedBar
from wizard_app import flow
from wizard_app.attempts import as_trained
from wizard_app.core.outcome import Change, Verdict, extremes
from wizard_app.forms import DeployForm
from wizard_app.items import VALID, reference_text
from wizard_app.jobs.evaluate import pairs_of
from wizard_app.models import Deployment, RFTJob, Rollout
from wizard_app.schemas import ResultsSummary

from .deployments import DeploymentLine, deploy_form, hosting_of, line_of

WORDS = {
    Verdict.IMPROVED: ("good", "IMPROVED"),
    Verdict.MARGINAL: ("warn", "A LITTLE"),
    Verdict.NONE: ("warn", "NO CHANGE"),
    Verdict.REGRESSION: ("bad", "WORSE"),
}
TABS = (("improved", "Most improved"), ("damaged", "Most damaged"))


@dataclass(frozen=True)
class Comparison:
    """Two answers to one prompt."""

    prompt: str
    reference: str
    topic: str
    before: str
    after: str
    before_score: float
    after_score: float


@dataclass(frozen=True)
class ResultsPanel:
    run: RFTJob
    job: Job | None
    summary: ResultsSummary | None
    tone: str = ""
    word: str = ""
    chart: BeforeAfter | None = None
    duels: StackedBar | None = None
    tab: str = "improved"
    tabs: tuple[tuple[str, str], ...] = TABS
    pairs: tuple[Comparison, ...] = ()
    deployment: Deployment | None = None  # of the final model, and answers
    awaited: Deployment | None = None  # of the final model, and does not answer yet
    standing: tuple[DeploymentLine, ...] = ()  # of any of the run's models
    form: DeployForm | None = None
    hosting: str = ""  # what a deployment costs while it stands

    @property
    def worth(self) -> bool:
        """Whether the comparison speaks for the tuned model."""
        return self.summary is not None and self.summary.outcome.verdict in (Verdict.IMPROVED, Verdict.MARGINAL)

    @property
    def offers(self) -> bool:
        """Whether there is anything to choose beside what the one press deploys."""
        return self.form is not None and (bool(self.form.bounds) or len(self.form.models) > 1)

    @property
    def deploy_first(self) -> bool:
        """The tuned model can't be asked before it is deployed, and is not."""
        connection = self.run.connection
        return self.deployment is None and connection is not None and connection.kind in flow.DEPLOYED_FIRST

    @property
    def comparing(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def deploying(self) -> bool:
        job = self.awaited.job if self.awaited is not None else None
        return job is not None and job.is_live

    @property
    def is_live(self) -> bool:
        """Whether something goes on that changes the page."""
        return self.comparing or self.deploying

    @property
    def version(self) -> str:
        jobs = (self.job, self.awaited.job if self.awaited is not None else None)
        return "-".join(f"{job.pk}.{job.version}" for job in jobs if job is not None) or "0"


def results_panel(run: RFTJob, tab: str = "improved") -> ResultsPanel:
    result = run.steps.select_related("job").filter(step=flow.RESULTS).first()
    job = result.job if result is not None else None
    trained = as_trained(copy(run))
    standing = list(run.deployments.filter(ended_at=None).select_related("connection", "job", "run"))
    final = next((row for row in standing if row.model == run.tuned_model), None)
    deployed: dict[str, Any] = {
        "deployment": final if final is not None and final.answers else None,
        "awaited": final if final is not None and not final.answers else None,
        "standing": tuple(line_of(row) for row in standing),
        "form": deploy_form(trained),
        "hosting": hosting_of(trained.platform_connection, run.tuned_model, trained.base_model)
        if trained.connection is not None
        else "",
    }
    if result is None or result.finished_at is None:
        return ResultsPanel(run, job, None, **deployed)
    summary = ResultsSummary.model_validate(result.summary)
    outcome = summary.outcome
    tone, word = WORDS[outcome.verdict]
    tab = tab if tab in dict(TABS) else "improved"
    overall = outcome.overall
    parts = [Part("better", overall.win, "acc"), Part("equal", overall.tie, "mute"), Part("worse", overall.loss, "bad")]
    return ResultsPanel(
        run=run,
        job=job,
        summary=summary,
        tone=tone,
        word=word,
        chart=before_after(
            [_row("all prompts", overall, total=True), *(_row(name, c) for name, c in outcome.topics.items())],
            finding=outcome.sentence,
        ),
        duels=stacked(parts, finding=f"{overall.win} better, {overall.tie} equal, {overall.loss} worse."),
        tab=tab,
        pairs=tuple(_pairs(run, summary, tab)),
        **deployed,
    )


def _row(label: str, change: Change, *, total: bool = False) -> PairRow:
    return PairRow(label, change.prompts, change.before, change.after, change.low, change.high, total)


def _pairs(run: RFTJob, summary: ResultsSummary, tab: str) -> list[Comparison]:
    assert run.snapshot is not None
    items = {item.pk: item for item in run.snapshot.items.filter(part=VALID)}
    found = pairs_of(run, list(items.values()), summary.base_key, summary.tuned_key)
    chosen = getattr(extremes(found), tab)
    wanted = [pair.prompt_id for pair in chosen]
    asked = Rollout.objects.filter(run=run, item__in=wanted, sampling_key__in=[summary.base_key, summary.tuned_key])
    answers = {(rollout.sampling_key, rollout.item_id): rollout.answer for rollout in asked}
    compared = []
    for pair in chosen:
        trace = items[int(pair.prompt_id)].trace
        compared.append(
            Comparison(
                prompt=last_user_text(trace.messages),
                reference=reference_text(trace) if trace.has_reference else "",
                topic=pair.topic or "",
                before=answers.get((summary.base_key, int(pair.prompt_id)), ""),
                after=answers.get((summary.tuned_key, int(pair.prompt_id)), ""),
                before_score=pair.before,
                after_score=pair.after,
            )
        )
    return compared

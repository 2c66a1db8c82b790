"""The training page: true progress, the live reward curve, warnings, and the log in the platform's words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rft_project.jobs.models import Job
from rft_project.money.panels import Meter
from rft_project.platforms.types import State
from rft_project.web.charts import reward_curve, sparkline
from rft_project.web.charts.curves import LineChart, Sparkline
from rft_project.web.parts import Check
from rft_project.web.text import change, score
from wizard_app import flow
from wizard_app.core import curve
from wizard_app.models import RFTJob, RunEvent, StepResult
from wizard_app.panels.costs import spoken_cost
from wizard_app.panels.frame import meter_of
from wizard_app.paying import cost_while_training

WHILE_IT_RUNS = ("stalled", "overfitting", "collapse")  # the best checkpoint is kept, whatever came after it
Series = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class ComponentCurve:
    name: str
    first: float
    last: float
    chart: Sparkline

    @property
    def word(self) -> str:
        moved = self.last - self.first
        return "rising" if moved > 0.02 else "falling" if moved < -0.02 else "flat"


@dataclass(frozen=True)
class TrainingPanel:
    """``sentence`` is the answer to "is it getting better?"; ``checks`` the warnings, or that there are none."""

    run: RFTJob
    job: Job | None
    result: StepResult | None
    series: Series
    chart: LineChart | None
    sentence: str
    checks: list[Check]
    components: list[ComponentCurve]
    events: list[RunEvent]
    eta: str
    meter: Meter | None
    costs: str  # what it may come to, once its own steps tell

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def paused(self) -> bool:
        return self.is_live and self.run.training_state == State.PAUSED.value

    @property
    def can_pause(self) -> bool:
        """Its platform can, and its first step is done."""
        return (
            self.is_live
            and bool(self.series)
            and self.run.connection is not None
            and self.run.connection.kind in flow.PAUSE
            and self.run.training_state == State.RUNNING.value
        )

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"

    @property
    def done(self) -> bool:
        return self.result is not None and self.result.finished_at is not None

    def last(self, name: str) -> float | None:
        points = self.series.get(name)
        return points[-1][1] if points else None

    @property
    def valid(self) -> float | None:
        return self.last("valid_reward")

    @property
    def train(self) -> float | None:
        return self.last("train_reward")

    @property
    def flat(self) -> float | None:
        return self.last("flat_share")

    @property
    def tokens(self) -> float | None:
        return self.last("answer_tokens")

    @property
    def observed(self) -> float | None:
        """What the grader itself logged last."""
        return self.last("observed_reward")

    @property
    def thoughts(self) -> float | None:
        return self.last("reasoning_tokens")

    @property
    def judge_tokens(self) -> int:
        return round(self._sum("judge_prompt_tokens") + self._sum("judge_completion_tokens"))

    @property
    def failed_gradings(self) -> int:
        return round(self._sum("errors"))

    def _sum(self, name: str) -> float:
        return sum(value for _, value in self.series.get(name, []))

    @property
    def begins(self) -> str:
        """When there will be a first point."""
        kind = self.run.connection.kind if self.run.connection is not None else ""
        if kind == "bedrock":
            return "The curve begins once the grader has logged enough answers; Bedrock itself tells no reward."
        if kind == "bedrock_openai":
            return "The curve begins with the first step; this platform does not validate while it trains."
        return "The curve begins with the first validation, before any training."

    @property
    def logged_parts(self) -> bool:
        """Whether the parts' rewards are what the grader logged, and not what the platform tells."""
        return not any(name.startswith(curve.COMPONENT) for name in self.series)

    @property
    def gain(self) -> float | None:
        """Over the first validation, once there is another one or the first was the base model's."""
        points = self.series.get("valid_reward", [])
        return points[-1][1] - points[0][1] if len(points) > 1 or (points and points[0][0] == 0) else None

    @property
    def since(self) -> str:
        """What ``gain`` is measured from: not every platform validates before its first step."""
        points = self.series.get("valid_reward")
        return f"since step {points[0][0]:,}" if points and points[0][0] else "over the base model"

    @property
    def lead(self) -> str:
        return change(self.gain) if self.gain is not None else "No change yet"

    @property
    def lead_tone(self) -> str:
        return "" if self.gain is None or abs(self.gain) <= 0.005 else "good" if self.gain > 0 else "bad"

    @property
    def step(self) -> int:
        return max((points[-1][0] for points in self.series.values()), default=0)


def series_of(run: RFTJob) -> Series:
    found: Series = defaultdict(list)
    for name, step, value in run.metrics.order_by("step").values_list("series", "step", "value"):
        found[name].append((step, value))
    return dict(found)


def training_panel(run: RFTJob) -> TrainingPanel:
    result = run.steps.select_related("job").filter(step=flow.TRAIN).first()
    job = result.job if result is not None else None
    series = series_of(run)
    total = job.total if job is not None and job.is_live else None
    sentence = _sentence(series)
    left = curve.eta(job.done, job.total, [v for _, v in series.get("seconds", [])]) if job and job.is_live else None
    return TrainingPanel(
        run=run,
        job=job,
        result=result,
        series=series,
        chart=_chart(series, total, sentence),
        sentence=sentence,
        checks=_checks(series, live=job is not None and job.is_live),
        components=_components(series),
        events=list(run.events.order_by("-pk")[:12]),
        eta=left.sentence if left is not None else "",
        meter=meter_of(run),
        costs=_costs(run, [value for _, value in series.get("seconds", [])], total or 0),
    )


def _costs(run: RFTJob, seconds: list[float], total: int) -> str:
    cost = cost_while_training(run, seconds, total) if total and run.connection is not None else None
    return "" if cost is None or cost.free else f"Its training comes to {spoken_cost(cost)}."


def _sentence(series: Series) -> str:
    valid = series.get("valid_reward", [])
    seen = series.get("train_reward") or series.get("observed_reward") or []
    if not valid and len(seen) >= 2:
        where = "on the prompts it trains on" if "train_reward" in series else "in the grader's own log"
        said = f"The score {where} went from {score(seen[0][1])} to {score(seen[-1][1])}."
        return f"{said} Whether that holds for other prompts is compared after training."
    if len(valid) < 2:
        return "The first comparison comes with the next validation."
    first, last = valid[0][1], valid[-1][1]
    moved = change(last - first)
    if last - first > 0.02:
        return f"Yes. On prompts it never trains on the score went from {score(first)} to {score(last)} ({moved})."
    if last - first < -0.02:
        return f"No. On prompts it never trains on the score fell from {score(first)} to {score(last)}."
    return f"Not yet. On prompts it never trains on the score stays near {score(first)}."


def _chart(series: Series, total: int | None, finding: str) -> LineChart | None:
    valid, train = series.get("valid_reward", []), series.get("train_reward", [])
    observed = series.get("observed_reward", [])
    if not valid and not train:
        if not observed:
            return None
        lots = "lots of answers that the grader scored"
        return reward_curve(observed, finding=finding, x_caption=lots, main_label="graded")
    baseline = valid[0][1] if valid and valid[0][0] == 0 else None
    return reward_curve(valid, train, finding=finding, baseline=baseline, total=total)


def _checks(series: Series, *, live: bool) -> list[Check]:
    """Warnings. Once it has ended, what would have been a reason to stop it is none any more."""
    found = [warning for warning in curve.warnings(series) if live or warning.slug not in WHILE_IT_RUNS]
    return [Check("warn", warning.sentence) for warning in found] or [Check("good", "Nothing to worry about.")]


def _components(series: Series) -> list[ComponentCurve]:
    parts = curve.components(series)
    if len(parts) < 2:
        return []
    return [
        ComponentCurve(
            name, points[0][1], points[-1][1], sparkline(points, finding=f"Reward of {name}", low=0.0, high=1.0)
        )
        for name, points in sorted(parts.items())
    ]

"""The dry run's page: the verdict with its reasons, the figures, the three buckets, and answers to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.models import SnapshotItem
from graders_app.core.anti_patterns import find_anti_patterns
from rft_project.jobs.models import Job
from rft_project.money.panels import Meter
from rft_project.platforms.types import last_user_text
from rft_project.web.charts import BucketRow, buckets, histogram
from rft_project.web.charts.histogram import Histogram
from rft_project.web.charts.parts import Buckets
from wizard_app import flow
from wizard_app.core.answering import schema_text
from wizard_app.core.diagnosis import ScoredAnswer, select_samples
from wizard_app.core.statistics import Bucket, DryRunSummary, PromptScores, bucket
from wizard_app.items import reference_text
from wizard_app.jobs.dry_run import result_of, sampled, scores_of
from wizard_app.models import RFTJob, Rollout
from wizard_app.panels.frame import meter_of
from wizard_app.schemas import DryRunParams, DryRunResult
from wizard_app.services import plan_of

Answer = tuple[SnapshotItem, Rollout]

TONES = {"GO": "good", "WARN": "warn", "NO-GO": "bad"}
QUALITY = {"good": "good", "fair": "warn", "poor": "bad"}
TABS = (("lowest", "5 lowest"), ("highest", "5 highest"), ("near_mean", "5 near the mean"), ("near_half", "near 0.5"))


@dataclass(frozen=True)
class WorkPanel:
    """Progress, and the first figures while it runs."""

    run: RFTJob
    job: Job | None
    so_far: DryRunResult | None
    meter: Meter | None

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> int:
        return self.job.version if self.job is not None else 0


def work_panel(run: RFTJob) -> WorkPanel:
    result = run.steps.select_related("job").filter(step=flow.DRY_RUN).first()
    job = result.job if result is not None else None
    so_far = None
    if result is not None and job is not None and job.is_live and job.done and run.snapshot is not None:
        params = DryRunParams.model_validate(result.params)
        so_far = result_of(run, sampled(run, params), plan_of(run, params).key)
    return WorkPanel(run, job, so_far, meter_of(run))


def dry_run_defaults(run: RFTJob) -> dict[str, Any]:
    """What the form starts with: the settings of the last dry run."""
    last = run.steps.filter(step=flow.DRY_RUN).first()
    if last is None:
        return {}
    params = DryRunParams.model_validate(last.params)
    return {
        "size": params.size,
        "answers": params.answers,
        "reasoning_effort": params.reasoning_effort,
        "answer_schema": schema_text(params.response_format),
    }


@dataclass(frozen=True)
class Component:
    name: str
    mean: float
    signal: float


@dataclass(frozen=True)
class Sample:
    """One answer worth reading."""

    prompt: str
    answer: str
    reference: str
    number: str
    topic: str
    reward: float
    parts: list[tuple[str, float]]
    errors: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Shape:
    """A pattern in the scores, as a sentence, with the answers that show it."""

    message: str
    samples: list[Sample]


@dataclass(frozen=True)
class DryRunPanel:
    result: DryRunResult
    tone: str
    reasons: list[str]
    dataset_tone: str
    grader_tone: str
    spread: Histogram
    chart: Buckets
    components: list[Component]
    tab: str
    tabs: tuple[tuple[str, str], ...]
    samples: list[Sample]
    shapes: list[Shape]
    override: str
    judge_tokens: int  # read and written by judges; 0 where none is asked

    @property
    def summary(self) -> DryRunSummary:
        return self.result.summary

    @property
    def learn(self) -> int:
        return self.summary.buckets.get(Bucket.CAN_LEARN, 0)


def dry_run_panel(run: RFTJob, tab: str = "lowest") -> DryRunPanel | None:
    """None until a dry run has ended."""
    stored = run.steps.filter(step=flow.DRY_RUN, finished_at__isnull=False).first()
    if stored is None or run.snapshot is None:
        return None
    result = DryRunResult.model_validate(stored.summary)
    items = list(run.snapshot.items.filter(part="train"))
    scores = scores_of(run, items, result.sampling_key)
    diagnosis, rewards = result.diagnosis, result.summary.rewards
    tab = tab if tab in dict(TABS) else "lowest"
    answers = _answers(run, result, items)
    return DryRunPanel(
        result=result,
        tone=TONES[diagnosis.verdict],
        reasons=[reason.sentence for reason in diagnosis.reasons] + diagnosis.notes,
        dataset_tone=QUALITY[diagnosis.dataset.quality],
        grader_tone=QUALITY[diagnosis.grader.quality],
        spread=histogram(
            _tens(rewards.histogram),
            finding=f"Scores of {rewards.count} answers, mean {rewards.mean:.2f}.",
            mean=rewards.mean,
            low=rewards.edges[0] if rewards.edges else 0.0,
            high=rewards.edges[-1] if rewards.edges else 1.0,
        ),
        chart=_buckets(result.summary, scores),
        components=_components(result.summary),
        tab=tab,
        tabs=TABS,
        samples=_samples(answers, result, tab),
        shapes=_shapes(answers, result),
        override=str(stored.params.get("override", "")),
        judge_tokens=sum(rollout.judge_tokens for _item, rollout in answers),
    )


def _tens(counts: list[int]) -> list[int]:
    """Twenty bins as ten, so that the labels under the columns have room; what is not twenty stays as it is."""
    return [a + b for a, b in zip(counts[::2], counts[1::2], strict=True)] if len(counts) == 20 else counts


def _buckets(summary: DryRunSummary, scores: list[PromptScores]) -> Buckets:
    counts: dict[str, dict[Bucket, int]] = {}
    for prompt in scores:
        where = bucket(prompt.rewards)
        if prompt.topic and where is not None:
            row = counts.setdefault(prompt.topic, dict.fromkeys(Bucket, 0))
            row[where] += 1
    rows = []
    for name, found in sorted(counts.items(), key=lambda pair: -sum(pair[1].values())):
        topic = summary.topics.get(name)
        weak = topic is not None and topic.status == "weak"
        mean = topic.mean if topic is not None else None
        three = (found[Bucket.ALREADY_SOLVED], found[Bucket.CAN_LEARN], found[Bucket.OUT_OF_REACH])
        rows.append(BucketRow(name, *three, mean=mean, badge="hardly learns" if weak else ""))
    total = summary.buckets
    return buckets(
        total.get(Bucket.ALREADY_SOLVED, 0), total.get(Bucket.CAN_LEARN, 0), total.get(Bucket.OUT_OF_REACH, 0), rows
    )


def _components(summary: DryRunSummary) -> list[Component]:
    return [
        Component(name, stats.mean, summary.component_signal.get(name, 0.0))
        for name, stats in summary.components.items()
    ]


def _answers(run: RFTJob, result: DryRunResult, items: list[SnapshotItem]) -> list[Answer]:
    """The scored answers with their records, in the order in which they were asked for."""
    by_item = {item.pk: item for item in items}
    rollouts = Rollout.objects.filter(run=run, sampling_key=result.sampling_key).exclude(reward=None).order_by("pk")
    return [(by_item[rollout.item_id], rollout) for rollout in rollouts if rollout.item_id in by_item]


def _samples(answers: list[Answer], result: DryRunResult, tab: str) -> list[Sample]:
    found = {(item.pk, rollout.sample_index): (item, rollout) for item, rollout in answers}
    scored = [ScoredAnswer(item, index, r.reward or 0.0) for (item, index), (_item, r) in found.items()]
    chosen = getattr(select_samples(scored), tab)
    return [_sample(*found[int(c.prompt_id), c.sample_index], result) for c in chosen]


def _shapes(answers: list[Answer], result: DryRunResult) -> list[Shape]:
    rollouts = [rollout for _item, rollout in answers]
    patterns = find_anti_patterns(
        [rollout.reward or 0.0 for rollout in rollouts],
        [len(rollout.answer) for rollout in rollouts],
        [rollout.judge_tokens for rollout in rollouts],
    )
    return [Shape(found.message, [_sample(*answers[row], result) for row in found.rows]) for found in patterns]


def _sample(item: SnapshotItem, rollout: Rollout, result: DryRunResult) -> Sample:
    trace = item.trace
    return Sample(
        prompt=last_user_text(trace.messages),
        answer=rollout.answer,
        reference=reference_text(trace) if trace.has_reference else "",
        number=f"Answer {rollout.sample_index + 1} of {result.summary.answers_per_prompt}",
        topic=item.topic or "no topic",
        reward=rollout.reward or 0.0,
        parts=sorted(rollout.sub_rewards.items()),
        errors=[error["message"] for error in rollout.grader_errors],
        notes=list(rollout.notes.values()),
    )

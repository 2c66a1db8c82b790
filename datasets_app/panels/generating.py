"""What the plan of a generation, its running and its outcome show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.forms import BoundField

from datasets_app import generation
from datasets_app.consent import Question, helper_connection
from datasets_app.core.coverage import TopicCoverage
from datasets_app.core.generating import (
    MIX,
    STRATEGIES,
    Estimate,
    Plan,
    Strategy,
    Tally,
    estimate,
    strategies_of,
    synthetic_share,
)
from datasets_app.core.generating_checks import title_of
from datasets_app.core.readiness import DatasetFacts
from datasets_app.facts import coverage_report, dataset_facts
from datasets_app.generation_forms import PlanForm
from datasets_app.models import Dataset, DatasetRecord, GenerationRun
from datasets_app.models.generating import tallies_of
from datasets_app.services import Refused
from rft_project.connections.models import Connection
from rft_project.jobs.models import State
from rft_project.web.text import number, percent, plural, tokens, usd

NEWEST = 5  # generated messages shown while it runs
REASON_EXAMPLES = 2
RUNS = 10
ENDED = {
    "complete": "Every record of the plan is there.",
    "calls": "It stopped at the cap of calls.",
    "cost": "It stopped at the limit in USD.",
    "hopeless": "It stopped by itself: under 10 % of what was asked for passed the checks.",
}


# --- the plan ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanRow:
    """One topic as the form shows it."""

    topic: str
    coverage: TopicCoverage
    number: BoundField
    how: BoundField
    shown: BoundField

    @property
    def errors(self) -> list[str]:
        return [str(error) for field in (self.number, self.how, self.shown) for error in field.errors]


@dataclass(frozen=True)
class Totals:
    """What a plan comes to. ``problem``: why it cannot be started, '' when it can."""

    dataset: Dataset
    plan: Plan
    facts: DatasetFacts
    estimate: Estimate
    problem: str

    @property
    def share_now(self) -> float:
        return synthetic_share(self.facts.valid, self.facts.generated, 0)

    @property
    def share_then(self) -> float:
        return synthetic_share(self.facts.valid, self.facts.generated, self.plan.total)

    @property
    def share_say(self) -> str:
        return f"{percent(self.share_now)} now; at most {percent(self.plan.max_synthetic_ratio, 0)}."

    @property
    def calls(self) -> str:
        return _range(*self.estimate.calls)

    @property
    def tokens(self) -> str:
        low, high = (self.estimate.tokens_in[at] + self.estimate.tokens_out[at] for at in (0, 1))
        return f"About {tokens(low)} to {tokens(high)} tokens." if low != high else f"About {tokens(low)} tokens."

    @property
    def cost(self) -> str:
        """In words where nobody has said what it costs."""
        if self.estimate.usd is None:
            return "unknown"
        low, high = self.estimate.usd
        return usd(low) if low == high else f"{low:,.2f} to {usd(high)}"

    @property
    def cost_say(self) -> str:
        known = "From all passes to half of it passes the checks."
        return known if self.estimate.usd is not None else "Enter the two prices below to see it."


def _range(low: int, high: int) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"


@dataclass(frozen=True)
class PlanPanel:
    dataset: Dataset
    connection: Connection | None
    question: Question | None
    form: PlanForm
    under: list[PlanRow]
    others: list[PlanRow]
    totals: Totals
    strategies: list[tuple[str, str]]
    runs: list[GenerationRun]

    @property
    def live(self) -> GenerationRun | None:
        return next((run for run in self.runs if run.job is not None and run.job.is_live), None)

    @property
    def shared(self) -> list[BoundField]:
        return [self.form[name] for name in self.form.SHARED]


def plan_panel(dataset: Dataset, data: Mapping[str, Any] | None) -> PlanPanel:
    """``data``: what was entered, None for what is suggested."""
    facts = dataset_facts(dataset)
    report = coverage_report(dataset, facts)
    form, totals = plan_totals_of(dataset, data, facts)
    suggested = {topic.topic for topic in generation.suggestion(dataset, facts).topics}
    rows = [
        PlanRow(name, report.distribution[name], form[f"number-{name}"], form[f"how-{name}"], form[f"shown-{name}"])
        for name in sorted(form.topics, key=lambda name: -report.distribution[name].gap)
    ]
    return PlanPanel(
        dataset=dataset,
        connection=helper_connection(dataset),
        question=generation.question_about(dataset, totals.plan) if totals.plan.total else None,
        form=form,
        under=[row for row in rows if row.topic in suggested],
        others=[row for row in rows if row.topic not in suggested],
        totals=totals,
        strategies=list(STRATEGIES.values()),
        runs=list(dataset.generation_runs.select_related("job", "created_by")[:RUNS]),
    )


def plan_totals_of(
    dataset: Dataset, data: Mapping[str, Any] | None, facts: DatasetFacts | None = None
) -> tuple[PlanForm, Totals]:
    facts = facts or dataset_facts(dataset)
    suggested = generation.suggestion(dataset, facts)
    there = generation.topics_with_traces(dataset)
    usable = {
        name: [str(how) for how in strategies_of(MIX, seeds=name in there, tools=name in there)]
        for name in facts.topics
    }
    form = PlanForm(data, plan=suggested, usable=usable)
    problem = ""
    plan = suggested
    if data is not None:
        if form.is_valid():
            plan = form.plan()
        else:
            problem = "Some numbers cannot be used; what is wrong stands beside them."
    if not problem and facts.topics:
        try:
            generation.checked(dataset, plan, facts)
        except Refused as refused:
            problem = str(refused)
    cost = estimate(plan, {}, generation.usual_tokens(dataset))
    return form, Totals(dataset, plan, facts, cost, problem)


# --- one run ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OutcomeRow:
    """What came of one topic, or of one strategy."""

    name: str
    requested: int
    valid: int
    wanted: int | None = None
    before: int | None = None
    after: int | None = None

    @property
    def rejected(self) -> int:
        return self.requested - self.valid

    @property
    def rate(self) -> float | None:
        return self.valid / self.requested if self.requested else None


@dataclass(frozen=True)
class Reason:
    title: str
    count: int
    examples: list[dict[str, str]]


@dataclass(frozen=True)
class GenerationPanel:
    run: GenerationRun
    plan: Plan
    valid: int
    missing: int
    topics: list[OutcomeRow]
    strategies: list[OutcomeRow]
    reasons: list[Reason]
    newest: list[DatasetRecord]
    spent: dict[str, Any]
    lost: int
    page: str

    @property
    def is_live(self) -> bool:
        return self.run.job is not None and self.run.job.is_live

    @property
    def version(self) -> str:
        return f"{self.run.job.pk}.{self.run.job.version}" if self.run.job is not None else "0"

    @property
    def ended(self) -> str:
        """How it stands, in a sentence."""
        job = self.run.job
        if self.run.ended:
            return ENDED[self.run.ended]
        if job is not None and job.state == State.CANCELLED:
            return "It was stopped; what came is kept."
        return "It did not come to its end; what came is kept."

    @property
    def requested(self) -> int:
        return sum(row.requested for row in self.topics)

    @property
    def rate(self) -> float | None:
        return self.valid / self.requested if self.requested else None

    @property
    def wanted_say(self) -> str:
        return f"Of {number(self.plan.total)} planned."

    @property
    def asked_say(self) -> str:
        return (
            f"{plural(self.requested, 'message')} asked for so far."
            if self.requested
            else "Known after the first answer."
        )

    @property
    def missing_say(self) -> str:
        return f"{plural(self.missing, 'record')} of the plan did not come through; what is there stays."

    @property
    def again_label(self) -> str:
        """A run that was interrupted goes on; one that ended has its failed messages written again."""
        return "Regenerate failed" if self.run.ended else "Resume"

    @property
    def cost(self) -> str:
        return usd(self.spent["usd"]) if self.spent["usd"] is not None else "unknown"

    @property
    def cost_say(self) -> str:
        together = self.spent["tokens_in"] + self.spent["tokens_out"]
        used = f"{tokens(together)} tokens in {plural(self.spent['calls'], 'call')}."
        lost = f" {plural(self.lost, 'answer')} lost when a worker stopped." if self.lost else ""
        return used + lost

    @property
    def quality(self) -> list[str]:
        return self.run.measured.sentences()

    @property
    def records_query(self) -> str:
        return f"?run={self.run.pk}"

    @property
    def delete_query(self) -> str:
        return f"?action=delete&all=1&run={self.run.pk}"


def generation_panel(run: GenerationRun) -> GenerationPanel:
    plan, tallies = run.planned, tallies_of(run.calls.all())
    wanted = {topic.topic: topic.number for topic in plan.topics}
    return GenerationPanel(
        run=run,
        plan=plan,
        valid=sum(tally.valid for tally in tallies.values()),
        missing=sum(generation.missing(run).values()),
        topics=[_of_topic(run, name, number, tallies) for name, number in wanted.items()],
        strategies=[
            OutcomeRow(STRATEGIES[how][0], *_sums(how, 1, tallies))
            for how in Strategy
            if any(strategy == how for _, strategy in tallies)
        ],
        reasons=_reasons(run),
        newest=list(run.records().order_by("-pk")[:NEWEST]),
        spent=generation.spent(run),
        lost=run.calls.filter(state="lost").count(),
        page=run.get_absolute_url(),
    )


def _of_topic(run: GenerationRun, name: str, wanted: int, tallies: Mapping[tuple[str, str], Tally]) -> OutcomeRow:
    return OutcomeRow(name, *_sums(name, 0, tallies), wanted, run.before.get(name), run.after.get(name))


def _sums(name: str, at: int, tallies: Mapping[tuple[str, str], Tally]) -> tuple[int, int]:
    """Requested and valid of a topic (``at`` 0) or a strategy (1)."""
    mine = [tally for key, tally in tallies.items() if key[at] == name]
    return sum(tally.requested for tally in mine), sum(tally.valid for tally in mine)


def _reasons(run: GenerationRun) -> list[Reason]:
    """Why messages did not become records, most frequent first, with some of them."""
    counts: dict[str, int] = {}
    examples: dict[str, list[dict[str, str]]] = {}
    for found in generation.rejected(run.calls.all()):
        counts[found["code"]] = counts.get(found["code"], 0) + int(found["n"])
        shown = examples.setdefault(found["code"], [])
        if len(shown) < REASON_EXAMPLES:
            shown.append(found)
    order = sorted(counts, key=lambda code: (-counts[code], code))
    return [Reason(title_of(code), counts[code], examples[code]) for code in order]

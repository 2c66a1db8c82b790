"""What each region of the dataset page shows; the page and the region build it with the same function."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.urls import reverse

from datasets_app.actions import CATEGORIZE, GENERATE, SANITIZE, TOPICS, last_result, last_runs
from datasets_app.consent import helper_connection
from datasets_app.core.coverage import CoverageReport, balance_score
from datasets_app.core.generating import suggested
from datasets_app.core.readiness import MIN_BALANCE, DatasetFacts, NextStep, next_step, readiness
from datasets_app.core.sanitizing import CODES
from datasets_app.core.topics import readable
from datasets_app.facts import coverage_report, dataset_facts
from datasets_app.joining import spread_of
from datasets_app.models import ActionRun, Dataset
from rft_project.jobs.models import Job
from rft_project.web.charts import BarRow, Cell, Table, bar_rows
from rft_project.web.charts.bars import BarChart
from rft_project.web.parts import Check
from rft_project.web.text import number, percent, plural, score

BAND_TONES = {"excellent": "good", "good": "good", "fair": "warn", "poor": "bad", "critical": "bad", "one topic": ""}
Runs = dict[str, ActionRun]
LEVELS = {"ok": "good", "warn": "warn", "block": "bad"}


def share_figure(part: int, whole: int) -> str | None:
    """ "94.6" of a tile whose unit is %; None where there is nothing to share."""
    return percent(part / whole).split("\u00a0")[0] if whole else None


@dataclass(frozen=True)
class SummaryPanel:
    dataset: Dataset
    facts: DatasetFacts
    report: CoverageReport
    tokens: dict[str, int]
    next: NextStep
    next_url: str
    next_label: str
    next_post: bool
    spread: int  # sessions that are several records, as long as nothing was built on them

    @property
    def spread_title(self) -> str:
        are = "is logged as several records" if self.spread == 1 else "are logged as several records each"
        return f"{plural(self.spread, 'conversation')} {are}."

    @property
    def join_url(self) -> str:
        return f"{reverse('datasets:bulk_change', args=[self.dataset.pk])}?action=join&all=1"

    @property
    def records_say(self) -> str:
        if not self.facts.total:
            return "None yet."
        if not self.facts.generated:
            return "All from traces."
        share = percent(self.facts.generated / max(1, self.facts.valid))
        return f"{self.facts.generated:,} of the valid ones are generated ({share})."

    @property
    def valid_figure(self) -> str | None:
        checked = self.facts.unchecked < self.facts.total
        return share_figure(self.facts.valid, self.facts.total) if checked else None

    @property
    def valid_unit(self) -> str:
        return "%" if self.valid_figure else ""

    @property
    def valid_say(self) -> str:
        if self.facts.unchecked == self.facts.total:
            return "Known once the records are checked."
        if self.facts.unchecked:
            return f"{self.facts.unchecked:,} are not fully checked yet."
        return f"{self.facts.valid:,} can be used, {self.facts.invalid:,} are set aside."

    @property
    def sorted_figure(self) -> str | None:
        in_topic = self.facts.valid - self.facts.uncategorized - self.facts.unknown
        return share_figure(in_topic, self.facts.valid) if self.facts.topics else None

    @property
    def sorted_unit(self) -> str:
        return "%" if self.sorted_figure else ""

    @property
    def sorted_say(self) -> str:
        if not self.facts.topics:
            return "There are no topics yet."
        return f"{self.facts.unknown:,} fit no topic, {self.facts.needs_review:,} are doubtful."

    @property
    def balance_figure(self) -> str | None:
        return score(self.report.balance_score) if self.balance_known else None

    @property
    def balance_known(self) -> bool:
        return self.report.balance_score is not None and self.report.total_records > 0

    @property
    def balance_lead(self) -> str:
        return f"{self.report.band.capitalize()}." if self.balance_known else ""

    @property
    def balance_tone(self) -> str:
        return BAND_TONES[self.report.band] if self.balance_known else ""

    @property
    def balance_say(self) -> str:
        if not self.balance_known:
            return "Known once two topics have records."
        return f"The smallest topic is {percent(self.report.balance_score, 0)} of the largest."

    @property
    def tokens_say(self) -> str:
        limit = self.dataset.sanitizing.max_tokens
        return f"95\u00a0% are under {self.tokens.get('p95', 0):,}. The limit you set is {limit:,}."


# action of the next step -> URL name, button, whether it starts at once (POST)
NEXT = {
    "import": ("datasets:import_page", "Import traces", False),
    "sanitize": ("datasets:run_sanitize", "Sanitize now", True),
    "view_invalid": ("datasets:records", "View invalid records", False),
    "topics": ("datasets:topics", "Choose topics", False),
    "categorize": ("datasets:run_categorize", "Categorize now", True),
    "review": ("datasets:review", "Review records", False),
    "generate": ("datasets:generate", "Plan generation", False),
    "privacy": ("datasets:privacy", "Review what was found", False),
    "wizard": ("wizard:new_run", "Start a training run", False),
}
QUERY = {"view_invalid": "?verdict=invalid"}


def _has_helper(dataset: Dataset, facts: DatasetFacts) -> bool:
    """Whether a model could fill the gaps; asked only where there are some."""
    score = balance_score(facts.topics)
    return score is not None and score <= MIN_BALANCE and helper_connection(dataset) is not None


def summary_panel(dataset: Dataset, facts: DatasetFacts | None = None, runs: Runs | None = None) -> SummaryPanel:
    facts = facts or dataset_facts(dataset)
    step = next_step(replace(facts, can_generate=_has_helper(dataset, facts)))
    name, label, post = NEXT[step.action]
    url = reverse(name, args=[dataset.pk]) + QUERY.get(step.action, "")
    tokens = last_result(dataset, SANITIZE, runs).get("tokens") or {}
    spread = 0 if facts.topics else spread_of(dataset)
    return SummaryPanel(dataset, facts, coverage_report(dataset, facts), tokens, step, url, label, post, spread)


@dataclass(frozen=True)
class CoveragePanel:
    dataset: Dataset
    report: CoverageReport
    chart: BarChart | None
    sentence: str


def coverage_panel(dataset: Dataset, facts: DatasetFacts | None = None) -> CoveragePanel:
    report = coverage_report(dataset, facts)
    if not report.distribution or not report.total_records:
        return CoveragePanel(dataset, report, None, "Shown as soon as the records are sorted into topics.")
    under = [name for name, entry in report.distribution.items() if entry.status == "under"]
    over = [name for name, entry in report.distribution.items() if entry.status == "over"]
    parts = []
    if under:
        parts.append(f"{', '.join(under[:3])} {'is' if len(under) == 1 else 'are'} under target.")
    if over:
        parts.append(f"{', '.join(over[:3])} {'holds' if len(over) == 1 else 'hold'} more than the target share.")
    sentence = " ".join(parts) or "Every topic is within 5 points of its target."
    return CoveragePanel(dataset, report, _coverage_chart(report, sentence), sentence)


def _coverage_chart(report: CoverageReport, finding: str) -> BarChart:
    rows, cells = [], []
    for name, entry in sorted(report.distribution.items(), key=lambda pair: -pair[1].count):
        side = "under" if entry.gap > 0 else "over"
        note = "on target" if entry.status == "ok" else f"{abs(entry.gap):.1f} points {side} target"
        share = percent(entry.percentage / 100)
        rows.append(
            BarRow(
                name,
                entry.percentage,
                entry.target_percentage,
                text=number(entry.count),
                more=share,
                note=note,
                short=entry.status == "under",
            )
        )
        gap = f"{entry.gap:+.1f}".replace("-", "−")
        target = percent(entry.target_percentage / 100)
        tone = {"under": "warn", "over": "note", "ok": "good"}[entry.status]
        cells.append((name, number(entry.count), share, target, gap, Cell(entry.status, badge=tone)))
    if report.unknown:
        part = 100 * report.unknown / (report.total_records + report.unknown)
        rows.append(
            BarRow(
                "unknown",
                part,
                text=number(report.unknown),
                more=percent(part / 100),
                note="no topic fits well enough",
                hatched=True,
            )
        )
        cells.append(("unknown", number(report.unknown), percent(part / 100), "", "", Cell("review", badge="note")))
    table = Table.of("Coverage by topic", ("Topic", "Records", "Share", "Target", "Gap", "Status"), cells)
    return bar_rows(rows, finding=finding, target_label="target share", table=table)


@dataclass(frozen=True)
class ReadinessPanel:
    dataset: Dataset
    ready: bool
    checks: list[Check]


def readiness_panel(dataset: Dataset, facts: DatasetFacts | None = None) -> ReadinessPanel:
    found = readiness(facts or dataset_facts(dataset))
    checks = []
    for check in found.checks:
        name, label, post = NEXT.get(check.action or "", ("", "", False))
        link = bool(name) and not post and check.level != "ok"
        url = reverse(name, args=[dataset.pk]) + QUERY.get(check.action or "", "") if link else ""
        checks.append(Check(LEVELS[check.level], check.title, check.detail, url, label if url else ""))
    order = {"bad": 0, "warn": 1, "note": 2, "good": 3}
    return ReadinessPanel(dataset, found.ready, sorted(checks, key=lambda check: order[check.state]))


@dataclass(frozen=True)
class ActionLine:
    """One line of "What you can do"."""

    letter: str
    name: str
    title: str
    text: str
    job: Job | None
    stop_url: str
    again_url: str
    button: str = ""
    run_url: str = ""
    link: str = ""
    link_url: str = ""


@dataclass(frozen=True)
class ActionsPanel:
    dataset: Dataset
    lines: list[ActionLine]

    @property
    def is_live(self) -> bool:
        return any(line.job is not None and line.job.is_live for line in self.lines)

    @property
    def version(self) -> str:
        return "-".join(f"{line.job.pk}.{line.job.version}" for line in self.lines if line.job is not None)


def actions_panel(dataset: Dataset, facts: DatasetFacts | None = None, runs: Runs | None = None) -> ActionsPanel:
    facts = facts or dataset_facts(dataset)
    runs = runs if runs is not None else last_runs(dataset)
    lines = [make(dataset, facts, runs) for make in (_sanitize_line, _topics_line, _categorize_line, _generate_line)]
    return ActionsPanel(dataset, lines)


def _line(dataset: Dataset, runs: Runs, letter: str, action: str, title: str, text: str, **more: str) -> ActionLine:
    run = runs.get(action)
    stop, again = (reverse(f"datasets:{name}", args=[dataset.pk, action]) for name in ("stop", "again"))
    return ActionLine(letter, action, title, text, run.job if run else None, stop, again, **more)


def _sanitize_line(dataset: Dataset, facts: DatasetFacts, runs: Runs) -> ActionLine:
    report = last_result(dataset, SANITIZE, runs)
    if not facts.total:
        text = "Checks every record and sets aside what would fail a training run."
    elif facts.unchecked == facts.total:
        text = f"{facts.total:,} records are waiting to be checked. Nothing is deleted."
    else:
        text = f"{facts.invalid:,} of {facts.total:,} records are set aside."
        worst = (report.get("errors_by_type") or {}).items()
        top = max(worst, key=lambda pair: pair[1], default=None)
        if top:
            text += f" Most often: {CODES[top[0]][0].lower()} ({top[1]:,})."
    return _line(
        dataset,
        runs,
        "A",
        SANITIZE,
        "Sanitize",
        text,
        button="Run again" if facts.unchecked < facts.total else "Sanitize",
        run_url=reverse("datasets:run_sanitize", args=[dataset.pk]) if facts.total else "",
        link="Report" if report else "",
        link_url=reverse("datasets:report", args=[dataset.pk]),
    )


def _topics_line(dataset: Dataset, facts: DatasetFacts, runs: Runs) -> ActionLine:
    if facts.topics:
        names = ", ".join(readable(name) for name in list(facts.topics)[:4])
        text = f"{len(facts.topics)} topics: {names}{' and more' if len(facts.topics) > 4 else ''}."
    else:
        text = "Find them in the data, take a template, or write them yourself."
    url = reverse("datasets:topics", args=[dataset.pk])
    label = "Edit topics" if facts.topics else "Choose topics"
    return _line(dataset, runs, "B", TOPICS, "Topics", text, link=label if facts.valid else "", link_url=url)


def _categorize_line(dataset: Dataset, facts: DatasetFacts, runs: Runs) -> ActionLine:
    done = facts.valid - facts.uncategorized
    if not facts.topics:
        text = "Sorts every record into a topic, once there are topics."
    elif not done:
        text = f"{facts.valid:,} records are waiting to be sorted."
    else:
        text = f"{done:,} records are sorted, {facts.unknown:,} fit no topic, {facts.needs_review:,} are doubtful."
    review = facts.needs_review + facts.unknown
    return _line(
        dataset,
        runs,
        "C",
        CATEGORIZE,
        "Categorize",
        text,
        button="Run again" if done else "Categorize",
        run_url=reverse("datasets:run_categorize", args=[dataset.pk]) if facts.topics else "",
        link=f"Review {review:,} doubtful" if facts.topics and review else "",
        link_url=reverse("datasets:review", args=[dataset.pk]),
    )


def _generate_line(dataset: Dataset, facts: DatasetFacts, runs: Runs) -> ActionLine:
    report = coverage_report(dataset, facts)
    needs = suggested(report, valid=facts.valid, generated=facts.generated) if report.total_records else {}
    added = f" {facts.generated:,} of the valid records are generated." if facts.generated else ""
    if not report.total_records:
        text = "Asks a helper model for records where topics have too few, once the records are sorted."
    elif needs:
        names = ", ".join(readable(name) for name in list(needs)[:3])
        text = f"{sum(needs.values()):,} records would bring {names} to their share.{added}"
    else:
        text = f"No topic is under its target.{added}"
    url = reverse("datasets:generate", args=[dataset.pk])
    label = "Plan generation" if report.total_records else ""
    return _line(dataset, runs, "E", GENERATE, "Generate", text, link=label, link_url=url)

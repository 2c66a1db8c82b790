"""What the sanitize report shows: one run of many, what changed since the one before, and all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from datasets_app.actions import SANITIZE, last_result, last_run
from datasets_app.core.hygiene import Comparison, HygieneReport, advise, compare
from datasets_app.core.mapping import item_fields
from datasets_app.core.records import loads
from datasets_app.core.sanitizing import CODES
from datasets_app.models import ActionRun, Dataset
from datasets_app.services import repairable
from rft_project.jobs.models import Job
from rft_project.web.charts import BarRow, bar_rows
from rft_project.web.charts.bars import BarChart
from rft_project.web.text import change, number, percent, plural

HISTORY = 20  # reports on a page
SAMPLED = 50  # records that suggest fields to require


@dataclass(frozen=True)
class Problem:
    """``count``: records whose verdict it is; ``having``: records that have it beside others; ``since``: "+3"."""

    code: str
    title: str
    advice: str
    count: int
    having: int
    url: str
    since: str


@dataclass(frozen=True)
class Recommendation:
    sentence: str
    url: str


@dataclass(frozen=True)
class PastReport:
    run: ActionRun
    report: HygieneReport
    since: Comparison | None  # None for the first one
    url: str

    @property
    def who(self) -> str:
        by = self.run.job.requested_by
        return str(by) if by is not None else "a command"

    @property
    def valid_change(self) -> str:
        return change(self.since.valid, 0) if self.since is not None else ""


@dataclass(frozen=True)
class ReportPanel:
    """``shown`` is None before the first run. ``newest``: the report is the one that the records stand for now."""

    dataset: Dataset
    shown: PastReport | None
    newest: bool
    problems: list[Problem]
    chart: BarChart | None
    tokens: BarChart | None
    recommendations: list[Recommendation]
    history: list[PastReport]
    older: str
    repairable: bool
    invalid_url: str

    @property
    def result(self) -> HygieneReport | None:
        return self.shown.report if self.shown is not None else None

    @property
    def rejection(self) -> str:
        return percent(self.result.rejection_rate) if self.result is not None else ""

    @property
    def tokens_say(self) -> str:
        if self.result is None:
            return ""
        return f"95\u00a0% have at most {number(self.result.tokens.p95)}, the longest {number(self.result.tokens.max)}."


def last_report(dataset: Dataset) -> dict[str, Any] | None:
    """The report of the last sanitize run that ended well, in its JSON form."""
    return last_result(dataset, SANITIZE) or None


def report_of_run(dataset: Dataset, pk: str) -> dict[str, Any] | None:
    """The report of one run, or of the last where ``pk`` names none."""
    run = _runs(dataset).filter(pk=int(pk)).first() if _is_key(pk) else None
    return run.job.result if run is not None else last_report(dataset)


def records_url(dataset: Dataset, **query: str) -> str:
    """The records that a number is about."""
    return f"{reverse('datasets:records', args=[dataset.pk])}?{urlencode(query)}"


def report_panel(dataset: Dataset, query: Mapping[str, str]) -> ReportPanel:
    """``query``: ``run`` shows a past report, ``before`` older ones in the list; what is unknown is ignored."""
    runs, before = _runs(dataset), query.get("before", "")
    listed = list((runs.filter(pk__lt=int(before)) if _is_key(before) else runs)[: HISTORY + 1])
    history = _past(dataset, listed)
    latest = runs.first() if _is_key(before) else next(iter(listed), None)
    asked = runs.filter(pk=int(query["run"])).first() if _is_key(query.get("run", "")) else None
    chosen = asked or latest
    shown = next((past for past in history[:HISTORY] if past.run == chosen), None)
    if shown is None and chosen is not None:
        shown = _with_before(dataset, chosen)
    newest = chosen == latest
    return ReportPanel(
        dataset=dataset,
        shown=shown,
        newest=newest,
        problems=_problems(dataset, shown) if shown else [],
        chart=_chart(shown.report) if shown else None,
        tokens=_token_chart(shown.report) if shown else None,
        recommendations=_recommendations(dataset, shown.report) if shown else [],
        history=history[:HISTORY],
        older=urlencode({"before": listed[HISTORY - 1].pk}) if len(listed) > HISTORY else "",
        repairable=bool(shown) and newest and repairable(dataset),
        invalid_url=records_url(dataset, verdict="invalid"),
    )


def _is_key(text: str) -> bool:
    return text.isdecimal() and len(text) < 19


def _runs(dataset: Dataset) -> QuerySet[ActionRun]:
    runs = dataset.action_runs.filter(action=SANITIZE, job__state="SUCCEEDED").order_by("-pk")
    return runs.select_related("job__requested_by")


def _past(dataset: Dataset, runs: list[ActionRun]) -> list[PastReport]:
    reports = [HygieneReport.model_validate(run.job.result) for run in runs]
    earlier: list[HygieneReport | None] = [*reports, None][1:]
    page = reverse("datasets:report", args=[dataset.pk])
    return [
        PastReport(run, report, compare(report, before) if before is not None else None, f"{page}?run={run.pk}")
        for run, report, before in zip(runs, reports, earlier, strict=True)
    ]


def _with_before(dataset: Dataset, run: ActionRun) -> PastReport:
    return _past(dataset, list(_runs(dataset).filter(pk__lte=run.pk)[:2]))[0]


def _problems(dataset: Dataset, shown: PastReport) -> list[Problem]:
    """Every code that a record has or had at the last run, the most frequent verdict first."""
    report, since = shown.report, shown.since.codes if shown.since is not None else {}
    codes = [code for code in CODES if code in report.errors_by_type or code in report.records_with or code in since]
    found = [
        Problem(
            code,
            *CODES[code],
            count=report.errors_by_type.get(code, 0),
            having=report.records_with.get(code, 0),
            url=records_url(dataset, code=code) if report.errors_by_type.get(code) else "",
            since=change(since[code], 0) if code in since else "",
        )
        for code in codes
    ]
    return sorted(found, key=lambda problem: -problem.count)


def _chart(report: HygieneReport) -> BarChart | None:
    if not report.errors_by_type:
        return None
    rows = [
        BarRow(CODES[code][0], n, text=number(n), more=percent(n / report.total))
        for code, n in report.errors_by_type.items()
        if code in CODES
    ]
    finding = f"Why {plural(report.rejected, 'record')} of {number(report.total)} are set aside."
    return bar_rows(rows, finding=finding, value_label="records")


def _token_chart(report: HygieneReport) -> BarChart | None:
    if not report.total or not report.tokens.spread:
        return None
    rows = [
        BarRow(
            f"{number(low)} to {number(2 * low - 1 if low else 63)} tokens",
            n,
            text=number(n),
            more=percent(n / report.total),
        )
        for low, n in report.tokens.spread
    ]
    filled = next((place for place, row in enumerate(rows) if row.value), 0)
    finding = f"Half of the prompts have at most {number(report.tokens.p50)} tokens."
    return bar_rows(rows[filled:], finding=finding, value_label="records")


def _recommendations(dataset: Dataset, report: HygieneReport) -> list[Recommendation]:
    """Those of the report, each with the records it is about where they can be listed."""
    about = {advice.sentence: advice.codes for advice in advise(report.total, report.records_with)}
    return [
        Recommendation(
            sentence,
            next((records_url(dataset, code=c) for c in about.get(sentence, ()) if report.errors_by_type.get(c)), ""),
        )
        for sentence in report.recommendations
    ]


def suggested_fields(dataset: Dataset) -> list[str]:
    """Item fields that the newest records have, with how many have them: what a grader could require."""
    bodies = dataset.records.order_by("-pk").values_list("raw__body", flat=True)[:SAMPLED]
    traces = [loads(body) for body in bodies]
    found = [f"{field.name} ({field.filled} of {len(traces)})" for field in item_fields(traces) if field.given]
    answered = sum(trace.has_reference for trace in traces)
    return ([f"reference_answer ({answered} of {len(traces)})"] if answered else []) + found[:12]


@dataclass(frozen=True)
class SanitizeWorkPanel:
    """The newest run, while it lasts or where it failed."""

    dataset: Dataset
    job: Job | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


def sanitize_work_panel(dataset: Dataset) -> SanitizeWorkPanel:
    run = last_run(dataset, SANITIZE)
    return SanitizeWorkPanel(dataset, run.job if run else None, reverse("datasets:report", args=[dataset.pk]))

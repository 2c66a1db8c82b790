"""The page of coverage: targets on the bars, what is missing in words, how it went, and two moments side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse
from django.utils.safestring import SafeString

from datasets_app.core import targets
from datasets_app.core.coverage import CoverageReport, coverage
from datasets_app.core.coverage_lines import Line, Moved, balance_words, compared, gap_words, lines
from datasets_app.core.readiness import DatasetFacts
from datasets_app.core.topics import UNKNOWN
from datasets_app.facts import dataset_facts
from datasets_app.models import CoverageMoment, Dataset
from rft_project.web.charts import BarChart, BarRow, Cell, LineChart, Table, bar_rows, level_curve
from rft_project.web.charts.scale import pct
from rft_project.web.text import joined, number, percent, plural, score

from .overview import BAND_TONES, share_figure

HISTORY = 20  # rows of the page, and points of its curve
ROOM = 1.5  # the scale of the bars reaches so far beyond the largest share or target, for dragging
BADGES = {"under": "warn", "over": "note", "ok": "good"}

_BAR = (
    '<svg class="plot" width="100%" height="20" aria-hidden="true">'
    '<rect class="f-track" y="4" width="100%" height="12" rx="2"/>'
    '<rect {0} y="4" width="{1}%" height="12" rx="2"/>{2}</svg>'
)
_GAP = '<rect fill="url(#gap)" x="{0}%" y="4" width="{1}%" height="12"/>'
_MARK = '<line class="target" x1="{0}%" x2="{0}%" y1="0" y2="20"/>'
_GROUP = '<div class="aim group" data-depth="{0}"><b>{1}</b><span class="num">{2} · {3} of {4} wanted</span></div>'
_LEAF = (
    '<div class="aim" data-depth="{0}"><label for="target-{1}">{1}</label>'
    '<span class="num"><b>{2}</b> · {3} <span class="badge {4}">{5}</span></span>'
    '<div class="aim-bar">{6}<input type="range" min="0" max="{7}" step="0.5" value="{8}" data-aims="target-{1}" '
    'aria-label="Target of {1} in percent" hidden></div>'
    '<input class="input" id="target-{1}" name="{1}" inputmode="decimal" autocomplete="off" value="{9}" '
    'placeholder="{10}" aria-label="Target of {1} in percent"{11}></div>'
)
_BESIDE = (
    '<div class="aim"><span>{0}</span><span class="num"><b>{1}</b> · {2}</span><div class="aim-bar">{3}</div></div>'
)


@dataclass(frozen=True)
class CoveragePagePanel:
    """``wrong``: what is wrong with targets that were just typed; they stand in the fields as they were typed."""

    dataset: Dataset
    facts: DatasetFacts
    report: CoverageReport
    aims: SafeString
    table: Table | None
    shared: str
    wrong: str
    history: list[CoverageMoment]
    curve: LineChart | None
    before: CoverageMoment | None
    after: CoverageMoment | None
    moved: BarChart | None

    @property
    def sentence(self) -> str:
        return balance_words(self.report)

    @property
    def balance(self) -> str | None:
        return score(self.report.balance_score) if self.known else None

    @property
    def known(self) -> bool:
        return self.report.balance_score is not None and self.report.total_records > 0

    @property
    def band(self) -> str:
        return f"{self.report.band.capitalize()}." if self.known else ""

    @property
    def tone(self) -> str:
        return BAND_TONES[self.report.band] if self.known else ""

    @property
    def in_topics(self) -> str | None:
        return share_figure(self.report.total_records, self.facts.valid)

    @property
    def in_topics_unit(self) -> str:
        return "%" if self.in_topics else ""

    @property
    def sorts(self) -> bool:
        """The next step is to sort records, which starts at once."""
        return bool(self.report.distribution and self.report.uncategorized)

    @property
    def next(self) -> tuple[str, str, str, str]:
        """What to do next: title, why, address, label."""
        pk, open_records = self.dataset.pk, self.report.uncategorized
        if not self.report.distribution:
            why = "Coverage says how the records spread over them."
            return "Choose topics.", why, reverse("datasets:topics", args=[pk]), "Choose topics"
        if self.sorts:
            are = "is" if open_records == 1 else "are"
            why = f"{plural(open_records, 'valid record')} {are} in no topic yet, so coverage does not count them."
            return "Categorize the records.", why, reverse("datasets:run_categorize", args=[pk]), "Categorize now"
        if not self.report.total_records:
            why = "No record is in a topic: they may have to be checked, or other topics may fit them better."
            return "Look at the topics.", why, reverse("datasets:topics", args=[pk]), "Open the topics"
        if self.report.recommendations:
            most = self.report.recommendations[0]
            why = f"{most.topic} needs about {most.needed:,} more to reach its target."
            return "Fill the gaps.", why, reverse("datasets:import_page", args=[pk]), "Import more"
        why = "No topic is more than 10 points under its target."
        return "Go on to a training run.", why, reverse("wizard:new_run", args=[pk]), "Start a training run"


def coverage_page_panel(
    dataset: Dataset, query: Mapping[str, str], *, typed: Mapping[str, str] | None = None, wrong: str = ""
) -> CoveragePagePanel:
    """``query``: ``before`` and ``after`` are moments to compare, by default the last two; ``typed``: see ``wrong``."""
    facts = dataset_facts(dataset)
    report = coverage(facts.topics, dataset.topic_targets, unknown=facts.unknown, uncategorized=facts.uncategorized)
    history = list(dataset.coverage_moments.defer("counts")[:HISTORY])
    before, after = _chosen(dataset, history, query)
    return CoveragePagePanel(
        dataset=dataset,
        facts=facts,
        report=report,
        aims=_aims(dataset, report, typed),
        table=_table(report) if report.distribution else None,
        shared=targets.explained(facts.topics, dataset.topic_targets),
        wrong=wrong,
        history=history,
        curve=_curve(history),
        before=before,
        after=after,
        moved=_moved(before, after, list(facts.topics)) if before and after else None,
    )


# ---------------------------------------------------------------- targets


def _aims(dataset: Dataset, report: CoverageReport, typed: Mapping[str, str] | None) -> SafeString:
    """A line per topic and group, drawn in one piece: a loop of the template over a thousand topics takes too long."""
    found = lines(dataset.topics, report)
    beside = report.unknown + report.uncategorized
    largest = max((max(line.percentage, line.target) for line in found if line.leaf), default=0.0)
    scale = float(min(100, max(10, 5 * -(-largest * ROOM // 5))))
    drawn = [_line(dataset, report, line, scale, typed) for line in found]
    everything = report.total_records + beside
    for label, count in ((UNKNOWN, report.unknown), ("not sorted yet", report.uncategorized)):
        if count and drawn:
            share = 100 * count / everything
            bar = _drawn(_BAR, SafeString('fill="url(#hatch)"'), pct(share, 0, scale), "")
            drawn.append(_drawn(_BESIDE, label, number(count), f"{percent(share / 100)} of all valid", bar))
    return joined("{}", ((line,) for line in drawn))


def _line(
    dataset: Dataset, report: CoverageReport, line: Line, scale: float, typed: Mapping[str, str] | None
) -> SafeString:
    share = percent(line.percentage / 100)
    if not line.leaf:
        wanted = percent(line.target / 100)
        return _drawn(_GROUP, line.depth, line.name, number(line.records), share, wanted)
    topic = report.distribution[line.name]
    width, aim = pct(line.percentage, 0, scale), pct(line.target, 0, scale)
    mark = _drawn(_MARK, aim)
    if topic.status == "under":
        mark = _drawn(_GAP, width, round(aim - width, 2)) + mark
    own = dataset.topic_targets.get(line.name)
    value = typed.get(line.name, "") if typed is not None else "" if own is None else f"{own:g}"
    return _drawn(
        _LEAF,
        line.depth,
        line.name,
        number(line.records),
        share,
        BADGES[topic.status],
        gap_words(topic),
        _drawn(_BAR, SafeString('class="f-acc"'), width, mark),
        f"{scale:g}",
        f"{line.target:.2f}",
        value,
        f"{line.target:.1f}",
        SafeString(' aria-describedby="targets-wrong"') if typed is not None else "",
    )


def _drawn(pattern: str, *cells: object) -> SafeString:
    return joined(pattern, [cells])


def _table(report: CoverageReport) -> Table:
    cells = [
        (
            name,
            number(topic.count),
            percent(topic.percentage / 100),
            percent(topic.target_percentage / 100),
            f"{topic.gap:+.1f}".replace("-", "−"),
            Cell(topic.status, badge=BADGES[topic.status]),
        )
        for name, topic in report.distribution.items()
    ]
    for name, count in ((UNKNOWN, report.unknown), ("not sorted yet", report.uncategorized)):
        if count:
            cells.append((name, number(count), "", "", "", Cell("review", badge="note")))
    return Table.of("Coverage by topic", ("Topic", "Records", "Share", "Target", "Gap", "Status"), cells)


# ---------------------------------------------------------------- history


def _chosen(
    dataset: Dataset, history: list[CoverageMoment], query: Mapping[str, str]
) -> tuple[CoverageMoment | None, CoverageMoment | None]:
    """The two moments to compare, the earlier one first; what cannot be found is the default."""
    wanted = {int(key) for name in ("before", "after") if (key := query.get(name, "")).isdecimal() and len(key) < 19}
    last = {moment.pk for moment in history[:2]}
    found = {moment.pk: moment for moment in dataset.coverage_moments.filter(pk__in=wanted | last)}
    chosen = sorted(wanted & found.keys() if len(wanted & found.keys()) == 2 else last)
    return (found[chosen[0]], found[chosen[1]]) if len(chosen) == 2 else (None, None)


def _curve(history: list[CoverageMoment]) -> LineChart | None:
    """Balance, oldest first; None before there are two figures. The history under it is its table."""
    known = [moment for moment in reversed(history) if moment.balance is not None]
    if len(known) < 2:
        return None
    points = [(float(at), moment.balance or 0.0) for at, moment in enumerate(known)]
    first, last = points[0][1], points[-1][1]
    finding = f"The balance went from {score(first)} to {score(last)} in {plural(len(points) - 1, 'step')}."
    return level_curve(
        points,
        finding=finding,
        label="balance",
        x_caption="actions that changed it since the first line",
        y_caption="balance, 0 worst to 1 best",
        table=Table("Balance over time", (), ()),
    )


def _moved(before: CoverageMoment, after: CoverageMoment, order: list[str]) -> BarChart:
    """Share of each topic that moved, with a mark where it was before."""
    every = compared(before.counts, after.counts, order)
    found = [move for move in every if (move.before, move.share_before) != (move.after, move.share_after)]
    rows = [
        BarRow(
            move.name,
            move.share_after,
            move.share_before,
            text=number(move.after or 0),
            more=percent(move.share_after / 100),
            note=_was(move),
            short=False,
        )
        for move in found
    ]
    cells = [
        (
            move.name,
            "" if move.before is None else number(move.before),
            percent(move.share_before / 100),
            "" if move.after is None else number(move.after),
            percent(move.share_after / 100),
            f"{move.share_after - move.share_before:+.1f}".replace("-", "−"),
        )
        for move in found
    ]
    heads = ("Topic", "Records before", "Share before", "Records after", "Share after", "Points")
    table = Table.of("Coverage before and after", heads, cells)
    finding = f"{number(before.records)} records in topics before, {number(after.records)} after."
    if still := len(every) - len(found):
        finding += f" {plural(still, 'topic')} did not move."
    return bar_rows(rows, finding=finding, value_label="after", target_label="before", table=table)


def _was(move: Moved) -> str:
    if move.before is None:
        return "new topic"
    return "no topic any more" if move.after is None else f"{number(move.before)} before"

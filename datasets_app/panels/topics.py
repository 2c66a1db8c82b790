"""The pages of topics: the tree with its counts, one topic with its records, and what another tree would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Sum
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from datasets_app import consent
from datasets_app.actions import CATEGORIZE, RESORT, SPLIT, TOPICS, last_run, last_runs
from datasets_app.core.coverage import CoverageReport
from datasets_app.core.readiness import TOPIC_RECORDS, DatasetFacts
from datasets_app.core.topics import UNKNOWN, TopicTree, readable
from datasets_app.facts import coverage_report, dataset_facts
from datasets_app.models import VALID, ActionRun, Dataset, DatasetRecord, TopicEdit
from datasets_app.topic_commands import mark_of
from rft_project.jobs.models import Job
from rft_project.web.text import number, percent, plural, score, visible

EXAMPLES = 5
WORK = (TOPICS, CATEGORIZE, RESORT, SPLIT)
SHOWN = 3  # records that show what a proposed topic is
FEWEST = 4  # records a topic must have to be split
HISTORY = 8  # edits the page lists
DEEPEST = 6  # levels that are indented; deeper ones stand below each other
_RECORDS = DatasetRecord._meta.db_table
_NEAREST = f"""SELECT id FROM (
    SELECT id FROM {_RECORDS} WHERE dataset_id = %s AND topic = %s AND verdict = '{VALID}' AND confidence IS NOT NULL
    ORDER BY confidence {{0}}, id {{0}} LIMIT %s) nearest_{{1}}"""

_NODE = (
    '<li class="node d{0}{1}" aria-level="{2}" data-topic="{3}" data-parent="{4}">'
    '<span class="grip" data-grip aria-hidden="true"></span>'
    '<input type="checkbox" name="names" value="{3}" form="merge" aria-label="Tick {5}">'
    '<a class="rowlink" id="t-{3}" href="{6}{3}/" hx-get="{6}{3}/" hx-target="#topic" hx-swap="outerHTML"'
    ' hx-push-url="true"{7}>{5}</a>{8}<span class="n">{9}</span><span class="n soft">{10}</span>{11}</li>'
)
_BAR = (
    '<svg class="plot" width="100%" height="8" aria-hidden="true">'
    '<rect class="f-track" width="100%" height="8" rx="2"/><rect class="f-acc" width="{}%" height="8" rx="2"/></svg>'
)
_NO_BAR, _NOTHING = SafeString("<span></span>"), SafeString("")
_HERE = SafeString(' aria-current="true"')


@dataclass(frozen=True)
class Counts:
    """Valid records of every leaf, and how many of them are doubtful; those of a group are added up."""

    tree: TopicTree
    facts: DatasetFacts
    report: CoverageReport
    doubtful: Mapping[str, int]

    def of(self, name: str) -> int:
        return sum(self.facts.topics.get(leaf, 0) for leaf in self.tree.leaves_below(name))

    def doubtful_of(self, name: str) -> int:
        return sum(self.doubtful.get(leaf, 0) for leaf in self.tree.leaves_below(name))

    def share_of(self, count: int) -> str:
        return percent(count / self.report.total_records) if self.report.total_records else ""

    def verdict(self, name: str, count: int) -> tuple[str, str]:
        """A word for how many records a topic has, and its tone."""
        if not count:
            return "empty", "bad"
        found = self.report.distribution.get(name)
        if found is None:
            return "", ""
        if found.status == "under" or count < TOPIC_RECORDS:
            return "too few", "warn"
        return ("too many", "note") if found.status == "over" else ("", "")


def counts_of(dataset: Dataset, tree: TopicTree, facts: DatasetFacts) -> Counts:
    asked = dataset.record_counts.filter(verdict=VALID, needs_review=True).exclude(topic__in=["", UNKNOWN])
    doubtful = dict(asked.order_by().values_list("topic").annotate(n=Sum("n")))
    return Counts(tree, facts, coverage_report(dataset, facts), doubtful)


@dataclass(frozen=True)
class Sample:
    """A record in one line."""

    pk: int
    said: SafeString
    sure: str
    topic: str


@dataclass(frozen=True)
class ProposalLine:
    """A topic that clustering proposes, with a few of its records."""

    pk: int
    title: str
    count: int
    keywords: str
    examples: list[SafeString]


@dataclass(frozen=True)
class TopicPanel:
    """One topic, or (name ``unknown``) the records that fit none."""

    dataset: Dataset
    name: str
    title: str
    above: list[str]
    values: Mapping[str, str]  # name, description and keywords as the form shows them
    count: int
    share: str
    doubtful: int
    word: str
    tone: str
    below: list[tuple[str, str, int]]  # subtopics: name, title, records
    typical: list[Sample]
    unsure: list[Sample]
    parents: SafeString
    targets: SafeString
    seen: str
    proposals: list[ProposalLine]
    no_proposal: str  # why the last look found nothing

    @property
    def known(self) -> bool:
        return self.name != UNKNOWN

    @property
    def can_split(self) -> bool:
        return not self.below and self.count >= FEWEST


@dataclass(frozen=True)
class TopicWorkPanel:
    """Progress of finding topics or of sorting records into them."""

    dataset: Dataset
    action: str
    job: Job | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


def topic_work_panel(dataset: Dataset, runs: Mapping[str, ActionRun] | None = None) -> TopicWorkPanel:
    """What is at work, or was last, of everything that makes or fills topics."""
    found = last_runs(dataset) if runs is None else runs
    mine = [run for name, run in found.items() if name in WORK]
    newest = max([run for run in mine if run.job.is_live] or mine, key=lambda run: run.pk, default=None)
    page = reverse("datasets:topics", args=[dataset.pk])
    if newest is None:
        return TopicWorkPanel(dataset, TOPICS, None, page)
    return TopicWorkPanel(dataset, newest.action, newest.job, page)


@dataclass(frozen=True)
class TopicsPanel:
    dataset: Dataset
    facts: DatasetFacts
    nodes: SafeString
    options: SafeString
    seen: str
    edits: list[TopicEdit]
    found: str
    work: TopicWorkPanel
    topic: TopicPanel | None
    suggested: list[tuple[str, int]]  # topics proposed for records that fit none: title, records
    helper: consent.Question | None
    error: str = ""
    values: Mapping[str, str] = field(default_factory=dict)  # what somebody typed that was refused

    @property
    def any(self) -> bool:
        return bool(self.nodes)


def topics_panel(
    dataset: Dataset,
    name: str = "",
    facts: DatasetFacts | None = None,
    *,
    error: str = "",
    values: Mapping[str, str] | None = None,
) -> TopicsPanel:
    """``name``: the topic that is shown; ``error`` and ``values``: an edit that was refused, and what it was."""
    tree, runs = dataset.topics, last_runs(dataset)
    counts = counts_of(dataset, tree, facts or dataset_facts(dataset))
    known = name in tree.topics or name == UNKNOWN
    return TopicsPanel(
        dataset=dataset,
        facts=counts.facts,
        nodes=_nodes(dataset, counts, name),
        options=_options(tree, tree.walk()),
        seen=mark_of(dataset),
        edits=list(dataset.topic_edits.defer("tree", "by_hand", "examples").select_related("by")[:HISTORY]),
        found=_found(tree, runs),
        work=topic_work_panel(dataset, runs),
        topic=topic_panel(dataset, name, counts, values) if known else None,
        suggested=_suggested(dataset),
        helper=consent.about_helper(dataset),
        error=error,
        values=values or {},
    )


def _nodes(dataset: Dataset, counts: Counts, here: str) -> SafeString:
    """All lines in one piece: a loop of the template over each cell would cost most of a page."""
    tree, base = counts.tree, reverse("datasets:topics", args=[dataset.pk])
    most = max(counts.facts.topics.values(), default=0) or 1
    depth: dict[str, int] = {}
    lines = []
    for name in tree.walk():
        topic = tree.topics[name]
        parent = topic.parent_topic
        depth[name] = depth[parent] + 1 if parent is not None else 0
        count = counts.of(name)
        word, tone = counts.verdict(name, count)
        lines.append(
            (
                min(depth[name], DEEPEST),
                _NOTHING if topic.subtopics == [] else " group",
                depth[name] + 1,
                name,
                parent or "",
                readable(name),
                base,
                _HERE if name == here else _NOTHING,
                _NO_BAR if topic.subtopics else format_html(_BAR, f"{100 * count / most:.1f}"),
                number(count),
                counts.share_of(count),
                format_html('<span class="badge {}">{}</span>', tone, word) if word else _NO_BAR,
            )
        )
    return format_html_join("\n", _NODE, lines)


def _options(tree: TopicTree, names: Sequence[str], chosen: str | None = None) -> SafeString:
    """Topics to choose from; those deep in the tree say what they are under."""
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        (
            (name, SafeString(" selected") if name == chosen else _NOTHING, " / ".join(map(readable, tree.path(name))))
            for name in names
        ),
    )


def _suggested(dataset: Dataset) -> list[tuple[str, int]]:
    found = dataset.topic_proposals.filter(inside=UNKNOWN).values_list("name", "count")
    return [(readable(name), count) for name, count in found]


def _found(tree: TopicTree, runs: Mapping[str, ActionRun]) -> str:
    """How many topics were found and why so many, while one of them is still there."""
    run = runs.get(TOPICS)
    if run is None or run.job.state != "SUCCEEDED" or not set(run.job.result["topics"]) & set(tree.topics):
        return ""
    result = run.job.result
    left = result.get("in_no_group", 0)
    junk = f" {plural(left, 'record')} stood in no group worth a name." if left else ""
    return f"{result['chosen_by']}{junk}"


def topic_panel(
    dataset: Dataset, name: str, counts: Counts | None = None, values: Mapping[str, str] | None = None
) -> TopicPanel:
    """A topic of the tree, or UNKNOWN."""
    tree = counts.tree if counts else dataset.topics
    counts = counts or counts_of(dataset, tree, dataset_facts(dataset))
    if name == UNKNOWN:
        return _unknown_panel(dataset, counts)
    topic, count = tree.topics[name], counts.of(name)
    word, tone = counts.verdict(name, count)
    leaves = tree.leaves_below(name)
    inside = set(tree.below(name))
    typical, unsure = _samples(dataset, leaves, counts.facts)
    proposals = [] if topic.subtopics else _proposals(dataset, name)
    stored = {
        "new_name": readable(name),
        "description": topic.description,
        "keywords": ", ".join(topic.keywords),
    }
    return TopicPanel(
        dataset=dataset,
        name=name,
        title=readable(name),
        above=[readable(other) for other in tree.path(name)[:-1]],
        values=values or stored,
        count=count,
        share=counts.share_of(count),
        doubtful=counts.doubtful_of(name),
        word=word,
        tone=tone,
        below=[(child, readable(child), counts.of(child)) for child in topic.subtopics],
        typical=typical,
        unsure=unsure,
        parents=_options(tree, [other for other in tree.walk() if other not in inside], topic.parent_topic),
        targets=_options(tree, [leaf for leaf in tree.leaves() if leaf not in inside]),
        seen=mark_of(dataset),
        proposals=proposals,
        no_proposal="" if proposals or topic.subtopics else _no_proposal(dataset, name),
    )


def _proposals(dataset: Dataset, inside: str) -> list[ProposalLine]:
    found = list(dataset.topic_proposals.filter(inside=inside).defer("members"))
    keys = [pk for one in found for pk in one.examples[:SHOWN]]
    texts = dict(dataset.records.filter(pk__in=keys).values_list("pk", "preview")) if keys else {}
    return [
        ProposalLine(
            one.pk,
            readable(one.name),
            one.count,
            ", ".join(one.keywords[:6]),
            [visible(texts[pk]) for pk in one.examples[:SHOWN] if pk in texts],
        )
        for one in found
    ]


def _no_proposal(dataset: Dataset, inside: str) -> str:
    """What the last look into this topic said, where it found nothing."""
    run = last_run(dataset, SPLIT)
    result = run.job.result if run is not None else {}
    return str(result["said"]) if result and result["inside"] == inside else ""


def _unknown_panel(dataset: Dataset, counts: Counts) -> TopicPanel:
    count = counts.facts.unknown
    typical, _ = _samples(dataset, [UNKNOWN], counts.facts)
    proposals = _proposals(dataset, UNKNOWN)
    share = percent(count / counts.facts.valid) if counts.facts.valid else ""
    return TopicPanel(
        dataset, UNKNOWN, "Fit no topic", [], {}, count, share, 0, "", "", [], typical, [], _NOTHING, _NOTHING,
        mark_of(dataset), proposals, "" if proposals else _no_proposal(dataset, UNKNOWN),
    )  # fmt: skip


def _samples(dataset: Dataset, leaves: Sequence[str], facts: DatasetFacts) -> tuple[list[Sample], list[Sample]]:
    """The surest and the least sure records: five of a leaf, one of each of a group's five largest."""
    largest = sorted(leaves, key=lambda leaf: -facts.topics.get(leaf, 0))[:EXAMPLES]
    each = EXAMPLES if len(leaves) == 1 else 1
    parts, given = [], []
    for at, (leaf, direction) in enumerate((leaf, way) for leaf in largest for way in ("DESC", "ASC")):
        parts.append(_NEAREST.format(direction, at))
        given += [dataset.pk, leaf, each]
    keys = RawSQL(" UNION ALL ".join(parts), given)
    rows = DatasetRecord.objects.filter(pk__in=keys).values_list("pk", "preview", "confidence", "topic")
    found = sorted(rows, key=lambda row: (-(row[2] or 0.0), -row[0]))
    typical, unsure = [], []
    for leaf in largest:
        mine = [
            Sample(pk, visible(preview) if preview else SafeString("(no user message)"), score(sure), readable(leaf))
            for pk, preview, sure, topic in found
            if topic == leaf
        ]
        typical += mine[:each]
        unsure += mine[each:][::-1][:each]
    return typical, unsure

"""What a bulk action would do, with examples, before it does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from datasets_app import bulk
from datasets_app.bulk_actions import BulkAction, Joins, Mend, Pick, RepairValues, TopicValue
from datasets_app.core import repairs
from datasets_app.core.records import Trace, tool_calls_of
from datasets_app.core.sanitizing import verdict
from datasets_app.filters import Where
from datasets_app.models import VALID, Dataset
from rft_project.platforms.types import text_of
from rft_project.web.text import plural
from rft_project.web.worddiff import Pair, turn_diff

LOOKED_AT = 1000  # records that a preview tries an action on
EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    """Records as they are and as they would be; ``others``: how many there are beside the one named."""

    pk: int
    words: Pair
    before: str
    after: str
    others: int = 0


@dataclass(frozen=True)
class PreviewPanel:
    """What a bulk action would do, found out on the first records meant."""

    dataset: Dataset
    plan: bulk.Plan
    count: int
    looked_at: int = 0
    would_change: int = 0
    become_valid: int = 0
    examples: list[Example] = field(default_factory=list)
    sessions: int = 0
    conversations: int = 0

    @property
    def action(self) -> BulkAction:
        return self.plan.how

    @property
    def joins(self) -> bool:
        return self.action.joins is not None

    @property
    def where(self) -> Where:
        return self.plan.selection.where or Where()

    @property
    def said(self) -> str:
        """The sentence under the title."""
        if self.joins:
            return self._joined
        if self.action.mend is None:
            return self._meant
        looked = "" if self.looked_at >= self.count else f" Of the first {self.looked_at:,},"
        change = f"{self.would_change:,} would change" if looked else f" {self.would_change:,} would change"
        return f"{self._meant}{looked} {change.strip()}; {self.become_valid:,} would become valid."

    @property
    def _meant(self) -> str:
        are = "is" if self.count == 1 else "are"
        return f"{plural(self.count, 'record')} {are} selected."

    @property
    def _joined(self) -> str:
        """Sessions as the narrow rows tell them, conversations as the payloads do."""
        if not self.count:
            return "Each session here is one record already."
        are = "is" if self.sessions == 1 else "are"
        meant = f"{plural(self.sessions, 'session')} {are} logged as {plural(self.count, 'record')}."
        looked = f"Of the first {self.looked_at:,} of them, " if self.looked_at < self.count else ""
        become = f"{looked}{plural(self.would_change, 'record')} would become {self.conversations:,}."
        return f"{meant} {become} What an agent with other instructions said stays apart."

    @property
    def repairs(self) -> list[tuple[str, str, bool]]:
        """Name, title and whether it is chosen, of every repair; none for other actions."""
        if self.action.values is not RepairValues:
            return []
        return [(name, title, name in self.plan.values["repairs"]) for name, (title, _, _) in repairs.REPAIRS.items()]

    @property
    def button(self) -> str:
        return f"{self.action.label}: {plural(self.count, 'record')}"

    @property
    def topic(self) -> str:
        return self.plan.values["into"] if self.action.values is TopicValue else ""


def preview_panel(dataset: Dataset, plan: bulk.Plan) -> PreviewPanel:
    """Tries the action on the first records meant; nothing is written."""
    how, records = plan.how, plan.selection.records(dataset)
    if how.choose is None:
        panel = PreviewPanel(dataset, plan, records.count())
    else:
        picked = how.choose(records)
        panel = PreviewPanel(dataset, plan, sum(map(len, picked)), sessions=len(picked))
        if how.joins is not None:
            return _with_joins(panel, how.joins, picked)
    return _with_mends(panel, how.mend) if how.mend is not None else panel


def _with_mends(panel: PreviewPanel, mend: Mend) -> PreviewPanel:
    """Each record by itself."""
    dataset = panel.dataset
    values = panel.action.values.model_validate(panel.plan.values)
    looked_at = changed = valid = 0
    examples: list[Example] = []
    records = panel.plan.selection.records(dataset).select_related("raw").order_by("pk")
    for record in records[:LOOKED_AT]:
        looked_at += 1
        trace = record.trace
        mended = mend(dataset, trace, values)
        if mended is None:
            continue
        changed += 1
        state = "" if verdict(mended, dataset.sanitizing, record.tokens) else VALID
        valid += record.verdict != VALID and state == VALID
        if len(examples) < EXAMPLES:
            words = turn_diff(told(trace), told(mended))
            examples.append(Example(record.pk, words, record.code or record.verdict, state or "still invalid"))
    return replace(panel, looked_at=looked_at, would_change=changed, become_valid=valid, examples=examples)


def _with_joins(panel: PreviewPanel, joins: Joins, picked: Sequence[Pick]) -> PreviewPanel:
    """Sessions whole, as many as hold ``LOOKED_AT`` records."""
    held = accumulate(map(len, picked))
    keys = [key for pick, count in zip(picked, held, strict=True) if count <= LOOKED_AT for key in pick]
    keys = keys or list(picked[0] if picked else ())
    records = panel.dataset.records.filter(pk__in=keys).select_related("raw", "batch").order_by("pk")
    found = joins(list(records))
    examples = []
    for one in found[:EXAMPLES]:
        apart = [turn for part in one.parts for turn in (f"Record {part.pk}", *told(part.trace))]
        after = f"one conversation of {plural(len(told(one.trace)), 'turn')}"
        before = plural(len(one.parts), "record")
        words = turn_diff(apart, told(one.trace))
        examples.append(Example(one.parts[0].pk, words, before, after, others=len(one.parts) - 1))
    parts = sum(len(one.parts) for one in found)
    return replace(panel, looked_at=len(keys), would_change=parts, conversations=len(found), examples=examples)


def told(trace: Trace) -> list[str]:
    """A conversation as texts, one per turn, for comparing two states of it."""
    lines = []
    for message in [*trace.messages, *trace.output_messages]:
        calls = [f"{call.get('id', '')} {call.get('function', '')}" for call in tool_calls_of(message)]
        lines.append(" ".join([f"{message.get('role', '')}:", text_of(message.get("content")), *calls]))
    return lines

"""What the page about personal data and secrets shows. Values are masked, their surroundings too."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Min
from django.urls import reverse

from datasets_app import bulk, changes, privacy
from datasets_app.actions import SCAN, last_run
from datasets_app.core.pii.kinds import KINDS, Group, Kind
from datasets_app.core.pii.masking import context
from datasets_app.core.pii.redacting import placeholder
from datasets_app.core.pii.traces import findings
from datasets_app.models import Change, Dataset, DatasetRecord, Finding, FoundValue, Vault
from datasets_app.models.findings import KindCount, Summary
from rft_project.jobs.models import Job, live_job

PAGE = 20  # values of a kind on one page
GROUPS = {Group.SECRET: "Secrets", Group.PERSONAL: "Personal data", Group.NOTE: "Only counted"}
TONES = {Group.SECRET: "bad", Group.PERSONAL: "warn", Group.NOTE: "note"}


@dataclass(frozen=True)
class KindLine:
    kind: Kind
    count: KindCount
    ignored: bool
    chosen: bool

    @property
    def title(self) -> str:
        return self.kind.title

    @property
    def group(self) -> str:
        return GROUPS[self.kind.group]

    @property
    def tone(self) -> str:
        return TONES[self.kind.group]


@dataclass(frozen=True)
class ValueLine:
    """One value: its placeholder, and one place where it stands, masked."""

    pk: int
    placeholder: str
    records: int
    record: int
    before: str
    masked: str
    after: str


@dataclass(frozen=True)
class PrivacyWorkPanel:
    """Progress of looking through, redacting or undoing."""

    dataset: Dataset
    job: Job | None
    page: str

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


@dataclass(frozen=True)
class PrivacyPanel:
    dataset: Dataset
    scanned: bool
    left: bool  # records that nobody has looked through
    summary: Summary
    kinds: list[KindLine]
    ignored: list[KindLine]
    chosen: KindLine | None
    values: list[ValueLine]
    false_alarms: list[ValueLine]
    following: int  # number after which the next page begins, 0 on the last
    history: list[tuple[Change, bool]]
    names: bool
    can_find_names: bool

    @property
    def secret(self) -> KindLine | None:
        """The secrets to begin with."""
        return next((line for line in self.kinds if line.kind.group is Group.SECRET), None)

    @property
    def personal(self) -> KindLine | None:
        return next((line for line in self.kinds if line.kind.group is Group.PERSONAL), None)

    @property
    def url(self) -> str:
        return reverse("datasets:privacy", args=[self.dataset.pk])


def privacy_work_panel(dataset: Dataset) -> PrivacyWorkPanel:
    run = last_run(dataset, SCAN)
    job = live_job(bulk.lock_key(dataset)) or (run.job if run is not None else None)
    return PrivacyWorkPanel(dataset, job, reverse("datasets:privacy", args=[dataset.pk]))


def privacy_panel(dataset: Dataset, kind: str = "", after: int = 0) -> PrivacyPanel:
    """``kind``: whose values are shown; those with numbers above ``after``."""
    vault = Vault.objects.filter(pk=dataset.pk).first()
    summary = vault.counts if vault is not None else Summary()
    ignored = vault.ignored if vault is not None else []
    lines = [KindLine(KINDS[slug], count, False, slug == kind) for slug, count in summary.kinds.items()]
    chosen = next((line for line in lines if line.chosen), None)
    if chosen is None and kind in KINDS and kind not in ignored:  # all redacted or false alarms: the page still opens
        chosen = KindLine(KINDS[kind], KindCount(), False, True)
    values, false_alarms, following = _values(dataset, vault, chosen, after)
    made = dataset.changes.select_related("job", "by").filter(kind="redact")[:10]
    return PrivacyPanel(
        dataset=dataset,
        scanned=vault is not None and bool(vault.summary),
        left=not privacy.is_complete(dataset, vault),
        summary=summary,
        kinds=lines,
        ignored=[KindLine(KINDS[slug], KindCount(), True, False) for slug in ignored if slug in KINDS],
        chosen=chosen,
        values=values,
        false_alarms=false_alarms,
        following=following,
        history=[(change, changes.can_undo(change)) for change in made],
        names=vault is not None and vault.names,
        can_find_names=privacy.can_find_names(),
    )


def _values(
    dataset: Dataset, vault: Vault | None, chosen: KindLine | None, after: int
) -> tuple[list[ValueLine], list[ValueLine], int]:
    if vault is None or chosen is None:
        return [], [], 0
    of_kind = dataset.found_values.filter(kind=chosen.kind.slug, records__gt=0).order_by("number")
    found = list(of_kind.filter(false_alarm=False, number__gt=after)[: PAGE + 1])
    following = found[PAGE - 1].number if len(found) > PAGE else 0
    alarms = list(of_kind.filter(false_alarm=True)[:PAGE])
    return _lines(vault, found[:PAGE]), _lines(vault, alarms), following


def _lines(vault: Vault, values: list[FoundValue]) -> list[ValueLine]:
    """Each value where it stands first. Raises nothing: without the key only placeholders are shown."""
    try:
        work = privacy.opened(vault.dataset)
    except privacy.Locked:
        return []
    held = Finding.objects.filter(value__in=values).order_by().values("value_id").annotate(first=Min("record_id"))
    first = {row["value_id"]: row["first"] for row in held}
    places: dict[str, tuple[str, str, str]] = {}
    for record in DatasetRecord.objects.filter(pk__in=set(first.values())).select_related("raw"):
        every = findings(record.trace, work.detectors)
        for seen in every:
            around = (other.finding for other in every if other.text is seen.text and other is not seen)
            places.setdefault(work.digest(seen)[1], context(seen.text, seen.finding, around))
    shown = [value for value in values if value.pk in first and value.digest in places]
    return [
        ValueLine(
            value.pk, placeholder(value.kind, value.number), value.records, first[value.pk], *places[value.digest]
        )
        for value in shown
    ]

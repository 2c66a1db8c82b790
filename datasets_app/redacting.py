"""Placeholders in the records of a dataset: ``<EMAIL_1>`` is the same value in every record and in every later run."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_app.core.pii.kinds import KINDS
from datasets_app.core.pii.redacting import placeholder, redact, value_digest
from datasets_app.core.pii.scanning import Finding
from datasets_app.core.records import Trace

from .models import Dataset, DatasetRecord, FoundValue
from .privacy import Known, Open, opened, values_of


class Redactor:
    """Redacts kinds, or some of their values, in one dataset; false alarms are left. Needs the dataset's turn."""

    def __init__(self, dataset: Dataset, kinds: Iterable[str], values: Iterable[int] = ()) -> None:
        self._work: Open = opened(dataset)
        self._kinds = frozenset(kinds) - frozenset(self._work.vault.ignored)
        self._only = frozenset(values)
        self._names: dict[Known, str | None] = {}

    def redacted(self, records: Iterable[DatasetRecord]) -> dict[int, Trace]:
        """New payloads of the records that change."""
        mended = {}
        for record in records:
            trace, count = redact(record.trace, self._name, self._work.detectors)
            if count:
                mended[record.pk] = trace
        return mended

    def _name(self, finding: Finding) -> str | None:
        if finding.kind not in self._kinds:
            return None
        known = finding.kind, value_digest(self._work.key, finding.kind, finding.value)
        if known not in self._names:
            self._names[known] = self._placeholder(known)
        return self._names[known]

    def _placeholder(self, known: Known) -> str | None:
        value = FoundValue.objects.get(pk=values_of(self._work, [known])[known])
        wanted = not value.false_alarm and (not self._only or value.pk in self._only)
        return placeholder(value.kind, value.number) if wanted else None


def sentence(kinds: Iterable[str], values: Iterable[int]) -> str:
    """What was done, for people."""
    names = [KINDS[kind].many for kind in kinds if kind in KINDS]
    chosen = len(list(values))
    return f"Redacted {f'{chosen} of the ' if chosen else ''}{', '.join(names)}"

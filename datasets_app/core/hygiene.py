"""The hygiene report: counts by verdict, tokens, recommendations with their numbers, and its download forms."""

from __future__ import annotations

import csv
import io
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from datasets_app.core.pii.kinds import KINDS, SECRETS, Group
from datasets_app.core.sanitizing import CODES, DUPLICATE_CODES, TOOL_CODES, Issue

# Shares of all records from which a recommendation is made. The first two are the product's promise.
LAST_NOT_USER_ABOVE = 0.10
EMPTY_USER_ABOVE = 0.05
DUPLICATES_ABOVE = 0.20


class TokenSummary(BaseModel):
    """Tokens of the prompts: median, 95th percentile (nearest rank) and largest.

    ``spread``: (smallest size, records) of classes that double in size from 64 tokens on, up to the one of ``max``.
    """

    p50: int = 0
    p95: int = 0
    max: int = 0
    spread: list[tuple[int, int]] = []


@dataclass(slots=True)
class Held:
    """Records that hold personal data or secrets: by kind, with any personal data, with any secret."""

    kinds: Counter[str] = field(default_factory=Counter)
    personal: int = 0
    secrets: int = 0

    def add(self, kinds: Iterable[str]) -> None:
        """One record, by the kinds found in it."""
        found = set(kinds)
        self.kinds.update(found)
        self.secrets += not SECRETS.isdisjoint(found)
        self.personal += any(KINDS[kind].group is Group.PERSONAL for kind in found)

    def of(self, secret: bool) -> dict[str, int]:
        """Records by kind, secrets or all others, in the order of the kinds."""
        return {kind: self.kinds[kind] for kind in KINDS if self.kinds.get(kind) and (kind in SECRETS) is secret}


class HygieneReport(BaseModel):
    """What one sanitizing run found. ``errors_by_type`` counts verdicts (the first code of a record), so it adds up to
    ``rejected``; ``records_with`` counts records by any of their codes. ``rejection_rate`` is 0–1. ``pii`` and
    ``secrets`` count records by kind of what they hold; None when nobody looked."""

    model_config = ConfigDict(extra="ignore")

    timestamp: datetime
    total: int = 0
    valid: int = 0
    rejected: int = 0
    rejection_rate: float = 0.0
    errors_by_type: dict[str, int] = {}
    records_with: dict[str, int] = {}
    duplicates_removed: int = 0
    near_duplicates: int = 0
    tokens: TokenSummary = TokenSummary()
    pii: dict[str, int] | None = None
    secrets: dict[str, int] | None = None
    recommendations: list[str] = []

    def as_csv(self) -> str:
        """Two columns, ``measure`` and ``value``: for spreadsheets."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("measure", "value"))
        for name in ("timestamp", "total", "valid", "rejected", "rejection_rate"):
            value = getattr(self, name)
            rows.writerow((name, value.isoformat() if name == "timestamp" else value))
        rows.writerows((f"errors_by_type.{code}", n) for code, n in self.errors_by_type.items())
        rows.writerows((f"records_with.{code}", n) for code, n in self.records_with.items())
        rows.writerows((("duplicates_removed", self.duplicates_removed), ("near_duplicates", self.near_duplicates)))
        rows.writerows((f"tokens.{name}", value) for name, value in self.tokens.model_dump(exclude={"spread"}).items())
        for name in ("pii", "secrets"):
            found = getattr(self, name)
            if found is not None:
                rows.writerows((f"{name}.{kind}", n) for kind, n in found.items())
        rows.writerows(("recommendation", sentence) for sentence in self.recommendations)
        return out.getvalue()


def summarise_tokens(counts: Sequence[int] | array[int]) -> TokenSummary:
    """Nearest-rank percentiles of token counts; zeros where there are none."""
    if not len(counts):
        return TokenSummary()
    ordered = np.sort(np.asarray(counts, dtype=np.int64))
    p50, p95 = (int(ordered[max(0, -(-len(ordered) * p // 100) - 1)]) for p in (50, 95))
    return TokenSummary(p50=p50, p95=p95, max=int(ordered[-1]), spread=spread_of(ordered))


def spread_of(tokens: np.ndarray, records: np.ndarray | None = None) -> list[tuple[int, int]]:
    """``TokenSummary.spread`` of token counts, each of one record or of so many ``records``."""
    classes = np.maximum(np.frexp(np.maximum(tokens, 1))[1] - 7, -1) + 1  # 0 below 64, then one for every doubling
    counts = np.bincount(classes, weights=records)
    return [(64 << (n - 1) if n else 0, int(count)) for n, count in enumerate(counts)]


def summarise_counts(records: Mapping[int, int]) -> TokenSummary:
    """``summarise_tokens`` of a histogram: how many records have how many tokens."""
    if not records:
        return TokenSummary()
    values = np.array(sorted(records), dtype=np.int64)
    behind = np.cumsum([records[value] for value in values.tolist()])
    p50, p95 = (int(values[np.searchsorted(behind, max(1, -(-behind[-1] * p // 100)))]) for p in (50, 95))
    return TokenSummary(p50=p50, p95=p95, max=int(values[-1]))


def build_report(
    total: int,
    verdicts: Mapping[str, int],
    records_with: Mapping[str, int],
    tokens: TokenSummary,
    timestamp: datetime | None = None,
    held: Held | None = None,
) -> HygieneReport:
    """A report from counts. ``verdicts``: records by first code; ``records_with``: records by any of their codes."""
    order = {code: place for place, code in enumerate(CODES)}
    errors = {c: n for c, n in sorted(verdicts.items(), key=lambda i: (-i[1], order.get(i[0], len(order)))) if n}
    rejected = sum(errors.values())
    return HygieneReport(
        timestamp=timestamp or datetime.now(UTC),
        total=total,
        valid=total - rejected,
        rejected=rejected,
        rejection_rate=round(rejected / total, 6) if total else 0.0,
        errors_by_type=errors,
        records_with={code: records_with[code] for code in CODES if records_with.get(code)},
        duplicates_removed=errors.get("duplicate", 0),
        near_duplicates=errors.get("near_duplicate", 0),
        tokens=tokens,
        pii=held.of(secret=False) if held is not None else None,
        secrets=held.of(secret=True) if held is not None else None,
        recommendations=recommend(total, records_with, held),
    )


class Advice(NamedTuple):
    """A sentence with its number, and the codes it is about."""

    sentence: str
    codes: tuple[str, ...]


def recommend(total: int, records_with: Mapping[str, int], held: Held | None = None) -> list[str]:
    """Sentences with their numbers: what is worth doing about this data first."""
    return [advice.sentence for advice in advise(total, records_with, held)]


def advise(total: int, records_with: Mapping[str, int], held: Held | None = None) -> list[Advice]:
    """What is recommended of so many records, and what it is about."""
    if not total:
        return []
    advice = []

    def said(n: int) -> str:
        return f"{n:,} of {total:,} records ({n / total:.1%})"

    ends = records_with.get("last_not_user", 0)
    if ends > LAST_NOT_USER_ABOVE * total:
        sentence = f"{said(ends)} do not end with the user's message; trim what follows it."
        advice.append(Advice(sentence, ("last_not_user",)))
    empty = records_with.get("empty_user_message", 0)
    if empty > EMPTY_USER_ABOVE * total:
        sentence = f"{said(empty)} have an empty user message; check how the traces were exported."
        advice.append(Advice(sentence, ("empty_user_message",)))
    for code, fault in zip(
        TOOL_CODES, ("a tool call or result without its id", "a tool result without a call"), strict=True
    ):
        if n := records_with.get(code, 0):
            has = "has" if n == 1 else "have"
            sentence = f"{said(n)} {has} {fault}; export whole tool chains or drop the results."
            advice.append(Advice(sentence, (code,)))
    repeated = sum(records_with.get(code, 0) for code in DUPLICATE_CODES)
    if repeated > DUPLICATES_ABOVE * total:
        sentence = f"{said(repeated)} repeat an earlier one; check that the export holds each conversation once."
        advice.append(Advice(sentence, DUPLICATE_CODES))
    if held is not None:
        advice += _about_what_they_hold(held, said)
    return advice


def _about_what_they_hold(held: Held, said: Callable[[int], str]) -> list[Advice]:
    advice = []
    if n := held.secrets:
        sentence = f"{said(n)} {'holds' if n == 1 else 'hold'} passwords, keys or tokens; redact them before the data "
        advice.append(Advice(f"{sentence}leave this machine, and renew them.", ()))
    if n := held.personal:
        most = sorted(held.of(secret=False).items(), key=lambda item: -item[1])[:3]
        kinds = ", ".join(f"{KINDS[kind].many} in {count:,}" for kind, count in most)
        sentence = f"{said(n)} {'holds' if n == 1 else 'hold'} personal data ({kinds}); review them before the data go "
        advice.append(Advice(f"{sentence}to a platform.", ()))
    return advice


class Comparison(NamedTuple):
    """What changed from one report to the next: records, valid ones, and records per verdict (only what differs)."""

    total: int
    valid: int
    codes: dict[str, int]

    @property
    def sentence(self) -> str:
        """In one sentence, for people."""
        more = self.valid > 0
        sentence = f"{abs(self.valid):,} {'more' if more else 'fewer'} {'is' if abs(self.valid) == 1 else 'are'} valid"
        said = f"{sentence} than last time" if self.valid else "As many are valid as last time"
        if not self.total:
            return f"{said}."
        came = "came in" if self.total > 0 else "went"
        return f"{said}; {abs(self.total):,} record{'' if abs(self.total) == 1 else 's'} {came} since."


def compare(now: HygieneReport, before: HygieneReport) -> Comparison:
    """``now`` minus ``before``."""
    names = [code for code in CODES if code in now.errors_by_type or code in before.errors_by_type]
    changes = {code: now.errors_by_type.get(code, 0) - before.errors_by_type.get(code, 0) for code in names}
    changed = {code: n for code, n in changes.items() if n}
    return Comparison(now.total - before.total, now.valid - before.valid, changed)


class ReportBuilder:
    """Counts record by record. Memory: four bytes per record, for exact percentiles."""

    def __init__(self) -> None:
        self.total = 0
        self.verdicts: Counter[str] = Counter()
        self.records_with: Counter[str] = Counter()
        self._tokens = array("I")

    def add(self, issues: Iterable[Issue], tokens: int | None = None) -> None:
        """One record: its issues in order (the first is the verdict) and its token count."""
        codes = [issue.code for issue in issues]
        self.total += 1
        if codes:
            self.verdicts[codes[0]] += 1
            self.records_with.update(set(codes))
        if tokens is not None:
            self._tokens.append(min(tokens, 0xFFFFFFFF))

    def build(self, timestamp: datetime | None = None, held: Held | None = None) -> HygieneReport:
        tokens = summarise_tokens(self._tokens)
        return build_report(self.total, self.verdicts, self.records_with, tokens, timestamp, held)

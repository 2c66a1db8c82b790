"""Where a dataset stands in steps A to E, for the strip on every page. The wizard adds F to J."""

from __future__ import annotations

from django.urls import reverse

from datasets_app.core.coverage import RECOMMEND_GAP, CoverageReport
from datasets_app.core.generating import suggested
from datasets_app.core.readiness import DatasetFacts
from rft_project.web.steps import DONE, LIVE, OPEN, SHUT, STALE, Step
from rft_project.web.text import percent

from .actions import running
from .facts import coverage_report, dataset_facts
from .models import Dataset


def dataset_steps(dataset: Dataset, here: str = "", facts: DatasetFacts | None = None) -> list[Step]:
    """Steps A to E as they stand, and the way into the wizard."""
    facts = facts or dataset_facts(dataset)
    page = reverse("datasets:dataset", args=[dataset.pk])
    at_work = running(dataset)
    report = coverage_report(dataset, facts) if facts.topics else None
    state, fact = {}, {}
    state["A"], fact["A"] = _sanitized(facts)
    state["B"], fact["B"] = _topics(facts)
    state["C"], fact["C"] = _categorized(facts)
    state["D"], fact["D"] = _coverage(facts, report)
    state["E"], fact["E"] = _generated(facts, report)
    works = (("A", "sanitize"), ("B", "topics"), ("C", "categorize"), ("C", "resort"), ("E", "generate"))
    for letter, name in works:
        if name in at_work:
            state[letter], fact[letter] = LIVE, "running"
    urls = {
        "A": f"{page}#actions",
        "B": reverse("datasets:topics", args=[dataset.pk]),
        "C": reverse("datasets:sorting", args=[dataset.pk]),
        "D": reverse("datasets:coverage_page", args=[dataset.pk]),
        "E": reverse("datasets:generate", args=[dataset.pk]),
    }
    steps = [Step(letter, state[letter], fact[letter], urls[letter], here=letter == here) for letter in "ABCDE"]
    ready = bool(facts.valid) and not facts.unchecked
    wizard = reverse("wizard:new_run", args=[dataset.pk])
    steps.append(Step("F", OPEN if ready else SHUT, "start a run" if ready else "after A", wizard))
    return steps


def _sanitized(facts: DatasetFacts) -> tuple[str, str]:
    if not facts.total:
        return SHUT, "no records"
    if facts.unchecked == facts.total:
        return OPEN, "not yet"
    if facts.unchecked:
        return STALE, f"{facts.unchecked:,} unchecked"
    return DONE, f"{percent(facts.valid / facts.total)} valid"


def _topics(facts: DatasetFacts) -> tuple[str, str]:
    if facts.topics:
        return DONE, f"{len(facts.topics)} topics"
    return (OPEN, "not yet") if facts.valid else (SHUT, "after A")


def _categorized(facts: DatasetFacts) -> tuple[str, str]:
    if not facts.topics:
        return SHUT, "after B"
    if facts.uncategorized == facts.valid:
        return OPEN, "not yet"
    if facts.uncategorized:
        return STALE, f"{facts.uncategorized:,} without"
    return DONE, f"{percent((facts.valid - facts.unknown) / max(1, facts.valid))} sorted"


def _coverage(facts: DatasetFacts, report: CoverageReport | None) -> tuple[str, str]:
    if report is None or not report.total_records:
        return SHUT, "after C"
    thin = sum(entry.gap > RECOMMEND_GAP for entry in report.distribution.values())
    if thin:
        return STALE, f"{thin} topic{'s' if thin > 1 else ''} thin"
    return DONE, "balanced" if report.band in ("excellent", "good") else str(report.band)


def _generated(facts: DatasetFacts, report: CoverageReport | None) -> tuple[str, str]:
    if report is None or not report.total_records:
        return SHUT, "after C"
    needs = sum(suggested(report, valid=facts.valid, generated=facts.generated).values())
    if needs:
        return OPEN, f"{needs:,} suggested"
    return (DONE, f"{facts.generated:,} added") if facts.generated else (OPEN, "nothing lacks")

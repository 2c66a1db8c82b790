"""Counts that describe a dataset, from one or two grouped queries. Everything the pages say starts here."""

from __future__ import annotations

import hashlib

from django.db.models import Count

from datasets_app.core.coverage import CoverageReport, coverage, leaf_counts
from datasets_app.core.readiness import DatasetFacts
from datasets_app.core.sanitizing import RULE_VERSION
from datasets_app.core.topics import UNKNOWN

from .models import VALID, Dataset


def rules_digest(dataset: Dataset) -> str:
    """Identifies the rules and the config a record was checked with; records with another one are unchecked."""
    text = f"{RULE_VERSION}:{dataset.sanitizing.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def topic_counts(dataset: Dataset) -> dict[str | None, int]:
    """Valid records per stored topic value; ``None`` for those not categorized yet."""
    rows = dataset.records.filter(verdict=VALID).values_list("topic").annotate(n=Count("pk")).order_by()
    return dict(rows)


def coverage_report(dataset: Dataset, facts: DatasetFacts | None = None) -> CoverageReport:
    """``facts``: where they are known already, nothing is counted again."""
    if facts is not None:
        leaves, unknown, uncategorized = facts.topics, facts.unknown, facts.uncategorized
    else:
        leaves, unknown, uncategorized = leaf_counts(dataset.topics, topic_counts(dataset))
    return coverage(leaves, dataset.topic_targets, unknown=unknown, uncategorized=uncategorized)


def dataset_facts(dataset: Dataset) -> DatasetFacts:
    grouped = (
        dataset.records.values("verdict", "topic", "is_generated", "needs_review", "checked_by")
        .annotate(n=Count("pk"))
        .order_by()
    )
    digest = rules_digest(dataset)
    tree = dataset.topics
    all_counts: dict[str | None, int] = {}
    trace_counts: dict[str | None, int] = {}
    total = valid = unchecked = generated = review = 0
    for row in grouped:
        n = row["n"]
        total += n
        unchecked += n if row["checked_by"] != digest else 0
        if row["verdict"] != VALID:
            continue
        valid += n
        generated += n if row["is_generated"] else 0
        # An unknown record is already counted as unknown; "needs review" is what has a topic and may be wrong.
        review += n if row["needs_review"] and row["topic"] not in (None, UNKNOWN) else 0
        all_counts[row["topic"]] = all_counts.get(row["topic"], 0) + n
        if not row["is_generated"]:
            trace_counts[row["topic"]] = trace_counts.get(row["topic"], 0) + n
    leaves, unknown, uncategorized = leaf_counts(tree, all_counts)
    return DatasetFacts(
        total=total,
        valid=valid,
        invalid=total - valid,
        unchecked=unchecked,
        generated=generated,
        topics=leaves,
        traces_by_topic=leaf_counts(tree, trace_counts)[0],
        unknown=unknown,
        uncategorized=uncategorized,
        needs_review=review,
    )

"""Counts that describe a dataset, read from its counters. Everything the pages say starts here."""

from __future__ import annotations

import hashlib

from django.db import connection
from django.db.models import Sum

from datasets_app.core.coverage import CoverageReport, coverage, leaf_counts
from datasets_app.core.readiness import DatasetFacts
from datasets_app.core.sanitizing import RULE_VERSION
from datasets_app.core.topics import UNKNOWN

from .models import VALID, Dataset, RecordCount, Vault
from .models.findings import Summary

# Every page asks this, and written out it takes half as long as composed anew each time.
_OF_A_DATASET = f"""
SELECT verdict, CASE WHEN verdict = '{VALID}' THEN topic ELSE '' END, CAST(SUM(n) AS bigint),
    CAST(SUM(CASE WHEN is_generated THEN n ELSE 0 END) AS bigint),
    CAST(SUM(CASE WHEN needs_review THEN n ELSE 0 END) AS bigint),
    CAST(SUM(CASE WHEN checked_by = %s THEN n ELSE 0 END) AS bigint)
FROM {RecordCount._meta.db_table} WHERE dataset_id = %s GROUP BY 1, 2"""


def rules_digest(dataset: Dataset) -> str:
    """Identifies the rules and the config a record was checked with; records with another one are unchecked."""
    text = f"{RULE_VERSION}:{dataset.sanitizing.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def topic_counts(dataset: Dataset) -> dict[str | None, int]:
    """Valid records per stored topic value; ``None`` for those not categorized yet."""
    rows = dataset.record_counts.filter(verdict=VALID).values_list("topic").annotate(n=Sum("n")).order_by()
    return {topic or None: n for topic, n in rows}


def coverage_report(dataset: Dataset, facts: DatasetFacts | None = None) -> CoverageReport:
    """``facts``: where they are known already, nothing is counted again."""
    if facts is not None:
        leaves, unknown, uncategorized = facts.topics, facts.unknown, facts.uncategorized
    else:
        leaves, unknown, uncategorized = leaf_counts(dataset.topics, topic_counts(dataset))
    return coverage(leaves, dataset.topic_targets, unknown=unknown, uncategorized=uncategorized)


def dataset_facts(dataset: Dataset) -> DatasetFacts:
    """One row per topic of the valid records, and one per other verdict: every page asks for this."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_A_DATASET, [rules_digest(dataset), dataset.pk])
        kinds = cursor.fetchall()
    tree, all_counts, trace_counts = dataset.topics, dict[str | None, int](), dict[str | None, int]()
    total = valid = unchecked = generated = review = 0
    for verdict, topic, n, made, doubtful, checked in kinds:
        total += n
        unchecked += n - checked
        if verdict != VALID:
            continue
        valid += n
        generated += made
        # An unknown record is already counted as unknown; "needs review" is what has a topic and may be wrong.
        review += doubtful if topic not in ("", UNKNOWN) else 0
        all_counts[topic or None] = n
        if n > made:
            trace_counts[topic or None] = n - made
    leaves, unknown, uncategorized = leaf_counts(tree, all_counts)
    held = _to_review(dataset)
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
        findings=held.personal if held is not None else None,
        secrets=held.secrets if held is not None else 0,
    )


def _to_review(dataset: Dataset) -> Summary | None:
    """Records that hold something nobody has decided about; None where nobody has looked."""
    for summary in Vault.objects.filter(pk=dataset.pk).values_list("summary", flat=True):
        return Summary.model_validate(summary) if summary else None
    return None

"""How coverage went: a row is kept whenever an action has changed how the records spread over the topics.

Whoever ends an action calls ``note``; where nothing moved, or nothing could, nothing is kept. What people answer record
by record counts with the next action that ends.
"""

from __future__ import annotations

from django.db import transaction

from .facts import coverage_report
from .models import Dataset

KEPT = 200  # rows of a dataset; the oldest go


def note(dataset_id: int, sentence: str) -> None:
    """Keep the coverage as it is now. ``sentence``: what has been done, for people."""
    dataset = Dataset.objects.get(pk=dataset_id)
    report = coverage_report(dataset)
    if not report.distribution:
        return
    counts = {name: topic.count for name, topic in report.distribution.items()}
    figures = {"counts": counts, "unknown": report.unknown, "uncategorized": report.uncategorized}
    with transaction.atomic():
        if figures != dataset.coverage_moments.values(*figures).first():
            dataset.coverage_moments.create(
                sentence=sentence[:300], records=report.total_records, balance=report.balance_score, **figures
            )
            newest = list(dataset.coverage_moments.values_list("pk", flat=True)[:KEPT])
            dataset.coverage_moments.filter(pk__lt=newest[-1]).delete()

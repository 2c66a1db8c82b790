"""What the narrow row says of a payload: its verdict by the rules, its size, its identity, what lists show."""

from __future__ import annotations

from typing import Any

from datasets_app.core.records import Trace, clean_text
from datasets_app.core.sanitizing import status_of, verdict
from datasets_app.core.tokens import count

from .facts import rules_digest
from .models import Dataset
from .services import read_of


def checked_fields(trace: Trace, dataset: Dataset) -> dict[str, Any]:
    """Verdict, code, issues and tokens of a record under the dataset's config, without a look at other records."""
    tokens = count(trace)
    issues = verdict(trace, dataset.sanitizing, tokens)
    return {
        "verdict": status_of(issues),
        "code": issues[0].code if issues else "",
        "issues": [{"code": issue.code, "detail": clean_text(issue.detail)} for issue in issues],
        "tokens": tokens,
        "checked_by": rules_digest(dataset),
    }


def derived_fields(trace: Trace, dataset: Dataset) -> dict[str, Any]:
    """Every column that follows from the payload (``changes.COLUMNS[CONTENT]``)."""
    return {**read_of(trace), **checked_fields(trace, dataset)}

"""The page of sorting: how sure the last run was, and how the next one works."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum

from datasets_app import consent, embedding
from datasets_app.actions import CATEGORIZE, last_result
from datasets_app.forms import SortForm
from datasets_app.models import VALID, Dataset
from rft_project.web.text import percent, plural


@dataclass(frozen=True)
class Band:
    """A tile: how many records are how sure."""

    label: str
    count: int
    say: str


@dataclass(frozen=True)
class SortingPanel:
    """``question``: what is to be decided before the embedding model that was chosen is shown the records."""

    dataset: Dataset
    bands: list[Band]
    doubtful: int
    helper: str
    question: consent.Question | None
    form: SortForm


def sort_form(dataset: Dataset, data: Any = None) -> SortForm:
    records = dataset.record_counts.filter(verdict=VALID).aggregate(n=Sum("n", default=0))["n"]
    return SortForm(
        data,
        offers=embedding.offers(dataset, records),
        initial={"threshold": dataset.sorting.threshold, "embeddings": embedding.chosen(dataset)},
    )


def sorting_panel(dataset: Dataset, form: SortForm | None = None) -> SortingPanel:
    result, question = last_result(dataset, CATEGORIZE), None
    with suppress(LookupError):  # the run says what is missing; here something else can be chosen
        connection = embedding.connection_of(dataset)
        question = consent.about_embeddings(dataset, connection) if connection is not None else None
    helper = consent.helper_connection(dataset)
    return SortingPanel(
        dataset=dataset,
        bands=bands_of(result),
        doubtful=result.get("needs_review", 0) + result.get("unknown", 0),
        helper=f"{helper.helper_model} of {helper}" if helper is not None else "",
        question=question,
        form=form or sort_form(dataset),
    )


def bands_of(result: dict[str, Any]) -> list[Band]:
    """What the last run found, [] where there was none."""
    if not result.get("records"):
        return []

    def share(name: str) -> str:
        return percent(result[name] / result["records"])

    moved = f" {plural(result['moved'], 'other')} moved since." if result["moved"] else ""
    return [
        Band("Sure", result["high"], f"{share('high')}: four in five of these or more should be right."),
        Band("Fairly sure", result["medium"], f"{share('medium')}: more than half of these should be right."),
        Band("To review", result["needs_review"], f"{share('needs_review')}: the guess stands until a person looks."),
        Band("No topic", result["unknown"], f"{share('unknown')} resemble none of the topics."),
        Band("By hand", result["manual"], f"People decided; they count as sure.{moved}"),
    ]

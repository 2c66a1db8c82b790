"""Whether a model takes a run's rows and grader: every limit at its edge, and the sentence that names it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_project.platforms import catalogue
from rft_project.platforms.types import Access, ModelInfo, RowTools
from wizard_app.core.fitting import Misfit, RowFacts, closed, grader_types, misfits

EXACT = {"type": "string_check", "name": "x"}


def model(**changes: Any) -> ModelInfo:
    given = {"id": "m", "label": "Model", "platform": "p", "grader_types": ["string_check", "multi"]}
    return ModelInfo(**{**given, **changes})


def said(info: ModelInfo, rows: RowFacts, grader: dict[str, Any] = EXACT, answers: int = 0) -> list[str]:
    return [str(misfit) for misfit in misfits(info, rows, grader, answers)]


def facts_of(*rows: dict[str, Any]) -> RowFacts:
    found = RowFacts()
    for row in rows:
        found = found.with_row(row, size=100, valid=False)
    return found


@pytest.mark.parametrize(
    ("limits", "rows", "sentence"),
    [
        ({"min_rows": 100}, RowFacts(train=99), "takes no fewer than 100 rows to train on; this split has 99."),
        ({"max_train_rows": 20_000}, RowFacts(train=20_001), "at most 20,000 rows to train on; this split has 20,001."),
        ({"min_valid_rows": 10}, RowFacts(train=1, valid=9), "no fewer than 10 rows to check with; this split has 9."),
        ({"max_valid_rows": 9}, RowFacts(train=1, valid=10), "at most 9 rows to check with; this split has 10."),
        ({"max_file_bytes": 2**20}, RowFacts(train=1, train_bytes=2**21), "takes files of 1 MB; a file of this split"),
        ({"max_file_bytes": 2**20}, RowFacts(train=1, valid_bytes=2**21), "takes files of 1 MB; a file of this split"),
        ({"last_message_user": True}, RowFacts(train=1, not_user_last=1), "1 row does not end with the user's message"),
        ({}, RowFacts(train=5, pictures=2), "2 rows hold pictures or other parts; Model reads text only."),
        ({"needs_allowed_answers": True}, RowFacts(train=1), "Model picks from a list of answers"),
    ],
)  # fmt: skip
def test_a_limit_is_named_with_what_to_do(limits: dict[str, Any], rows: RowFacts, sentence: str) -> None:
    (found,) = misfits(model(**limits), rows, EXACT, 0)
    assert sentence in found.said
    assert (found.blocks, found.later) == (True, False)
    assert found.remedy.endswith(".")


def test_rows_at_the_limits_fit() -> None:
    limits = {"min_rows": 100, "max_train_rows": 200, "min_valid_rows": 10, "max_valid_rows": 20, "max_file_bytes": 50}
    for train, valid in ((100, 10), (200, 20)):
        assert said(model(**limits), RowFacts(train=train, valid=valid, train_bytes=50, valid_bytes=50)) == []


def test_rows_that_are_not_sent_are_not_counted() -> None:
    info = model(takes_validation=False, min_valid_rows=10, max_file_bytes=50)
    assert said(info, RowFacts(train=1, valid=0, valid_bytes=1000)) == []


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        (RowTools.YES, []),
        (RowTools.IGNORED, ["3 rows offer tools; Model is not told of them."]),
        (RowTools.UNPROVEN, ["3 rows offer tools; the platform's pages do not say whether it trains with them."]),
    ],
)
def test_tools_are_worth_a_note_and_block_nothing(tools: RowTools, sentence: list[str]) -> None:
    found = misfits(model(row_tools=tools), RowFacts(train=5, tools=3), EXACT, 0)
    assert [str(misfit) for misfit in found] == sentence
    assert [misfit for misfit in found if misfit.blocks] == []


def test_a_grader_is_looked_at_part_by_part() -> None:
    parts = {"a": EXACT, "b": {"type": "score_model"}, "c": {"type": "python"}}
    grader = {"type": "multi", "graders": parts}
    assert grader_types(grader) == {"multi", "string_check", "score_model", "python"}
    (found,) = misfits(model(), RowFacts(train=1), grader, 0)
    assert found.said == (
        "The grader uses Python (python) and a judge (score_model), which this platform does not run."
    )
    assert (found.blocks, found.later) == (True, True)
    assert said(model(grader_types=[]), RowFacts(train=1), grader) == []


def test_what_blocks_comes_first() -> None:
    found = misfits(model(row_tools=RowTools.IGNORED, text_only=True), RowFacts(1, tools=1, pictures=1), EXACT, 0)
    assert [misfit.blocks for misfit in found] == [True, False]


def test_rows_are_counted_for_what_is_in_them() -> None:
    user = {"role": "user", "content": "x"}
    picture = {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}
    found = facts_of(
        {"messages": [user]},
        {"messages": [picture], "tools": [{"type": "function"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}, {"role": "tool", "content": "y"}]},
    )
    assert found == RowFacts(train=3, train_bytes=303, characters=4, not_user_last=1, pictures=1, tools=1)
    one = RowFacts(valid=1, valid_bytes=2, characters=1)
    assert RowFacts().with_row({"messages": [user]}, size=1, valid=True) == one


@given(st.dates(date(2026, 10, 1), date(2027, 12, 31)))
def test_a_model_is_closed_the_day_after_its_last(day: date) -> None:
    for info in catalogue.entry("azure", date(2026, 10, 1)).models:
        over = closed(info, day)
        assert (over is not None) == (info.trains_until is not None and day.isoformat() > info.trains_until)


def test_why_a_model_is_closed() -> None:
    retired = model(retires="2026-10-23")
    assert closed(retired, date(2026, 10, 22)) is None
    assert str(closed(retired, date(2026, 10, 23))) == (
        "Model can't be trained any more: 22 October 2026 was the last day. Choose another model."
    )
    unlisted = closed(model(access=Access.RETIRED), date(2026, 1, 1))
    assert unlisted == Misfit(
        "Model can't be trained there: the account does not list it for training.", "Choose another model."
    )

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.hygiene import (
    HygieneReport,
    ReportBuilder,
    TokenSummary,
    advise,
    build_report,
    compare,
    recommend,
    summarise_tokens,
)
from datasets_app.core.sanitizing import Issue

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NOTHING = TokenSummary()


def built(records: list[tuple[list[str], int]]) -> HygieneReport:
    builder = ReportBuilder()
    for codes, tokens in records:
        builder.add([Issue(code, "Why.") for code in codes], tokens)
    return builder.build(NOW)


def test_a_report_counts_verdicts_and_tokens():
    report = built(
        [([], 10)] * 6 + [(["invalid_role", "last_not_user"], 40), (["duplicate"], 10)] + [(["near_duplicate"], 30)] * 2
    )
    assert report.model_dump() == {
        "timestamp": NOW,
        "total": 10,
        "valid": 6,
        "rejected": 4,
        "rejection_rate": 0.4,
        "errors_by_type": {"near_duplicate": 2, "invalid_role": 1, "duplicate": 1},
        "records_with": {"invalid_role": 1, "last_not_user": 1, "duplicate": 1, "near_duplicate": 2},
        "duplicates_removed": 1,
        "near_duplicates": 2,
        "tokens": {"p50": 10, "p95": 40, "max": 40, "spread": [(0, 10)]},
        "pii": None,
        "secrets": None,
        "recommendations": [
            "3 of 10 records (30.0%) repeat an earlier one; check that the export holds each conversation once."
        ],
    }
    assert HygieneReport.model_validate_json(report.model_dump_json()) == report


def test_an_empty_report():
    report = built([])
    assert (report.total, report.rejection_rate, report.tokens, report.recommendations) == (0, 0.0, NOTHING, [])


@pytest.mark.parametrize(
    ("counts", "advice"),
    [
        ({"last_not_user": 10, "empty_user_message": 5, "duplicate": 20}, []),  # exactly at the limit: not above it
        (
            {"last_not_user": 11},
            ["11 of 100 records (11.0%) do not end with the user's message; trim what follows it."],
        ),
        (
            {"empty_user_message": 6},
            ["6 of 100 records (6.0%) have an empty user message; check how the traces were exported."],
        ),
        (
            {"missing_tool_call_id": 1, "orphan_tool_result": 2},
            [
                "1 of 100 records (1.0%) has a tool call or result without its id; "
                "export whole tool chains or drop the results.",
                "2 of 100 records (2.0%) have a tool result without a call; "
                "export whole tool chains or drop the results.",
            ],
        ),
        (
            {"duplicate": 11, "near_duplicate": 10},
            ["21 of 100 records (21.0%) repeat an earlier one; check that the export holds each conversation once."],
        ),
        ({"invalid_role": 90}, []),
    ],
)
def test_recommendations_have_their_limits_and_numbers(counts, advice):
    assert recommend(100, counts) == advice


def test_recommendations_look_at_every_code_not_only_the_first():
    report = build_report(10, {"invalid_role": 2}, {"invalid_role": 2, "last_not_user": 2}, NOTHING, NOW)
    assert report.recommendations == [
        "2 of 10 records (20.0%) do not end with the user's message; trim what follows it."
    ]


@given(st.lists(st.integers(0, 100_000), min_size=1))
def test_percentiles_are_counts_that_occur(counts):
    summary = summarise_tokens(counts)
    ordered = sorted(counts)
    for percent, value in ((50, summary.p50), (95, summary.p95), (100, summary.max)):
        assert value in counts
        # Nearest rank: the smallest value with at least that share of the counts at or below it.
        assert sum(c <= value for c in ordered) * 100 >= percent * len(ordered)
        assert sum(c < value for c in ordered) * 100 < percent * len(ordered)


def test_the_table_for_spreadsheets():
    report = built([([], 10), (["invalid_role"], 40)]).model_copy(
        update={"pii": {"email": 3}, "recommendations": ["One, two."]}
    )
    assert list(csv.reader(io.StringIO(report.as_csv()))) == [
        ["measure", "value"],
        ["timestamp", "2026-11-22T09:30:00+00:00"],
        ["total", "2"],
        ["valid", "1"],
        ["rejected", "1"],
        ["rejection_rate", "0.5"],
        ["errors_by_type.invalid_role", "1"],
        ["records_with.invalid_role", "1"],
        ["duplicates_removed", "0"],
        ["near_duplicates", "0"],
        ["tokens.p50", "10"],
        ["tokens.p95", "40"],
        ["tokens.max", "40"],
        ["pii.email", "3"],
        ["recommendation", "One, two."],
    ]


@given(st.lists(st.integers(0, 100_000), min_size=1))
def test_the_spread_counts_every_record_in_the_class_of_its_size(counts):
    spread = summarise_tokens(counts).spread
    edges = [low for low, _ in spread]
    assert edges == [0, *(64 << n for n in range(len(edges) - 1))]
    assert [n for _, n in spread] == [
        sum(low <= count < high for count in counts) for low, high in zip(edges, [*edges[1:], 1 << 60], strict=True)
    ]
    assert spread[-1][1] > 0  # the last class is that of the largest


def test_a_report_is_compared_with_the_one_before():
    before = built([([], 1), (["invalid_role"], 1), (["invalid_role", "last_not_user"], 1)])
    now = built([([], 1), ([], 1), (["duplicate"], 1), (["invalid_role"], 1)])
    assert compare(now, before) == (1, 1, {"invalid_role": -1, "duplicate": 1})
    assert compare(now, before).sentence == "1 more is valid than last time; 1 record came in since."
    assert compare(before, now).sentence == "1 fewer is valid than last time; 1 record went since."
    assert compare(now, now) == (0, 0, {})
    assert compare(now, now).sentence == "As many are valid as last time."


def test_every_advice_names_the_codes_it_is_about():
    found = advise(10, {"last_not_user": 5, "orphan_tool_result": 1, "near_duplicate": 4})
    assert [advice.codes for advice in found] == [
        ("last_not_user",),
        ("orphan_tool_result",),
        ("duplicate", "near_duplicate"),
    ]

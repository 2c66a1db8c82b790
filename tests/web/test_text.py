from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils.safestring import SafeString

from rft_project.web import text

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
NB = "\u00a0"


@pytest.mark.parametrize(
    ("value", "expected"), [(2640, "2,640"), (-3, "−3"), (0, "0"), (None, "–"), (float("nan"), "–")]
)
def test_number(value, expected):
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.946, f"94.6{NB}%"),
        (0.5, f"50{NB}%"),
        (1, f"100{NB}%"),
        (0, f"0{NB}%"),
        (0.0003, f"under 0.1{NB}%"),
        (0.9999, f"over 99.9{NB}%"),
        (-0.05, f"−5{NB}%"),
        (None, "–"),
    ],
)
def test_percent_never_rounds_some_to_none_or_all(value, expected):
    assert text.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, "0.50"), (1, "1.00"), (-0.126, "−0.13"), (-0.001, "0.00"), (Decimal("0.455"), "0.46"), (None, "–")],
)
def test_score_has_two_places_and_a_true_minus(value, expected):
    assert text.score(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.13, "+0.13"), (-0.04, "−0.04"), (0.001, "0.00"), (0, "0.00"), (None, "–")]
)
def test_change_always_has_its_sign(value, expected):
    assert text.change(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.2, "under 1 s"),
        (8.4, "8 s"),
        (59.7, "1 min"),
        (95, "1 min 35 s"),
        (600, "10 min"),
        (1170, "20 min"),
        (8400, "2 h 20 min"),
        (7200, "2 h"),
        (273_600, "3 d 4 h"),
        (None, "–"),
    ],
)
def test_duration_has_two_units_at_most(seconds, expected):
    assert text.duration(seconds).replace(NB, " ") == expected


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=6), "6 min ago"),
        (timedelta(hours=5), "5 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=40), "10 Apr 2026"),
        (timedelta(seconds=-5), "just now"),
    ],
)
def test_ago(delta, expected):
    assert text.ago(NOW - delta, NOW).replace(NB, " ") == expected


def test_ago_of_nothing_is_never():
    assert text.ago(None) == "never"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.1, "1.10 USD"), (0, "free"), (0.0067, "0.0067 USD"), (1234.5, "1,234.50 USD"), (0.01, "0.01 USD"), (None, "–")],
)
def test_usd(value, expected):
    assert text.usd(value).replace(NB, " ") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(640, "640"), (9999, "9,999"), (48_210, "48 thousand"), (999_600, "1.0 million"), (9_100_000, "9.1 million")],
)
def test_tokens(value, expected):
    assert text.tokens(value).replace(NB, " ") == expected


def test_plural():
    made = [text.plural(1, "record"), text.plural(0, "record"), text.plural(2640, "reply", "replies")]
    assert [words.replace(NB, " ") for words in made] == ["1 record", "0 records", "2,640 replies"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a\u202eb", 'a<span class="ctl" title="right-to-left override">U+202E</span>b'),
        ("a\u200bb", 'a<span class="ctl" title="zero width space">U+200B</span>b'),
        ("\x1b[0m", '<span class="ctl" title="control character">U+001B</span>[0m'),
        ("\U000e0041", '<span class="ctl" title="tag latin capital letter a">U+E0041</span>'),
        ("<\u200d>", '&lt;<span class="ctl" title="zero width joiner">U+200D</span>&gt;'),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("plain", "plain"),
        (None, "None"),
    ],
)
def test_visible_escapes_and_marks_hidden_characters(value, expected):
    assert str(text.visible(value)) == expected


@pytest.mark.parametrize("spelled", ["👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "می\u200cخواهم", "👩🏽\u200d💻"])
def test_visible_leaves_joiners_that_belong_to_the_spelling(spelled):
    assert str(text.visible(spelled)) == spelled


def test_visible_does_not_trust_a_value_marked_safe():
    assert str(text.visible(SafeString("<b>"))) == "&lt;b&gt;"


def test_percent_signs_of_a_sentence_stand_apart():
    assert text.spaced("55% of 12.5 % and %") == "55\u00a0% of 12.5 % and %"

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wizard_app.core.worddiff import word_diff

TEXT = st.text(alphabet="ab .,\nü", max_size=60)


def test_a_changed_word() -> None:
    assert word_diff("Your card arrives on Monday.", "Your card arrives on Friday.") == [
        ("equal", "Your card arrives on "),
        ("delete", "Monday"),
        ("insert", "Friday"),
        ("equal", "."),
    ]


def test_neighbouring_changes_are_one() -> None:
    assert word_diff("a red car", "a blue bike") == [
        ("equal", "a "),
        ("delete", "red car"),
        ("insert", "blue bike"),
    ]


def test_equal_empty_and_wholly_different() -> None:
    assert word_diff("same", "same") == [("equal", "same")]
    assert word_diff("", "") == []
    assert word_diff("", "new") == [("insert", "new")]
    assert word_diff("old", "") == [("delete", "old")]


def test_long_answers_are_compared_by_line() -> None:
    lines = [f"{i} word word word word\n" for i in range(1000)]
    changed = [*lines[:500], "another line\n", *lines[501:]]
    assert [piece.op for piece in word_diff("".join(lines), "".join(changed))] == ["equal", "delete", "insert", "equal"]


@given(TEXT, TEXT)
def test_both_texts_can_be_read_back(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.op != "insert") == before
    assert "".join(piece.text for piece in pieces if piece.op != "delete") == after
    assert all(piece.text for piece in pieces)

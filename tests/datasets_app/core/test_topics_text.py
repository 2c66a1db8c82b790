from __future__ import annotations

import pytest

from datasets_app.core.topics_text import essence, essences


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hi,\nmy parcel is late.\nThanks,\nAnna", "my parcel is late"),
        ("Dear Larkmoor team, where is my refund? Kind regards, Tom", "where is my refund?"),
        ("Good morning! The lamp flickers. Cheers", "The lamp flickers"),
        ("Where is my parcel?", "Where is my parcel?"),
        ("Thank you for the lamp, but it flickers. Can I exchange it?",
         "Thank you for the lamp, but it flickers. Can I exchange it?"),
        ("Hello there!", "Hello there!"),  # nothing else to go by
        ("thanks", "thanks"),
        ("  ", ""),
        ("You can ring me, mornings are best.", "You can ring me, mornings are best."),
    ],
)  # fmt: skip
def test_courtesies_are_left_out(text: str, left: str) -> None:
    assert essence(text) == left


def test_pasted_material_is_cut() -> None:
    assert len(essence("word " * 10_000)) <= 2000
    assert essences(["a", "b"]) == ["a", "b"]


def test_long_hostile_text_takes_no_time() -> None:
    assert essence("hi " * 50_000) != ""
    assert essence("," * 100_000 + "thanks " * 20_000) != ""

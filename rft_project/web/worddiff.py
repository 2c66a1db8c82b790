"""Two answers side by side: words only one of them has are marked. Text in, escaped HTML out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from rft_project.web.text import visible

WORDS = re.compile(r"\s+|[^\s]+")
MOST = 1500  # words and gaps of one answer; above it the comparison would take longer than it helps


@dataclass(frozen=True)
class Pair:
    before: SafeString
    after: SafeString


def _marked(pieces: list[str], tag: str) -> SafeString:
    text = "".join(pieces)
    if not text.strip():
        return visible(text)
    return format_html("<del>{}</del>", visible(text)) if tag == "del" else format_html("<ins>{}</ins>", visible(text))


def word_diff(before: str, after: str) -> Pair:
    """``before`` with its own words in <del>, ``after`` with its own words in <ins> (very long ones: unmarked)."""
    left, right = WORDS.findall(before), WORDS.findall(after)
    if len(left) > MOST or len(right) > MOST:
        return Pair(visible(before), visible(after))
    one: list[SafeString] = []
    two: list[SafeString] = []
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            one.append(visible("".join(left[a:b])))
            two.append(visible("".join(right[c:d])))
        else:
            one.append(_marked(left[a:b], "del"))
            two.append(_marked(right[c:d], "ins"))
    return Pair(*(format_html_join("", "{}", ((piece,) for piece in side)) for side in (one, two)))

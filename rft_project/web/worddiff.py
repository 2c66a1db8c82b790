"""Two answers side by side: words only one of them has are marked. Text in, escaped HTML out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from rft_project.web.text import plural, visible

WORDS = re.compile(r"\s*\S+|\s+$")  # a word with the gap before it, so that neighbours join into one mark
MOST = 1500  # words of one answer; above it the comparison would take longer than it helps
MOST_TURNS = 400  # the same of a conversation


@dataclass(frozen=True)
class Pair:
    before: SafeString
    after: SafeString


def _marked(text: str, tag: str) -> SafeString:
    gap = text[: len(text) - len(text.lstrip())]  # a mark starts at the word, not at the gap before it
    if not text.strip():
        return visible(text)
    mark = "{}<del>{}</del>" if tag == "del" else "{}<ins>{}</ins>"
    return format_html(mark, gap, visible(text[len(gap) :]))


def _runs(codes: Iterable[tuple[str, int, int, int, int]]) -> list[tuple[bool, int, int, int, int]]:
    """Join changes that only one or two shared words keep apart: a lone "the" in the middle is chance."""
    codes = list(codes)
    runs: list[tuple[bool, int, int, int, int]] = []
    for i, (kind, a, b, c, d) in enumerate(codes):
        same = kind == "equal" and (b - a > 2 or i in (0, len(codes) - 1))
        if runs and runs[-1][0] == same:
            a, c = runs[-1][1], runs[-1][3]
            runs.pop()
        runs.append((same, a, b, c, d))
    return runs


def word_diff(before: str, after: str) -> Pair:
    """``before`` with its own words in <del>, ``after`` with its own words in <ins> (very long ones: unmarked)."""
    left, right = WORDS.findall(before), WORDS.findall(after)
    if len(left) > MOST or len(right) > MOST:
        return Pair(visible(before), visible(after))
    one: list[SafeString] = []
    two: list[SafeString] = []
    bare = [word.strip() for word in left], [word.strip() for word in right]
    for same, a, b, c, d in _runs(SequenceMatcher(None, *bare, autojunk=False).get_opcodes()):
        was, now = "".join(left[a:b]), "".join(right[c:d])
        one.append(visible(was) if same else _marked(was, "del"))
        two.append(visible(now) if same else _marked(now, "ins"))
    return Pair(*(format_html_join("", "{}", ((piece,) for piece in side)) for side in (one, two)))


def turn_diff(before: Sequence[str], after: Sequence[str]) -> Pair:
    """Two states of a conversation: turns that changed word by word, of the others only those beside them.

    What lies between is folded into one line that says how many turns it stands for; so are the middles of
    conversations that are too long to be compared.
    """
    if len(before) > MOST_TURNS or len(after) > MOST_TURNS:
        return Pair(
            *(
                format_html_join("\n", "{}", ((turn,) for turn in _folded(side, "not shown")))
                for side in (before, after)
            )
        )
    one: list[SafeString] = []
    two: list[SafeString] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            kept = _folded(before[a:b])
            one, two = [*one, *kept], [*two, *kept]
            continue
        words = word_diff("\n".join(before[a:b]), "\n".join(after[c:d]))
        one, two = [*one, *[words.before] * (a < b)], [*two, *[words.after] * (c < d)]
    return Pair(*(format_html_join("\n", "{}", ((turn,) for turn in side)) for side in (one, two)))


def _folded(turns: Sequence[str], why: str = "unchanged") -> list[SafeString]:
    """The first and the last of several turns, and how many stand between."""
    if len(turns) <= 3:
        return [visible(turn) for turn in turns]
    between = format_html('<i class="soft">{} {}</i>', plural(len(turns) - 2, "turn"), why)
    return [visible(turns[0]), between, visible(turns[-1])]

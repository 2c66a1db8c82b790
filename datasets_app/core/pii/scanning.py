"""Finding: one pass of an RE2 set says which rules can match at all, only those look for places.

Almost every text has nothing in it, and then one pass of a DFA is all it costs. RE2 runs in time linear in the text
whatever the text is, so a hostile one cannot stall a scan.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2

from datasets_app.core.pii.kinds import RANK
from datasets_app.core.pii.rules import PERSONAL, Rule
from datasets_app.core.pii.rules_secrets import SECRETS

RULES: tuple[Rule, ...] = SECRETS + PERSONAL
VERSION = 1  # raised whenever a rule changes what it finds
PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_[1-9][0-9]*>")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INSIDE = 96  # characters of a refused candidate in which another may begin; every rule with ``again`` is shorter


@dataclass(frozen=True, slots=True)
class Finding:
    """``value`` is ``text[start:end]``; it is left out of ``repr``, so that no log or traceback shows it."""

    kind: str
    start: int
    end: int
    value: str = field(repr=False)


#: Further detectors, such as one for names: text to findings.
Detector = Callable[[str], Iterable[Finding]]


def _compiled() -> tuple[Any, list[Any]]:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    chosen = re2.Set.SearchSet(options)
    for rule in RULES:
        chosen.Add(rule.pattern)
    chosen.Compile()
    return chosen, [re2.compile(rule.pattern, options) for rule in RULES]


_SET, _PATTERNS = _compiled()


def encoded(text: str) -> bytes:
    """UTF-8; a lone surrogate becomes a question mark, so that there is a character for each."""
    return text.encode("utf-8", "replace")


def rules_that_hit(raw: bytes) -> Sequence[int]:
    """Places in ``RULES`` of the rules that match somewhere in UTF-8 text."""
    return _SET.Match(raw) or ()


def find(text: str, detectors: Sequence[Detector] = ()) -> list[Finding]:
    """Everything found in ``text``, in order and without overlaps. Never raises, whatever the text."""
    raw = encoded(text)
    hits = rules_that_hit(raw)
    if not hits and not detectors:
        return []
    readable = text if len(raw) == len(text) else _SURROGATES.sub("?", text)
    found: list[Finding] = []
    for number in hits:
        rule = RULES[number]
        found.extend(
            checked(rule, _matches(_PATTERNS[number], raw, len(readable), rule.group), readable, _search(number))
        )
    for detector in detectors:
        found.extend(detector(readable))
    return resolved(found, readable, text) if found else []


Match = tuple[int, int, int, int]  # the whole match, and the group that is the value


def _matches(pattern: Any, raw: bytes, length: int, group: int) -> Iterator[Match]:
    """RE2's matches in UTF-8, counted in characters. ``length``: characters of the text."""
    if len(raw) == length:
        for match in pattern.finditer(raw):
            yield *match.span(), *match.span(group)
        return
    at = characters = 0
    for match in pattern.finditer(raw):
        places = []
        for place in (*match.span(), *match.span(group)):
            # ends of a group lie behind the start of the match, so counting goes on from where it was
            places.append(characters + len(raw[at:place].decode()) if place >= at else -1)
        start, end, first, last = places
        yield start, end, first, last
        at, characters = match.end(), end


Search = Callable[[str, int], Match | None]


def _search(number: int) -> Search:
    pattern, group = _PATTERNS[number], RULES[number].group

    def search(piece: str, at: int) -> Match | None:
        match = pattern.search(piece, at)
        return (*match.span(), *match.span(group)) if match else None

    return search


def checked(rule: Rule, matches: Iterable[Match], text: str, search: Search) -> Iterator[Finding]:
    """The matches of one rule that are what they look like. ``search`` finds its next match in a piece of text."""
    for start, end, first, last in matches:
        span = rule.check(text, first, last) if rule.check else (first, last)
        if span is not None:
            yield Finding(rule.kind, *span, text[slice(*span)])
        elif rule.again and not _one_word(text[start:end]):
            yield from _inside(rule, text, start, end, search)


def _one_word(text: str) -> bool:
    """No candidate begins inside it: those that are looked for ``again`` begin with ``\\b`` or a bracket."""
    return text.isascii() and text.isalnum()


def _inside(rule: Rule, text: str, start: int, end: int, search: Search) -> Iterator[Finding]:
    """Candidates that begin within a refused one. The piece begins with it, so that ``\\b`` sees the edges."""
    piece = text[start : start + _INSIDE]
    at = 1
    while at < min(end - start, _INSIDE) and (match := search(piece, at)):
        began, _, first, last = match
        if start + began >= end:
            return
        whole = last < len(piece) or start + last == len(text)
        span = rule.check(text, start + first, start + last) if whole and rule.check else None
        if span is not None:
            yield Finding(rule.kind, *span, text[slice(*span)])
        at = last if span is not None else began + 1


def resolved(found: Iterable[Finding], readable: str, text: str) -> list[Finding]:
    """Of findings that overlap the one whose kind comes first (``kinds.KINDS``), then the longer, then the earlier;
    none inside a placeholder. Values are taken from ``text``."""
    starts, ends = [-1], [-1]  # of what is taken: disjoint, in order
    if "<" in text:
        for match in PLACEHOLDER.finditer(readable):
            starts.append(match.start())
            ends.append(match.end())
    kept: list[Finding] = []
    for one in sorted(found, key=lambda one: (RANK[one.kind], one.start - one.end, one.start)):
        at = bisect_left(starts, one.end)
        if ends[at - 1] <= one.start:
            starts.insert(at, one.start)
            ends.insert(at, one.end)
            kept.append(Finding(one.kind, one.start, one.end, text[one.start : one.end]))
    return sorted(kept, key=lambda one: one.start)

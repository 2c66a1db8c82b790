"""Names, descriptions and keywords for groups of texts by class-based TF-IDF, or by a helper model that is handed in.

Score of a term in a group: share of the group's texts that have it x log(1 + 1 / mean share over all groups). Terms are
one or two neighbouring words; plural and singular count as one and the more frequent form is shown. No I/O.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .labelling_words import PARTICLES, STOP_WORDS
from .topics import UNKNOWN, snake_name

KEYWORDS = (5, 10)
HELD_BY = 0.06  # share of a group's texts that must have a term for it to be a keyword
NAMING = 0.12  # share that must have a term for it to name the group; a group without one is junk
BELIEVED = 0.28  # share of a group's texts that must have one of the words of its name, or nobody would believe it
PAIR_BONUS = 1.35  # two words say more than one
PAIR_NEAR, PAIR_HELD = 0.5, 0.35  # of the best term's score and share: from here a pair of words names the group
PARTICLE_HELD = 0.6  # of a verb's share: from here its particle belongs to the name
EXAMPLES = 20  # shown to a helper model
MAX_WORDS = 400  # of one text that are looked at
_WORD = re.compile(r"[a-z][a-z'’]*[a-z]|[a-z]", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """What a topic is called. ``coverage``: share of its texts that have the term it is named after, 0..1."""

    name: str
    description: str
    keywords: list[str] = field(default_factory=list)
    coverage: float = 1.0


class Labeller(Protocol):
    """A helper model's side: names one group from example texts, typical ones first, and suggested keywords.

    ``taken`` are names not to use again. ``None`` when it has no answer; the statistical label then stands.
    """

    def __call__(self, examples: Sequence[str], keywords: Sequence[str], taken: Sequence[str]) -> Label | None: ...


class Term(NamedTuple):
    """A candidate keyword of a group: text shown, score, share of the group's texts that have it."""

    text: str
    score: float
    share: float


def group_terms(groups: Sequence[Sequence[str]]) -> list[list[Term]]:
    """Terms of every group, best first. Terms in one text only, or in too few of the group's, are left out."""
    counts: list[Counter[tuple[str, ...]]] = []
    forms: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for texts in groups:
        counter: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            found = dict(_terms(text))
            counter.update(found.keys())
            for key, form in found.items():
                forms[key][form] += 1
        counts.append(counter)
    mean_share: dict[tuple[str, ...], float] = {}
    for texts, counter in zip(groups, counts, strict=True):
        for key, count in counter.items():
            mean_share[key] = mean_share.get(key, 0.0) + count / len(texts) / len(groups)
    return [_ranked(counter, len(texts), mean_share, forms) for texts, counter in zip(groups, counts, strict=True)]


def label_groups(
    groups: Sequence[Sequence[str]],
    labeller: Labeller | None = None,
    strict: bool = True,
    taken: Sequence[str] = (),
) -> list[Label | None]:
    """A label per group of texts (typical ones first), names unique; ``None`` for a group nothing holds together.

    ``strict``: nor for one whose best name few of its texts would have a word of. ``taken``: names not to use.
    """
    used = list(taken)
    labels: list[Label | None] = []
    for texts, terms in zip(groups, group_terms(groups), strict=True):
        label = _leaf_label(terms, texts, used, strict)
        if label is not None and labeller is not None:
            label = _helped(labeller(list(texts[:EXAMPLES]), label.keywords, list(used)), label, used)
        labels.append(label)
        if label is not None:
            used.append(label.name)
    return labels


def label_parents(
    groups: Sequence[Sequence[str]], taken: Sequence[str], labeller: Labeller | None = None
) -> list[Label]:
    """Labels for the upper level, none of them in ``taken``; a group without a common term is named by number."""
    used = list(taken)
    labels: list[Label] = []
    for number, (texts, terms) in enumerate(zip(groups, group_terms(groups), strict=True), 1):
        label = _group_label(terms, number, used)
        if labeller is not None:
            label = _helped(labeller(list(texts[:EXAMPLES]), label.keywords, list(used)), label, used)
        used.append(label.name)
        labels.append(label)
    return labels


def _terms(text: str) -> Iterable[tuple[tuple[str, ...], str]]:
    """(normal form, form as written) of the words and pairs worth naming something by."""
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)[:MAX_WORDS]]
    for index, word in enumerate(words):
        if not _content(word):
            continue
        if word not in PARTICLES:
            yield (_singular(word),), word
        follower = words[index + 1] if index + 1 < len(words) else ""
        if _content(follower) or follower in PARTICLES:
            yield (_singular(word), _singular(follower)), f"{word} {follower}"


def _content(word: str) -> bool:
    return len(word) > 2 and word not in STOP_WORDS and word.removesuffix("'s") not in STOP_WORDS


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _ranked(
    counter: Counter[tuple[str, ...]],
    size: int,
    mean_share: dict[tuple[str, ...], float],
    forms: dict[tuple[str, ...], Counter[str]],
) -> list[Term]:
    terms = []
    for key, count in counter.items():
        share = count / size
        if (count < 2 and size > 2) or share < HELD_BY:
            continue
        score = share * math.log1p(1.0 / mean_share[key]) * (PAIR_BONUS if len(key) > 1 else 1.0)
        text = min(forms[key], key=lambda form: (-forms[key][form], form)).replace("'s", "")
        terms.append(Term(text, score, share))
    return sorted(terms, key=lambda term: (-term.score, term.text))


def _leaf_label(terms: Sequence[Term], texts: Sequence[str], taken: Sequence[str], strict: bool) -> Label | None:
    """The label of one group from its ranked terms; ``None`` when no term is common enough to name it.

    Named after a pair of words where one is nearly as telling as the best term, else after the two best words, in the
    order in which people write them.
    """
    naming = [term for term in terms if term.share >= NAMING or not strict]
    if not naming:
        return None
    best = naming[0]
    pairs = (term for term in naming if " " in term.text and term.share >= PAIR_HELD * best.share)
    pair = next((term for term in pairs if term.score >= PAIR_NEAR * best.score), best)
    for lead in dict.fromkeys((pair, *(term for term in naming if " " not in term.text))):
        words = _name_words(lead, (*naming, *terms), texts, taken)
        if not strict or _share_with(words, texts) >= BELIEVED:
            keywords = _distinct(terms)
            return Label(_unique(snake_name(" ".join(words)), taken), describe_terms(keywords), keywords, lead.share)
    return None


def _name_words(lead: Term, terms: Sequence[Term], texts: Sequence[str], taken: Sequence[str]) -> list[str]:
    """The lead's words, with another one where it has only one; with more until no other group is called so."""
    words = lead.text.split()
    more = (word for term in terms for word in term.text.split() if _new(word, words))
    if len(words) == 1 and (second := next(more, None)) is not None:
        words = [part for word in _in_order(words[0], second, texts) for part in _with_particle(word, terms)]
    while snake_name(" ".join(words)) in (*taken, UNKNOWN, "") and (word := next(more, None)) is not None:
        words.append(word)
    return words


def _share_with(words: Sequence[str], texts: Sequence[str]) -> float:
    """Share of the texts that have any of the words, plural and singular alike."""
    wanted = {_singular(word) for word in words if word not in PARTICLES}
    having = sum(any(_singular(word.lower()) in wanted for word in _WORD.findall(text)) for text in texts)
    return having / max(1, len(texts))


def _with_particle(word: str, terms: Sequence[Term]) -> list[str]:
    """``log`` as "log in" where that is how most texts of the group have it."""
    share = next((term.share for term in terms if term.text == word), 0.0)
    for term in terms:
        first, _, last = term.text.partition(" ")
        if first == word and last in PARTICLES and term.share >= PARTICLE_HELD * share:
            return [first, last]
    return [word]


def _group_label(terms: Sequence[Term], number: int, taken: Sequence[str]) -> Label:
    """The label of an upper-level group: its two best terms that share no word."""
    if not terms:
        return Label(_unique(f"group_{number}", taken), describe_terms([]), [], 0.0)
    lead = terms[0]
    fresh = (term for term in terms if all(_new(word, lead.text.split()) for word in term.text.split()))
    name = lead.text
    for term in fresh:
        name = f"{lead.text} and {term.text}"
        if snake_name(name) not in taken:
            break
    keywords = _distinct(terms)
    return Label(_unique(snake_name(name), taken), describe_terms(keywords), keywords, lead.share)


def _in_order(first: str, second: str, texts: Sequence[str]) -> list[str]:
    """The two words in the order in which more of the texts have them."""
    balance = 0
    for text in texts:
        words = [word.lower() for word in _WORD.findall(text)]
        if first in words and second in words:
            balance += 1 if words.index(first) < words.index(second) else -1
    return [first, second] if balance >= 0 else [second, first]


def describe_terms(keywords: Sequence[str]) -> str:
    """One sentence from the first keywords."""
    first = list(keywords[:3])
    if not first:
        return "Requests of several kinds."
    listed = first[0] if len(first) == 1 else ", ".join(first[:-1]) + " and " + first[-1]
    return f"Requests about {listed}."


def _distinct(terms: Sequence[Term]) -> list[str]:
    """5 to 10 keywords: a word inside a chosen pair is left out while there is anything better."""
    chosen: list[str] = []
    spare: list[str] = []
    for term in terms:
        seen = {_singular(word) for text in chosen for word in text.split()}
        fresh = [word for word in term.text.split() if _singular(word) not in seen and word not in PARTICLES]
        (chosen if fresh else spare).append(term.text)
        if len(chosen) == KEYWORDS[1]:
            break
    return chosen + spare[: max(0, KEYWORDS[0] - len(chosen))]


def _new(word: str, words: Sequence[str]) -> bool:
    """Whether ``word`` says something ``words`` do not, neither as they are nor in another form."""
    return (
        _content(word)
        and word not in PARTICLES
        and not any(_akin(_singular(word), _singular(other)) for other in words)
    )


def _akin(one: str, other: str) -> bool:
    """Forms of one word, roughly: a common beginning of four letters or more and short endings."""
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one == other or (common >= 4 and max(len(one), len(other)) - common <= 4)


def _unique(name: str, taken: Sequence[str]) -> str:
    name = name or "topic"
    if name not in taken and name != UNKNOWN:
        return name
    number = next(n for n in range(2, len(taken) + 3) if f"{name}_{n}" not in taken)
    return f"{name}_{number}"


def _helped(answer: Label | None, own: Label, taken: Sequence[str]) -> Label:
    """The helper's label with whatever it left out, or called badly, taken from the statistical one."""
    if answer is None or not snake_name(answer.name):
        return own
    keywords = list(dict.fromkeys(" ".join(word.split()) for word in answer.keywords if word.strip()))[: KEYWORDS[1]]
    return Label(
        name=_unique(snake_name(answer.name), taken),
        description=" ".join(answer.description.split()) or own.description,
        keywords=keywords if len(keywords) >= 2 else own.keywords,
        coverage=own.coverage,
    )

"""Sentence BLEU as sacrebleu computes it (13a tokens, exponential smoothing, effective order), several times faster.

Equal to ``sacrebleu.sentence_bleu`` to 1e-9 (a property test holds it to that). Written out because BLEU was most of a
grader's time there, and because sacrebleu keeps its last 131,072 tokenized texts in memory.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache

ORDER = 4

#: Punctuation that always stands alone: everything of ASCII but ``'``, ``,``, ``-`` and ``.``.
_ALONE = str.maketrans({char: f" {char} " for char in '!"#$%&()*+/:;<=>?@[\\]^_`{|}~'})
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_POINT_AFTER_OTHER = re.compile(r"([^0-9])([\.,])")
_POINT_BEFORE_OTHER = re.compile(r"([\.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
_LONGEST_KEPT = 24


def bleu(text: str, reference: str) -> float:
    """BLEU of ``text`` against one ``reference``, 0..1; 0.0 without a word in common."""
    found, wanted = tokens(text), _reference_tokens(reference)
    if not found or not wanted:
        return 0.0
    log_sum, orders, smoothing, matches = 0.0, 0, 1.0, 1
    for order in range(1, ORDER + 1):
        total = len(found) - order + 1
        if total <= 0:
            break
        orders = order
        matches = _matches(found, wanted, order) if matches else 0  # no match of two words, none of three
        if matches:
            log_sum += math.log(matches / total)
        elif order == 1:
            return 0.0
        else:
            smoothing *= 2
            log_sum -= math.log(smoothing * total)
    brevity = 1.0 if len(found) >= len(wanted) else math.exp(1 - len(wanted) / len(found))
    return brevity * math.exp(log_sum / orders)


def tokens(text: str) -> list[str]:
    """Tokens of mteval-v13a: punctuation stands alone, except ``.`` and ``,`` between digits and ``'`` and ``-``."""
    line = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, char in _ENTITIES:
            line = line.replace(entity, char)
    found: list[str] = []
    for word in line.split():  # no rule looks past white space
        if word.isalnum():
            found.append(word)
        else:
            found.extend(_word(word) if len(word) <= _LONGEST_KEPT else _split(word))
    return found


def _split(word: str) -> list[str]:
    text = f" {word} ".translate(_ALONE)
    text = _POINT_AFTER_OTHER.sub(r"\1 \2 ", text)
    text = _POINT_BEFORE_OTHER.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).split()


_word = lru_cache(maxsize=4096)(_split)


@lru_cache(maxsize=256)
def _reference_tokens(reference: str) -> list[str]:
    """The answers to one prompt share their reference, so the last few are kept."""
    return tokens(reference)


def _matches(found: list[str], wanted: list[str], order: int) -> int:
    """Runs of ``order`` words that both have, each counted as often as the one that has it less often."""
    left, right = _grams(found, order), _grams(wanted, order)
    if order > 1 and len(once := set(right)) == len(right):  # longer runs seldom repeat
        return len(once.intersection(left))
    counted, allowed = Counter(left), Counter(right)
    return sum(min(counted[gram], allowed[gram]) for gram in counted.keys() & allowed.keys())


def _grams(words: list[str], order: int) -> Sequence[Hashable]:
    return words if order == 1 else [*zip(*(words[start:] for start in range(order)), strict=False)]

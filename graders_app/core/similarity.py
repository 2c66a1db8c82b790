"""Text similarity, 0..1, with the semantics of the reference libraries.

============ =====================================================================================================
metric       equal to
============ =====================================================================================================
fuzzy_match  ``rapidfuzz.fuzz.WRatio(text, reference, processor=utils.default_process) / 100``, the guide's example
bleu         ``sacrebleu.sentence_bleu(text, [reference]).score / 100`` (13a tokens, exponential smoothing)
gleu         ``nltk.translate.gleu_score.sentence_gleu`` on whitespace tokens
meteor       ``nltk.translate.meteor_score.single_meteor_score`` on whitespace tokens, without WordNet
rouge_1..5   F-measure of ``rouge_score.rouge_scorer`` without stemmer
rouge_l      the same, longest common subsequence
============ =====================================================================================================

What the platforms run for ``bleu`` and which tokens ``gleu`` and ``meteor`` get is not published, so a hosted score can
differ there. METEOR's synonym stage needs WordNet's data files, which are not part of the library: exact words and
Porter stems match here, synonyms do not, so a paraphrase scores lower than with WordNet, never higher. An identical
text scores slightly under 1 (0.9995 at ten words): METEOR's own chunk penalty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz, utils
from rapidfuzz.distance import LCSseq

from .bleu import bleu

MAX_CHARS = 100_000
#: Where one text is 1.5 times as long as the other, WRatio slides the short one along it: 1.5 s at this product.
MAX_SLIDING = 25_000_000

#: What is not of ``a-z0-9`` becomes a space; a character beyond ASCII is a ``?`` by then.
_TOKEN_BYTES = bytes(b if chr(b) in "abcdefghijklmnopqrstuvwxyz0123456789" else 32 for b in range(256))


def similarity(metric: str, text: str, reference: str) -> float:
    """Similarity of ``text`` to ``reference`` in 0..1; an empty side scores 0. Not symmetric for bleu, meteor, gleu.

    Raises KeyError for an unknown metric and ValueError for a text over ``MAX_CHARS``, or for two that fuzzy_match
    would take seconds to compare (about 6,000 characters against 4,000).
    """
    if len(text) > MAX_CHARS or len(reference) > MAX_CHARS:
        raise ValueError(f"a text is longer than {MAX_CHARS:,} characters")
    return min(1.0, max(0.0, _METRICS[metric](text, reference)))


def rouge_tokens(text: str) -> list[str]:
    """Tokens of rouge-score without its stemmer: lower-cased runs of ``a-z0-9``."""
    return text.lower().encode("ascii", "replace").translate(_TOKEN_BYTES).decode().split()


def _fuzzy_match(text: str, reference: str) -> float:
    short, long = sorted((len(text), len(reference)))
    if long >= 1.5 * short and long * short > MAX_SLIDING:
        raise ValueError(f"texts of {long:,} and {short:,} characters are too long for fuzzy_match")
    return fuzz.WRatio(text, reference, processor=utils.default_process) / 100.0


def _gleu(text: str, reference: str) -> float:
    return float(_nltk().sentence_gleu([reference.split()], text.split()))


def _meteor(text: str, reference: str) -> float:
    if not text.split() or not reference.split():
        return 0.0
    nltk = _nltk()
    return float(nltk.single_meteor_score(reference.split(), text.split(), wordnet=_NoWordNet()))


def _rouge_n(order: int) -> Callable[[str, str], float]:
    def score(text: str, reference: str) -> float:
        found, wanted = _ngrams(rouge_tokens(text), order), _ngrams(rouge_tokens(reference), order)
        return _f_measure((found & wanted).total(), found.total(), wanted.total())

    return score


def _rouge_l(text: str, reference: str) -> float:
    found, wanted = rouge_tokens(text), rouge_tokens(reference)
    return _f_measure(LCSseq.similarity(found, wanted), len(found), len(wanted))


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _f_measure(hits: int, found: int, wanted: int) -> float:
    """As rouge-score computes it: from precision and recall, with empty sides counted as length one."""
    precision, recall = hits / max(found, 1), hits / max(wanted, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


class _NoWordNet:
    """Stands where METEOR asks WordNet for synonyms: there are none."""

    def synsets(self, _word: str) -> list[Any]:
        return []


class _Nltk:
    def __init__(self) -> None:
        from nltk.translate.gleu_score import sentence_gleu  # noqa: PLC0415 - importing nltk takes two seconds
        from nltk.translate.meteor_score import single_meteor_score  # noqa: PLC0415

        self.sentence_gleu = sentence_gleu
        self.single_meteor_score = single_meteor_score


@lru_cache(maxsize=1)
def _nltk() -> _Nltk:
    return _Nltk()


_METRICS: dict[str, Callable[[str, str], float]] = {
    "fuzzy_match": _fuzzy_match,
    "bleu": bleu,
    "gleu": _gleu,
    "meteor": _meteor,
    **{f"rouge_{order}": _rouge_n(order) for order in range(1, 6)},
    "rouge_l": _rouge_l,
}

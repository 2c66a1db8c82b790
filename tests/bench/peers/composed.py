"""The multi grader of three put together from the reference libraries."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, utils
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU


def scores(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """``0.5 fuzzy + 0.3 rouge_l + 0.2 bleu`` of ``(answer, reference)`` pairs, 0..1."""
    rouge = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    bleu = BLEU(effective_order=True)
    return [
        0.5 * (fuzz.WRatio(answer, reference, processor=utils.default_process) / 100)
        + 0.3 * rouge.score(reference, answer)["rougeL"].fmeasure
        + 0.2 * (bleu.sentence_score(answer, [reference]).score / 100)
        for answer, reference in pairs
    ]

"""A multi grader of three against the reference libraries put together, on texts that neither has seen before."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.bench import data
from tests.bench.contest import contest, once
from tests.bench.figures import Section, ratio_bar, seconds_row
from tests.bench.work import Bench

NAMES = ("fuzzy_match", "rouge_l", "bleu")
CONFIG = {
    "type": "multi",
    "name": "three",
    "graders": {
        metric: {
            "type": "text_similarity",
            "name": metric,
            "input": "{{sample.output_text}}",
            "reference": "{{item.reference_answer}}",
            "evaluation_metric": metric,
        }
        for metric in NAMES
    },
    "calculate_output": "0.5 * fuzzy_match + 0.3 * rouge_l + 0.2 * bleu",
}


def pairs(count: int) -> list[tuple[str, str]]:
    """References and answers to them in which a quarter of the words were changed: what the desk says, and, shorter and
    less alike, what customers say."""
    rng = random.Random(data.SEED)
    found = []
    for made in data.made(count * 2):
        if made.kind == "valid" and len(found) < count:
            record = data.msgspec.json.decode(made.line)
            messages = record["input"]["messages"][-1:] if len(found) % 2 else record["output"]["messages"]
            reference = messages[0]["content"][:400]
            words = reference.split(" ")
            found.append((" ".join(w if rng.random() < 0.75 else rng.choice(words) for w in words), reference))
    return found


def equal(mine: list[float], others: list[float]) -> bool:
    return max(abs(a - b) for a, b in zip(mine, others, strict=True)) <= 1e-9


def ours(count: int) -> Callable[[], list[float]]:
    from graders_app.core.evaluate import make_item, make_sample, open_grader

    scored = [(make_sample(text), make_item({}, [], reference)) for text, reference in pairs(count)]

    def timed() -> list[float]:
        with open_grader(CONFIG) as grader:
            return [result.reward or 0.0 for result in grader.grade_many(scored)]

    return timed


def theirs(count: int) -> Callable[[], list[float]]:
    from tests.bench.peers import composed

    texts = pairs(count)
    return lambda: composed.scores(texts)


def run(bench: Bench) -> Section:
    count = bench.size(2000, 200)
    found = contest(
        partial(once, f"{__name__}:ours", count=count),
        partial(once, f"{__name__}:theirs", count=count),
        bench.pairs,
        same=equal,
        tell=bench.tell,
    )
    section = Section("Multi grader of three")
    section.bars.append(ratio_bar("fuzzy_match + rouge_l + bleu ÷ rapidfuzz + rouge-score + sacrebleu", found, 0.20))
    section.tables.append(seconds_row(f"{count:,} answers", found, count))
    section.notes.append("Scores are equal to 1e-9. Every text is new to both sides.")
    return section

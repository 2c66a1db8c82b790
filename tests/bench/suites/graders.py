"""A multi grader of three against the reference libraries put together, on texts that neither has seen before; a long
file through ``manage.py grade``; a python grader in its sandbox."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import data
from tests.bench.contest import ROOT, contest, once
from tests.bench.figures import Bar, Section, at_most, ratio_bar, seconds_row
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

SAME = """\
import re

def grade(sample, item):
    said = set(re.findall(r"\\w+", sample["output_text"].lower()))
    wanted = set(re.findall(r"\\w+", item["reference_answer"].lower()))
    return len(said & wanted) / max(1, len(said | wanted))
"""
SAMPLES_PER_SECOND = 2_000


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


def grade_command(lines: Path, folder: Path) -> float:
    """Seconds of wall clock of ``manage.py grade`` with the multi grader, its start included."""
    grader = folder / "multi.json"
    grader.write_text(json.dumps(CONFIG))
    argv = [sys.executable, "manage.py", "grade", str(lines), "--grader", str(grader), "--out", str(folder / "out")]
    argv += ["--workers", "2"]
    started = time.monotonic()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "RFT_TEST_DIR": str(folder)}
    quiet = subprocess.DEVNULL
    subprocess.run(argv, cwd=ROOT, env=environment, check=True, stdout=quiet, stderr=quiet)
    return time.monotonic() - started


def answers_file(count: int, folder: Path) -> Path:
    path = folder / "answers.jsonl"
    with path.open("w") as target:
        for answer, reference in pairs(count):
            row = {"item": {"reference_answer": reference}, "sample": {"output_text": answer}}
            target.write(json.dumps(row) + "\n")
    return path


def python_rate(count: int) -> float:
    """Samples per second of a warm python grader that compares sets of words; the first sample is not counted."""
    from graders_app.core.evaluate import make_item, make_sample, open_grader

    scored = [(make_sample(text), make_item({}, [], reference)) for text, reference in pairs(count)]
    with open_grader({"type": "python", "name": "words", "source": SAME}) as grader:
        grader.grade(*scored[0])
        started = time.monotonic()
        results = grader.grade_many(scored)
        took = time.monotonic() - started
    assert all(result.reward is not None for result in results)
    return count / took


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
    lines = bench.size(100_000, 1_000)
    took = grade_command(answers_file(lines, bench.folder), bench.folder)
    section.bars.append(at_most(f"{lines:,} lines through `manage.py grade`, wall clock, two processes", took, 60, "s"))
    rate = python_rate(bench.size(20_000, 1_000))
    held = rate >= SAMPLES_PER_SECOND
    section.bars.append(
        Bar("python grader in its sandbox, warm", f"{rate:,.0f} samples/s", f"≥ {SAMPLES_PER_SECOND:,}", held)
    )
    section.notes.append("Scores are equal to 1e-9. Every text is new to both sides.")
    return section

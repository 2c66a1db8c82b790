"""The verdict on a dry run: may training start, and if not, is it the dataset or the grader? No I/O.

The rules are the table of the specification; each rule that applies gives a reason with its number and the actions that
help. The dataset and the grader are judged apart, from different figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from .statistics import FEW_PROMPTS, Bucket, DryRunSummary, RewardStatistics

Verdict = Literal["GO", "WARN", "NO-GO"]
Quality = Literal["good", "fair", "poor"]
ActionSlug = Literal[
    "review_samples", "adjust_grader", "exclude_topic", "remove_solved", "try_sft", "more_answers", "add_records"
]

TOO_HARD, TOO_EASY = 0.10, 0.90  # mean
FLAT = 0.10  # std
HEALTHY_STD = 0.15
HEALTHY_MEAN, BEST_MEAN = (0.20, 0.80), (0.25, 0.65)
NO_SIGNAL, LOW_SIGNAL = 0.10, 0.30  # share of prompts whose answers differ
ERRORS = 0.05  # share of answers that could not be graded
PEAK = 0.05  # width of a peak at 0 and at 1
PEAKS_HOLD, EACH_PEAK = 0.90, 0.10  # two peaks: together that share of all answers, each this at least
OTHERS_FINE = 0.20  # mean of the other topics from which one weak topic stands out
_EPSILON = 1e-9  # a mean of 0.1 that is stored as 0.0999… must not tip a rule
FEW = 20  # prompts; fewer make rough figures
MANY_SOLVED, MANY_UNREACHED = 0.50, 0.50

_LABELS: dict[ActionSlug, str] = {
    "review_samples": "Review samples",
    "adjust_grader": "Adjust grader",
    "exclude_topic": "Exclude topic",
    "remove_solved": "Remove solved prompts",
    "try_sft": "Try SFT",
    "more_answers": "Sample more answers",
    "add_records": "Add records",
}


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Action(_Report):
    """A button. ``topic`` where it is about one."""

    slug: ActionSlug
    label: str
    topic: str | None = None


class Reason(_Report):
    """One rule that applied. ``rule`` is a stable name for tests and styling."""

    rule: str
    level: Verdict
    sentence: str


class Judgement(_Report):
    quality: Quality
    sentence: str


class Diagnosis(_Report):
    """``headline`` is the verdict in a sentence; ``notes`` qualify it and never change it."""

    verdict: Verdict
    headline: str
    dataset: Judgement
    grader: Judgement
    reasons: list[Reason]
    actions: list[Action]
    notes: list[str] = []


class _Finding(NamedTuple):
    reason: Reason
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer that may be shown as a sample."""

    prompt_id: str | int
    sample_index: int
    reward: float


class Samples(NamedTuple):
    """Answers worth reading; one answer may be in two lists."""

    highest: list[ScoredAnswer]
    lowest: list[ScoredAnswer]
    near_mean: list[ScoredAnswer]
    near_half: list[ScoredAnswer]


def diagnose(summary: DryRunSummary) -> Diagnosis:
    """Apply every rule; the worst level is the verdict."""
    findings = [*_error_rule(summary)]
    if summary.rewards.count:
        findings += [*_level_rules(summary), *_signal_rules(summary), *_peak_rule(summary), *_topic_rules(summary)]
    elif not findings:
        sentence = "No answer has been graded yet: let the dry run go on."
        findings.append(_finding("nothing_graded", "NO-GO", sentence))
    if not findings:
        findings.append(_finding("healthy", "GO", _healthy(summary), "review_samples"))
    verdict = max((item.reason.level for item in findings), key=("GO", "WARN", "NO-GO").index)
    actions = list(dict.fromkeys((a.slug, a.label, a.topic) for item in findings for a in item.actions))
    return Diagnosis(
        verdict=verdict,
        headline=_headline(verdict, summary),
        dataset=judge_dataset(summary),
        grader=judge_grader(summary),
        reasons=[item.reason for item in findings],
        actions=[Action(slug=slug, label=label, topic=topic) for slug, label, topic in actions],
        notes=_notes(summary),
    )


def two_peaks(rewards: RewardStatistics) -> tuple[float, float] | None:
    """Shares of answers near 0 and near 1 when nearly all are at one of the two, else ``None``.

    Read from the histogram, so it needs bins of ``PEAK`` width or finer.
    """
    if not rewards.count:
        return None
    at_0 = at_1 = 0
    for count, low, high in zip(rewards.histogram, rewards.edges, rewards.edges[1:], strict=False):
        if high <= PEAK + 1e-9:
            at_0 += count
        elif low >= 1.0 - PEAK - 1e-9:
            at_1 += count
    low_share, high_share = at_0 / rewards.count, at_1 / rewards.count
    if low_share >= EACH_PEAK and high_share >= EACH_PEAK and low_share + high_share >= PEAKS_HOLD:
        return low_share, high_share
    return None


def select_samples(answers: Sequence[ScoredAnswer], n: int = 5) -> Samples:
    """The ``n`` highest, lowest, nearest to the mean and nearest to 0.5, of different prompts first. Deterministic."""
    if not answers:
        return Samples([], [], [], [])
    mean = sum(answer.reward for answer in answers) / len(answers)

    def pick(key: Mapping[int, float]) -> list[ScoredAnswer]:
        order = sorted(range(len(answers)), key=lambda i: (key[i], str(answers[i].prompt_id), answers[i].sample_index))
        seen: set[str | int] = set()
        fresh: list[int] = []
        again: list[int] = []
        for index in order:
            (again if answers[index].prompt_id in seen else fresh).append(index)
            seen.add(answers[index].prompt_id)
        # a repeated prompt only fills up, so that five samples are five different prompts where there are five
        return [answers[index] for index in (fresh + again)[:n]]

    rewards = dict(enumerate(answer.reward for answer in answers))
    return Samples(
        highest=pick({i: -value for i, value in rewards.items()}),
        lowest=pick(rewards),
        near_mean=pick({i: abs(value - mean) for i, value in rewards.items()}),
        near_half=pick({i: abs(value - 0.5) for i, value in rewards.items()}),
    )


# --- rules ------------------------------------------------------------------------------------------------------------


def _finding(rule: str, level: Verdict, sentence: str, *slugs: ActionSlug, topic: str | None = None) -> _Finding:
    actions = tuple(
        Action(slug=slug, label=_LABELS[slug], topic=topic if slug == "exclude_topic" else None) for slug in slugs
    )
    return _Finding(Reason(rule=rule, level=level, sentence=sentence), actions)


def _error_rule(summary: DryRunSummary) -> list[_Finding]:
    if summary.error_share <= ERRORS + _EPSILON:
        return []
    sentence = f"{summary.error_share:.0%} of the answers could not be graded: fix the grader first."
    return [_finding("grader_errors", "NO-GO", sentence, "adjust_grader")]


def _level_rules(summary: DryRunSummary) -> list[_Finding]:
    mean, std = summary.rewards.mean, summary.rewards.std
    found = []
    if mean < TOO_HARD - _EPSILON:
        sentence = (
            f"The mean reward is {mean:.2f}: the prompts are too hard for this model or the grader is too strict; "
            "try a supervised warm-up first."
        )
        found.append(_finding("too_hard", "NO-GO", sentence, "try_sft", "adjust_grader", "review_samples"))
    if mean > TOO_EASY + _EPSILON:
        sentence = (
            f"The mean reward is {mean:.2f}: the prompts are too easy or the grader is too lenient; RFT may not help."
        )
        found.append(_finding("too_easy", "WARN", sentence, "remove_solved", "adjust_grader", "review_samples"))
    if std < FLAT - _EPSILON:
        sentence = f"The standard deviation is {std:.2f}: the grader does not tell answers apart."
        found.append(_finding("flat", "NO-GO", sentence, "adjust_grader", "review_samples"))
    return found


def _signal_rules(summary: DryRunSummary) -> list[_Finding]:
    if not summary.judged or summary.signal >= LOW_SIGNAL - _EPSILON:
        return []
    level: Verdict = "NO-GO" if summary.signal < NO_SIGNAL - _EPSILON else "WARN"
    slugs: list[ActionSlug] = ["adjust_grader"]
    if summary.bucket_share(Bucket.ALREADY_SOLVED) >= 0.3:
        slugs.insert(0, "remove_solved")
    if summary.bucket_share(Bucket.OUT_OF_REACH) >= 0.3:
        slugs.insert(0, "try_sft")
    sentence = (
        f"Only {_percent(summary.signal)} of the prompts get answers of different reward, "
        "and training can learn from nothing else."
    )
    return [_finding("low_signal" if level == "WARN" else "no_signal", level, sentence, *slugs)]


def _peak_rule(summary: DryRunSummary) -> list[_Finding]:
    peaks = two_peaks(summary.rewards)
    if peaks is None:
        return []
    sentence = (
        f"{peaks[0]:.0%} of the answers score 0 and {peaks[1]:.0%} score 1: the grader is pass or fail, "
        "add partial credit."
    )
    return [_finding("two_peaks", "WARN", sentence, "adjust_grader")]


def _topic_rules(summary: DryRunSummary) -> list[_Finding]:
    found = []
    for name, topic in summary.topics.items():
        if topic.status != "weak" or topic.prompts < FEW_PROMPTS:
            continue
        others = [other for key, other in summary.topics.items() if key != name]
        answers = sum(other.count for other in others)
        rest = sum(other.mean * other.count for other in others) / answers if answers else 0.0
        if rest >= OTHERS_FINE:
            sentence = (
                f"{_readable(name)} has a mean of {topic.mean:.2f}, the other topics {rest:.2f}: "
                "warm it up, exclude it or adjust the grader for it."
            )
            found.append(
                _finding("weak_topic", "WARN", sentence, "try_sft", "exclude_topic", "adjust_grader", topic=name)
            )
    return found


# --- judgements -------------------------------------------------------------------------------------------------------


def judge_dataset(summary: DryRunSummary) -> Judgement:
    """From where the prompts stand: how many the model can learn from, has solved, cannot reach."""
    if not summary.judged:
        return Judgement(quality="fair", sentence="Not judged: it takes two graded answers to each prompt.")
    learn, solved, far = (
        summary.bucket_share(b) for b in (Bucket.CAN_LEARN, Bucket.ALREADY_SOLVED, Bucket.OUT_OF_REACH)
    )
    weak = [name for name, topic in summary.topics.items() if topic.status == "weak"]
    if far >= MANY_UNREACHED:
        return Judgement(
            quality="poor" if learn < LOW_SIGNAL else "fair",
            sentence=f"{far:.0%} of the prompts are out of reach: no answer to them scores better than the others.",
        )
    if solved >= MANY_SOLVED:
        return Judgement(
            quality="poor" if learn < NO_SIGNAL else "fair",
            sentence=f"{solved:.0%} of the prompts are already solved, so they teach nothing new.",
        )
    if learn < LOW_SIGNAL:
        return Judgement(quality="fair", sentence=f"The model can learn from only {_percent(learn)} of the prompts.")
    if weak and len(weak) < len(summary.topics):
        names = ", ".join(_readable(name) for name in weak[:3]) + (" and others" if len(weak) > 3 else "")
        return Judgement(
            quality="fair", sentence=f"The model can learn from {learn:.0%} of the prompts, but hardly from {names}."
        )
    return Judgement(
        quality="good",
        sentence=f"The model can learn from {learn:.0%} of the prompts; {solved:.0%} solved, {far:.0%} out of reach.",
    )


def judge_grader(summary: DryRunSummary) -> Judgement:
    """From the shape of the rewards: errors, whether it separates answers, partial credit, silent components."""
    rewards = summary.rewards
    if summary.error_share > ERRORS + _EPSILON:
        return Judgement(quality="poor", sentence=f"It fails on {summary.error_share:.0%} of the answers.")
    if not rewards.count:
        return Judgement(quality="fair", sentence="Not judged: nothing has been graded.")
    if rewards.std < FLAT - _EPSILON:
        where = f"nearly all answers get about {rewards.median:.2f}"
        return Judgement(quality="poor", sentence=f"It hardly tells answers apart: {where}.")
    if rewards.max < 0.5:
        return Judgement(
            quality="fair",
            sentence=f"No answer scores above {rewards.max:.2f}: it may be too strict.",
        )
    silent = [name for name, signal in summary.component_signal.items() if signal == 0.0]
    if silent and len(silent) < len(summary.component_signal):
        return Judgement(
            quality="fair",
            sentence=f'Its component "{silent[0]}" gives all answers to a prompt the same score.',
        )
    peaks = two_peaks(rewards)
    if peaks is not None:
        return Judgement(quality="fair", sentence=f"It is pass or fail: {sum(peaks):.0%} of the answers score 0 or 1.")
    return Judgement(
        quality="good" if rewards.std > HEALTHY_STD else "fair",
        sentence=f"It spreads answers from {rewards.p10:.2f} to {rewards.p90:.2f} (std {rewards.std:.2f}).",
    )


# --- sentences --------------------------------------------------------------------------------------------------------


def _headline(verdict: Verdict, summary: DryRunSummary) -> str:
    if verdict == "NO-GO":
        return "Training would not pay off yet."
    if verdict == "WARN":
        return "Training can start, but look at the warnings first."
    learn = summary.bucket_share(Bucket.CAN_LEARN)
    return f"Training can start: {learn:.0%} of the prompts give it something to learn from."


def _healthy(summary: DryRunSummary) -> str:
    mean, std = summary.rewards.mean, summary.rewards.std
    where = "in the best range" if BEST_MEAN[0] <= mean <= BEST_MEAN[1] else "healthy"
    if not HEALTHY_MEAN[0] <= mean <= HEALTHY_MEAN[1]:
        where = f"outside the healthy {HEALTHY_MEAN[0]:.2f} to {HEALTHY_MEAN[1]:.2f}, but usable"
    spread = "wide enough" if std > HEALTHY_STD else "rather narrow"
    return f"The mean reward of {mean:.2f} is {where} and the standard deviation of {std:.2f} is {spread}."


def _notes(summary: DryRunSummary) -> list[str]:
    notes = []
    if 0 < summary.prompts < FEW:
        notes.append(f"These figures rest on {summary.prompts} prompts only and are rough.")
    if summary.answers_per_prompt == 1:
        notes.append("There is one answer per prompt, so what RL can learn is not known: sample two or more.")
    return notes


def _percent(value: float) -> str:
    """Whole percent, but a small share is not rounded to nothing."""
    return f"{value:.1%}" if 0 < value < 0.01 else f"{value:.0%}"


def _readable(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]

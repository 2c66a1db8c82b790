"""The page of ratings: the answer to rate next, and how well the grader agrees once there are enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graders_app.core.agreement import FEWEST, Agreement, Interval
from graders_app.judging import asks_a_judge
from rft_project.jobs.models import Job
from rft_project.platforms.types import last_user_text
from rft_project.web.text import plural
from wizard_app.calibration import Calibration, Queue, calibration_of, queue_for
from wizard_app.items import reference_text
from wizard_app.models import Repeats, RFTJob, Rollout
from wizard_app.repeating import found_repeats

SCALE = ("Useless", "Poor", "Half right", "Good", "Perfect")
TONES = {"good": "good", "fair": "warn", "poor": "bad", "open": "note"}
WORDS = {"good": "Agrees", "fair": "Mostly agrees", "poor": "Disagrees", "open": "Not known yet"}


@dataclass(frozen=True)
class Choice:
    """One step of the scale; ``key`` is pressed for it."""

    step: int
    key: int
    title: str


CHOICES = [Choice(step, step + 1, title) for step, title in enumerate(SCALE)]


@dataclass(frozen=True)
class Shown:
    """One answer as raters see it: without its score."""

    pk: int
    prompt: str
    answer: str
    calls: str
    reference: str


@dataclass(frozen=True)
class Apart:
    """An answer that grader and people see differently."""

    shown: Shown
    reward: float
    rating: str
    sentence: str


@dataclass(frozen=True)
class RatePanel:
    run: RFTJob
    queue: Queue
    shown: Shown | None
    found: Calibration
    apart: list[Apart]
    choices: list[Choice]

    @property
    def agreement(self) -> Agreement | None:
        """Only when the person has no answer left to rate, or enough to say something: ratings are blind."""
        return self.found.agreement if self.queue.done >= FEWEST or self.shown is None else None

    @property
    def tone(self) -> str:
        return TONES[self.agreement.verdict] if self.agreement else "note"

    @property
    def word(self) -> str:
        return WORDS[self.agreement.verdict] if self.agreement else ""

    @property
    def left(self) -> int:
        return self.queue.total - self.queue.done

    @property
    def rank(self) -> str:
        return _range(self.agreement.rank) if self.agreement else ""

    @property
    def kappa(self) -> str:
        return _range(self.agreement.kappa) if self.agreement else ""


NOISY = 0.15  # spread of a judge's scores from which chance is as large as half a step of the scale


@dataclass(frozen=True)
class RepeatsPanel:
    """Whether the judge agrees with itself; nothing to show where the grader asks none."""

    run: RFTJob
    asks: bool
    found: Repeats | None

    @property
    def job(self) -> Job | None:
        return self.found.job if self.found else None

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> int:
        return self.job.version if self.job is not None else 0

    @property
    def sentence(self) -> str:
        if self.found is None or self.found.spread is None:
            return ""
        asked = f"Asked three times about {plural(self.found.answers, 'answer')}, its scores differ by "
        figure = f"{self.found.spread:.2f} on average"
        if self.found.spread >= NOISY:
            return f"{asked}{figure}: much of what it says is chance; give it clearer criteria or temperature 0."
        return f"{asked}{figure}: it agrees with itself."


def repeats_panel(run: RFTJob) -> RepeatsPanel:
    asks = run.grader_config is not None and asks_a_judge(run.grader_config)
    return RepeatsPanel(run, asks, found_repeats(run) if asks else None)


def rate_panel(run: RFTJob, person: Any) -> RatePanel:
    queue, found = queue_for(run, person), calibration_of(run)
    upcoming = queue.next()
    return RatePanel(
        run=run,
        queue=queue,
        shown=_shown(upcoming) if upcoming else None,
        found=found,
        apart=_apart(found),
        choices=CHOICES,
    )


def trust_sentence(run: RFTJob) -> str:
    """What ratings say of the grader, for the pages before training: with the lower end of the interval."""
    agreement = calibration_of(run).agreement
    if agreement is None or agreement.count < FEWEST:
        return ""
    return f"{agreement.count} answers rated by people: {agreement.advice[0].lower()}{agreement.advice[1:]}"


def _shown(rollout: Rollout) -> Shown:
    trace = rollout.item.trace
    names = [str((call.get("function") or {}).get("name") or "?") for call in rollout.tool_calls]
    return Shown(
        rollout.pk,
        last_user_text(trace.messages),
        rollout.answer,
        ", ".join(names),
        reference_text(trace) if trace.has_reference else "",
    )


def _apart(found: Calibration) -> list[Apart]:
    if found.agreement is None:
        return []
    lines = []
    for one in found.agreement.worst:
        if abs(one.gap) < 0.25:  # less than a step of the scale
            continue
        kind = "the grader is too kind" if one.gap > 0 else "the grader is too harsh"
        rating = SCALE[round(one.rating * (len(SCALE) - 1))]
        lines.append(Apart(_shown(found.rollouts[one.index]), one.reward, rating, kind))
    return lines


def _range(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}".replace("-", "−")

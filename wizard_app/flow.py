"""The five steps of a run: what each needs, whether it is done, and whether what it rests on has changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from rft_project.jobs.models import Job
from rft_project.web import steps as strip
from wizard_app.core.digests import step_digest

from .models import RFTJob, StepResult

RULES = 1  # raised when a step's rules change what comes out

#: Kinds of platforms where a tuned model answers nothing before it is deployed: there deploying goes before comparing.
DEPLOYED_FIRST = ("azure", "bedrock")

#: Kinds of platforms that can hold a training where it is (``Capabilities.pause``): pages ask no platform.
PAUSE = ("openai", "azure")
#: Kinds that can put another model behind a deployment (``Capabilities.promote``).
PROMOTE = ("bedrock",)

#: How the dry run asked, which a training and its comparison do alike.
AS_ASKED = ("reasoning_effort", "response_format")

SPLIT, GRADER, DRY_RUN, TRAIN, RESULTS = "split", "grader", "dry_run", "train", "results"


@dataclass(frozen=True)
class StepKind:
    """``inputs`` is what the step's outcome depends on; a change of it makes the stored outcome stale."""

    slug: str
    letter: str
    title: str
    inputs: Callable[[RFTJob, dict[str, Any]], dict[str, Any]]


def _split_inputs(run: RFTJob, params: dict[str, Any]) -> dict[str, Any]:
    return {"params": params, "snapshot": run.snapshot.content_hash if run.snapshot else ""}


def _grader_inputs(run: RFTJob, params: dict[str, Any]) -> dict[str, Any]:
    return {"snapshot": run.snapshot.content_hash if run.snapshot else "", "config": run.grader_config}


def _dry_run_inputs(run: RFTJob, params: dict[str, Any]) -> dict[str, Any]:
    settled = {name: value for name, value in params.items() if name != "override"}
    return {**_grader_inputs(run, {}), "params": settled}


def _train_inputs(run: RFTJob, params: dict[str, Any]) -> dict[str, Any]:
    base = {"connection": str(run.connection_id or ""), "model": run.base_model}
    return {**_grader_inputs(run, {}), **base, "params": params}


def _results_inputs(run: RFTJob, params: dict[str, Any]) -> dict[str, Any]:
    return {**_grader_inputs(run, {}), "tuned": run.tuned_model}


STEPS: tuple[StepKind, ...] = (
    StepKind(SPLIT, "F", "Split", _split_inputs),
    StepKind(GRADER, "G", "Grader", _grader_inputs),
    StepKind(DRY_RUN, "H", "Dry run", _dry_run_inputs),
    StepKind(TRAIN, "I", "Train", _train_inputs),
    StepKind(RESULTS, "J", "Results", _results_inputs),
)
BY_SLUG = {step.slug: step for step in STEPS}
OPENS_AFTER = {
    SPLIT: "Opens when the records are split.",
    GRADER: "Opens when a grader is chosen.",
    DRY_RUN: "Opens when the dry run has ended.",
    TRAIN: "Opens when the training has ended.",
}
FACT_LENGTH = 16  # characters under a letter of the strip


@dataclass(frozen=True)
class StepState:
    """One step of one run as it stands. ``closed``: the sentence why it cannot be opened yet, '' when it can."""

    kind: StepKind
    result: StepResult | None
    done: bool
    stale: bool
    closed: str
    fact: str

    @property
    def job(self) -> Job | None:
        return self.result.job if self.result is not None else None

    @property
    def live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def state(self) -> str:
        if self.live:
            return strip.LIVE
        if self.done:
            return strip.STALE if self.stale else strip.DONE
        return strip.SHUT if self.closed else strip.OPEN


def digest_of(run: RFTJob, slug: str, params: dict[str, Any]) -> str:
    return step_digest(slug, RULES, BY_SLUG[slug].inputs(run, params))


def states(run: RFTJob, stored: Iterable[StepResult] | None = None) -> list[StepState]:
    """All five, in order. A step opens when the one before it is done; a change before it makes it stale, not gone.

    ``stored``: the run's step results with their jobs, where they are known already.
    """
    results = {result.step: result for result in (run.steps.select_related("job") if stored is None else stored)}
    found: list[StepState] = []
    stale_before = False
    for kind in STEPS:
        result = results.get(kind.slug)
        done = result is not None and result.finished_at is not None
        changed = result is not None and done and result.input_digest != digest_of(run, kind.slug, result.params)
        asked_alike = kind.slug != TRAIN or result is None or _as_asked(results.get(DRY_RUN)) == _as_asked(result)
        stale = done and (changed or stale_before or not asked_alike)
        before = found[-1] if found else None
        closed = "" if before is None or before.done else OPENS_AFTER[before.kind.slug]
        if kind.slug == TRAIN and not closed and before is not None:
            closed = _no_go(before)
        found.append(StepState(kind, result, done, stale, closed, _fact(result, done)))
        stale_before = stale
    return found


def _as_asked(result: StepResult | None) -> list[Any]:
    return [(result.params.get(name) if result is not None else None) or None for name in AS_ASKED]


def _no_go(dry_run: StepState) -> str:
    """Training after a NO-GO needs a person who says why."""
    result = dry_run.result
    if result is None or result.params.get("override"):
        return ""
    verdict = (result.summary.get("diagnosis") or {}).get("verdict")
    return "The dry run says NO-GO; name a reason there to train all the same." if verdict == "NO-GO" else ""


def _fact(result: StepResult | None, done: bool) -> str:
    if result is None or not done:
        return "not yet"
    summary = result.summary
    match result.step:
        case "split":
            return f"{summary['report']['train']} / {summary['report']['valid']}"
        case "grader":
            name = str(summary["name"])
            return name if len(name) <= FACT_LENGTH else f"{name[: FACT_LENGTH - 1].rstrip()}…"
        case "dry_run":
            return str(summary["diagnosis"]["verdict"])
        case "train":
            return f"{summary['steps']} steps"
        case _:
            change = summary["outcome"]["overall"]["change"]
            return f"{change:+.2f}".replace("-", "−")


def state_of(run: RFTJob, slug: str) -> StepState:
    return next(state for state in states(run) if state.kind.slug == slug)


def standings(runs: list[RFTJob]) -> list[tuple[RFTJob, StepState]]:
    """Where each of several runs goes on, in two queries; their snapshots are expected to be there."""
    stored: dict[int, list[StepResult]] = {run.pk: [] for run in runs}
    for result in StepResult.objects.filter(run__in=list(stored)).select_related("job"):
        stored[result.run_id].append(result)
    return [(run, first_open(run, stored[run.pk])) for run in runs]


def first_open(run: RFTJob, stored: Iterable[StepResult] | None = None) -> StepState:
    """Where the walk goes on: the first step that is open or at work, else the last."""
    found = states(run, stored)
    return next((state for state in found if not state.done or state.stale or state.live), found[-1])


def run_steps(run: RFTJob, found: list[StepState], here: str) -> list[strip.Step]:
    """Steps F to J for the strip."""
    return [
        strip.Step(
            state.kind.letter,
            state.state,
            "running" if state.live else state.fact,
            reverse(f"wizard:{state.kind.slug}", args=[run.pk]),
            here=state.kind.slug == here,
        )
        for state in found
    ]

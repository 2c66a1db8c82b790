"""What every page of a run shows around its step: the strip, the stepper, the way back and forth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from datasets_app.strip import dataset_steps
from rft_project.connections.services import is_emulated
from rft_project.money.panels import Meter, meter
from rft_project.web.steps import Step
from wizard_app import flow
from wizard_app.models import RFTJob
from wizard_app.paying import about
from wizard_app.receivers import judge_connection


@dataclass(frozen=True)
class StepLine:
    letter: str
    title: str
    text: str
    css: str
    url: str


def strip_of(run: RFTJob, states: list[flow.StepState], here: str) -> list[Step]:
    """Ten steps: the dataset's and this run's."""
    return [step for step in dataset_steps(run.dataset) if step.letter < "F"] + flow.run_steps(run, states, here)


def stepper(run: RFTJob, states: list[flow.StepState], here: str) -> list[StepLine]:
    lines = []
    for state in states:
        css = "here" if state.kind.slug == here else ("stale" if state.stale else "done" if state.done else "")
        url = "" if state.closed else reverse(f"wizard:{state.kind.slug}", args=[run.pk])
        lines.append(StepLine(state.kind.letter, state.kind.title, outcome_text(state), css, url))
    return lines


def outcome_text(state: flow.StepState) -> str:
    """What a step decided, in a line."""
    if state.live:
        return "Running."
    if not state.done or state.result is None:
        return state.closed or "Open."
    summary: dict[str, Any] = state.result.summary
    stale = " Out of date: something before it changed." if state.stale else ""
    match state.kind.slug:
        case "split":
            text = f"{summary['report']['train']:,} to train on, {summary['report']['valid']:,} to check with. Frozen."
        case "grader":
            text = f"{summary['name']}."
        case "dry_run":
            text = f"{summary['diagnosis']['verdict']}. Mean {summary['summary']['rewards']['mean']:.2f}."
        case "train":
            text = f"{summary['steps']:,} steps."
        case _:
            overall = summary["outcome"]["overall"]
            text = f"{overall['before']:.2f} before, {overall['after']:.2f} after."
    return text + stale


def meter_of(run: RFTJob) -> Meter | None:
    """What the run has cost and may; None while it asks nobody who takes money for it."""
    asked = [connection for connection in (run.connection, judge_connection(run)) if connection is not None]
    return meter(run.workspace, about(run)) if any(connection.kind != "local" for connection in asked) else None


def page(run: RFTJob, here: str) -> dict[str, Any]:
    """Context that every page of a run starts from."""
    states = flow.states(run)
    order = [kind.slug for kind in flow.STEPS]
    at = order.index(here)
    following = states[at + 1] if at + 1 < len(order) else None
    return {
        "run": run,
        "meter": meter_of(run),
        "emulated": run.connection is not None and is_emulated(run.connection),
        "steps": strip_of(run, states, here),
        "stepper": stepper(run, states, here),
        "state": states[at],
        "back": flow.STEPS[at - 1] if at else None,
        "back_url": reverse(f"wizard:{order[at - 1]}", args=[run.pk]) if at else run.dataset.get_absolute_url(),
        "following": following,
        "following_url": reverse(f"wizard:{order[at + 1]}", args=[run.pk]) if following else "",
    }

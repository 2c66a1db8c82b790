"""What the training page makes of the series a platform tells, and of those the grader logs where it tells none."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from rft_project.connections.models import Connection
from rft_project.jobs.services import enqueue
from wizard_app import flow
from wizard_app.models import MetricPoint, RFTJob, StepResult
from wizard_app.panels.training import training_panel

pytestmark = pytest.mark.django_db

SAID = {"diagnosis": {"verdict": "GO"}}


def tell(run: RFTJob, **series: list[float]) -> None:
    points = [
        MetricPoint(run=run, series=name.replace("__", ":"), step=step, value=value)
        for name, values in series.items()
        for step, value in enumerate(values, 1)
    ]
    MetricPoint.objects.bulk_create(points)


@pytest.fixture
def training_run(graded_run: RFTJob) -> RFTJob:
    """A run at work on native Bedrock, by its rows alone: nothing is asked of any platform."""
    graded_run.connection = Connection.objects.create(workspace=graded_run.workspace, kind="bedrock", name="Ours")
    graded_run.base_model = "amazon.nova-2-lite-v1:0:256k"
    graded_run.save()
    job = enqueue("train", {"run": graded_run.pk}, lock_key=f"run:{graded_run.pk}:train", by=None, unit="steps")
    asked = {"connection": str(graded_run.connection_id), "model": graded_run.base_model}
    ended = {"summary": SAID, "finished_at": job.created_at}
    StepResult.objects.create(run=graded_run, step=flow.DRY_RUN, params=asked, **ended)
    StepResult.objects.create(run=graded_run, step=flow.TRAIN, params={}, job=job)
    return graded_run


def part_of(client: Any, run: RFTJob) -> str:
    return client.get(reverse("wizard:training", args=[run.pk]), headers={"HX-Request": "true"}).content.decode()


def test_what_the_grader_logged_is_the_curve_where_the_platform_tells_none(training_run, owner, client_of) -> None:
    client = client_of(owner)
    assert "Bedrock itself tells no reward" in part_of(client, training_run)
    tell(
        training_run,
        observed_reward=[0.2, 0.4, 0.6],
        observed_reward__exact=[0.1, 0.3, 0.5],
        observed_reward__near=[0.3, 0.5, 0.7],
        errors=[0.0, 2.0, 1.0],
    )
    panel = training_panel(training_run)
    assert panel.sentence.startswith("The score in the grader's own log went from 0.20 to 0.60.")
    assert [(part.name, part.first, part.last) for part in panel.components] == [
        ("exact", 0.1, 0.5),
        ("near", 0.3, 0.7),
    ]
    assert (panel.observed, panel.failed_gradings, panel.logged_parts) == (0.6, 3, True)
    page = part_of(client, training_run)
    assert "lots of answers that the grader scored" in page
    assert "as the grader itself logged it" in page
    assert "Failed gradings" in page
    assert "Validation reward" not in page
    assert "Flat groups" not in page


def test_a_platform_without_validation_is_not_waited_for(training_run) -> None:
    """Open-weight models on Bedrock: train reward from the platform, its parts from the grader's log."""
    training_run.connection.kind = "bedrock_openai"
    assert "first step" in training_panel(training_run).begins
    tell(training_run, train_reward=[0.25, 0.35, 0.5], observed_reward=[0.3], observed_reward__a=[0.1],
         observed_reward__b=[0.2])  # fmt: skip
    panel = training_panel(training_run)
    assert panel.sentence.startswith("The score on the prompts it trains on went from 0.25 to 0.50.")
    assert panel.chart is not None and panel.chart.thin_label == "training"
    assert [part.name for part in panel.components] == ["a", "b"]


def test_thoughts_and_the_judges_tokens_are_shown_where_they_are_told(training_run, owner, client_of) -> None:
    tell(
        training_run,
        train_reward=[0.2, 0.3],
        valid_reward=[0.2, 0.3],
        reasoning_tokens=[400.0, 1820.0],
        judge_prompt_tokens=[100.0, 200.0],
        judge_completion_tokens=[10.0, 20.0],
        errors=[0.0, 0.0],
    )
    panel = training_panel(training_run)
    assert (panel.thoughts, panel.judge_tokens, panel.failed_gradings) == (1820.0, 330, 0)
    page = part_of(client_of(owner), training_run)
    assert "Thoughts" in page
    assert "Tokens it read and wrote in this training." in page
    assert "Failed gradings" not in page

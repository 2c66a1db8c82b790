"""A dry run whose worker is killed asks for nothing twice but what was in flight, and loses no answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from rft_project.connections.services import local_connection
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from rft_project.platforms.window import START as IN_FLIGHT
from tests.engine.process import Engine
from tests.worker import drain, wait_for
from wizard_app import flow, services
from wizard_app.models import RFTJob, Rollout
from wizard_app.schemas import DryRunParams

from .harm import FAST, PATIENCE, CountingProxy, Start, kill_while_it_works, times_lost, wait_ended

pytestmark = pytest.mark.django_db(transaction=True)
SIZE, ANSWERS = 40, 3


def start_dry_run(run: RFTJob) -> Job:
    connection = str(local_connection(run.workspace).pk)
    params = DryRunParams(connection=connection, model="classifier", size=SIZE, answers=ANSWERS)
    return services.start_dry_run(run, params, by=None)


def answers_of(run: RFTJob) -> dict[tuple[int, int], tuple[str, float | None, int]]:
    rows = Rollout.objects.filter(run=run).values_list(
        "item", "sample_index", "answer", "reward", "prompt_tokens", "grader_digest"
    )
    return {(item, index): tuple(rest) for item, index, *rest in rows}  # type: ignore[misc]


@pytest.mark.slow
def test_a_killed_dry_run_asks_again_only_for_what_was_in_flight(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy], worker_cluster: Start
) -> None:
    proxy = proxy_to(engine, hold=0.4)
    worker_cluster(*FAST, ENGINE_URL=proxy.url, ENGINE_KEY="")
    job = start_dry_run(graded_run)
    kills = kill_while_it_works(job, [0, 24, 48], random.Random(5), delay=0.6)
    assert kills >= 2
    wait_ended(job)
    assert (job.state, job.error_message, job.done) == ("SUCCEEDED", "", SIZE * ANSWERS)
    assert times_lost(job) == kills

    per_prompt = Counter(Rollout.objects.values_list("item", flat=True))
    assert (len(per_prompt), set(per_prompt.values())) == (SIZE, {ANSWERS})
    indexes = Counter(Rollout.objects.values_list("run", "sampling_key", "item", "sample_index"))
    assert len(indexes) == SIZE * ANSWERS
    assert len(proxy.asked) == SIZE  # every question the same each time it is asked
    assert SIZE < sum(proxy.asked.values()) <= SIZE + kills * IN_FLIGHT
    assert max(proxy.asked.values()) <= 1 + kills
    assert flow.state_of(graded_run, flow.DRY_RUN).done

    found = answers_of(graded_run)
    Rollout.objects.all().delete()
    proxy.hold = 0.0
    wait_ended(start_dry_run(graded_run))
    assert answers_of(graded_run) == found


def test_a_dry_run_that_has_all_its_answers_asks_for_none(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy]
) -> None:
    """The worker died after the last answer, before it said what the numbers say."""
    proxy = proxy_to(engine)
    start_dry_run(graded_run)
    drain(jump=True)
    graded_run.steps.filter(step=flow.DRY_RUN).update(summary={}, finished_at=None)
    start_dry_run(graded_run)
    drain(jump=True)
    assert (len(proxy.asked), sum(proxy.asked.values())) == (SIZE, SIZE)
    assert graded_run.steps.get(step=flow.DRY_RUN).summary["summary"]["rewards"]["count"] == SIZE * ANSWERS


def test_a_stopped_dry_run_keeps_every_answer_it_asked_for(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy], worker_cluster: Start
) -> None:
    proxy = proxy_to(engine, hold=0.7)
    worker_cluster(*FAST, ENGINE_URL=proxy.url, ENGINE_KEY="")
    job = start_dry_run(graded_run)
    wait_for(lambda: Rollout.objects.exists() and proxy.in_flight == IN_FLIGHT, PATIENCE, every=0.01)
    request_cancel(job)
    wait_ended(job)
    assert job.state == "CANCELLED"
    assert IN_FLIGHT < len(proxy.asked) < SIZE
    assert Rollout.objects.count() == len(proxy.asked) * ANSWERS == job.done

    proxy.hold = 0.0
    wait_ended(start_dry_run(graded_run))
    assert Rollout.objects.count() == SIZE * ANSWERS
    assert sum(proxy.asked.values()) == SIZE


def test_a_refused_call_ends_the_dry_run_and_costs_no_answer_in_flight(
    graded_run: RFTJob, engine: Engine, proxy_to: Callable[..., CountingProxy]
) -> None:
    proxy = proxy_to(engine, hold=0.3, refused=[4])
    job = start_dry_run(graded_run)
    drain(jump=True)
    job.refresh_from_db()
    assert job.state == "FAILED"
    assert job.error_message == "Local engine does not accept the key: The key has expired."
    assert 0 < len(proxy.asked) < SIZE
    assert Rollout.objects.count() == len(proxy.asked) * ANSWERS

    proxy.hold = 0.0
    start_dry_run(graded_run)
    drain(jump=True)
    assert Rollout.objects.count() == SIZE * ANSWERS
    assert sum(proxy.asked.values()) == SIZE

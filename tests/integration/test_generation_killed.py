"""A worker killed while it generates: no record doubled, no call made again, the plan is met all the same."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from datasets_app import generation
from datasets_app.core.generating import Plan, TopicPlan
from datasets_app.models import GenerationCall
from rft_project.connections.services import connect_helper
from tests.emulators import writer
from tests.factories import small_dataset

from .harm import FAST, Start, kill_while_it_works, times_lost, wait_ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
WANTED = 120


def test_a_killed_generation_meets_its_plan_and_pays_for_no_call_twice(
    workspace: Any, owner: Any, settings: Any, worker_cluster: Start
) -> None:
    dataset = small_dataset(workspace)
    with writer.running("well", seconds=0.4) as model:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [model.place]
        connect_helper(workspace, model.url, writer.MODEL, by=owner)
        worker_cluster(*FAST, ALLOWED_PRIVATE_ENDPOINTS=model.place)
        topics = [TopicPlan(topic=leaf, number=WANTED // 2) for leaf in dataset.topics.leaves()[:2]]
        run = generation.begin(dataset, Plan(topics=topics, max_synthetic_ratio=0.9), by=None)
        job = run.job
        assert job is not None
        kills = kill_while_it_works(job, [0, 40, 80], random.Random(4), delay=0.3)
        assert kills >= 1
        wait_ended(job)
        run.refresh_from_db()
        asked = len(model.asked)
    assert (job.state, job.error_message, run.ended) == ("SUCCEEDED", "", "complete")
    assert times_lost(job) == kills
    assert run.records().count() == WANTED
    assert Counter(run.records().values_list("topic", flat=True)) == {t.topic: t.number for t in topics}
    texts = list(run.records().values_list("preview", flat=True))
    assert len(set(texts)) == len(texts)
    # every request the server got is one call of the ledger, and each was made once
    states = Counter(run.calls.values_list("state", flat=True))
    assert states[GenerationCall.State.STORED] + states[GenerationCall.State.LOST] >= asked
    assert states[GenerationCall.State.LOST] <= kills * 8
    assert sum(run.calls.values_list("valid", flat=True)) == WANTED

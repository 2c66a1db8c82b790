"""Splitting as a job, where there is more to read than anybody waits for."""

from __future__ import annotations

import random

import pytest

from datasets_app import actions
from rft_project.jobs.models import State
from rft_project.jobs.services import request_cancel
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain
from wizard_app import flow, services, splitting
from wizard_app.models import StepResult
from wizard_app.schemas import SplitParams

pytestmark = pytest.mark.django_db
WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture
def large_run(workspace, tmp_path):
    """A run over 2,101 records; the last hundred say nearly what the first hundred say."""
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=40)) for _ in range(2001)]
    texts += [f"{text.rsplit(maxsplit=6)[0]} and so it goes" for text in texts[:100]]
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "many.jsonl", *(record(text) for text in texts)))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    return services.create_run(dataset, "Many", by=None)


def test_many_records_are_split_by_a_job_and_twins_stay_together(large_run, client, owner):
    params = SplitParams(ratio=0.8, seed=4)
    job = splitting.start_split(large_run, params, by=owner)
    assert job is not None
    assert splitting.start_split(large_run, SplitParams(), by=owner) == job
    assert flow.state_of(large_run, flow.SPLIT).state == "live"
    client.force_login(owner)
    waiting = client.get(f"/runs/{large_run.pk}/split/").content.decode()
    assert "Wait for the split." in waiting
    assert "Split again" not in waiting
    drain()
    large_run.refresh_from_db()
    result = StepResult.objects.get(run=large_run, step=flow.SPLIT)
    assert (result.job.state, result.params["seed"]) == (State.SUCCEEDED, 4)
    items = large_run.frozen.items
    assert items.count() == 2101
    sides = {item.last_words[:150]: set() for item in items.all()}
    for item in items.all():
        sides[item.last_words[:150]].add(item.part)
    assert len(sides) == 2001
    assert all(len(parts) == 1 for parts in sides.values())
    assert splitting.split_run(large_run, params).content_hash == large_run.frozen.content_hash
    assert "Choose how answers are scored." in client.get(f"/runs/{large_run.pk}/split/").content.decode()


def test_a_stopped_split_leaves_nothing_and_one_that_cannot_be_made_says_why(large_run, owner):
    job = splitting.start_split(large_run, SplitParams(), by=owner)
    request_cancel(job)
    drain()
    large_run.refresh_from_db()
    assert large_run.snapshot is None
    splitting.start_split(large_run, SplitParams(), by=owner)
    large_run.dataset.records.update(verdict="")
    drain()
    state = flow.state_of(large_run, flow.SPLIT)
    assert (state.job.state, state.done) == (State.FAILED, False)
    assert state.job.error_message == "The dataset has no valid records; sanitize it first."


def test_records_that_change_while_they_are_split_are_noticed(graded_run):
    before, records = graded_run.snapshot, graded_run.dataset.records

    def at(what, done, total):
        if what == "Freezing":
            records.filter(pk=records.first().pk).update(verdict="invalid")

    with pytest.raises(services.Refused, match="changed while they were split"):
        splitting.split_run(graded_run, SplitParams(seed=9), at=at)
    graded_run.refresh_from_db()
    assert graded_run.snapshot == before

"""A run goes on after failures, says what changed beneath it, and its pages cost a bounded number of queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app import editing
from rft_project.connections.models import AuditEntry, Connection
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from tests.engine.process import SLOW
from tests.factories import import_file, record, write_lines
from tests.worker import drain
from wizard_app import deploying, flow, services, splitting
from wizard_app.attempts import as_trained
from wizard_app.models import RFTJob
from wizard_app.schemas import SplitParams, TrainParams
from wizard_app.services import Refused

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def page(client: Client, run: RFTJob, step: str) -> str:
    answer = client.get(f"/runs/{run.pk}/{step}/")
    assert answer.status_code == 200
    return answer.content.decode()


def remote(engine: Any) -> int:
    return len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"])


def test_the_rows_of_a_split_can_be_had_as_files(graded_run: RFTJob, client: Client) -> None:
    address = f"/datasets/{graded_run.dataset_id}/export/?source={graded_run.snapshot_id}:train"
    assert f'href="{address}"' in page(client, graded_run, "split")
    assert f'<option value="{graded_run.snapshot_id}:train" selected>' in client.get(address).content.decode()


def test_records_that_change_after_the_split_are_told_and_change_nothing(
    graded_run: RFTJob, client: Client, tmp_path: Path
) -> None:
    assert "valid records at this split" not in page(client, graded_run, "split")
    row = graded_run.dataset.records.order_by("pk").first()
    editing.set_topic(row, next(t for t in graded_run.dataset.topics.leaves() if t != row.topic), by=None)
    assert "Records have other topics now than at this split." in page(client, graded_run, "split")
    import_file(graded_run.dataset, write_lines(tmp_path / "t", record("Is the shop open on a Sunday?")))
    assert "had 60 valid records at this split and has 61 now." in page(client, graded_run, "split")
    assert [s.stale for s in flow.states(graded_run)] == [False] * 5
    with pytest.raises(Refused, match="1 record not checked yet: sanitize the dataset"):
        splitting.split_run(graded_run, SplitParams())


def test_a_second_dry_run_does_not_change_the_one_at_work(graded_run: RFTJob, engine: Any) -> None:
    first = services.start_dry_run(graded_run, dry_run_params(graded_run), by=None)
    again = services.start_dry_run(graded_run, dry_run_params(graded_run, size=5, answers=2), by=None)
    assert again == first
    assert graded_run.steps.get(step=flow.DRY_RUN).params["size"] == 20


def test_pages_of_a_dry_run_at_work_need_no_engine(
    sampled_run: RFTJob, settings: Any, client: Client, free_port: int
) -> None:
    """As after a worker took the job up again: answers are there, the end is not."""
    Job.objects.filter(kind="dry_run").update(state="RUNNING", done=3)
    sampled_run.steps.filter(step=flow.DRY_RUN).update(finished_at=None)
    settings.ENGINE_URL = f"http://127.0.0.1:{free_port}/v1"
    assert "Mean score so far" in page(client, sampled_run, "dry-run")
    region = client.get(f"/runs/{sampled_run.pk}/regions/dry_run_work/", headers={"HX-Request": "true"})
    assert region.status_code == 200


@pytest.mark.parametrize("step", ["split", "grader", "dry-run", "train", "results"])
def test_no_page_fails_when_engine_and_platform_are_away(
    sampled_run: RFTJob, settings: Any, client: Client, free_port: int, step: str
) -> None:
    services.start_training(sampled_run, TrainParams(), by=None)
    drain(jump=True)
    settings.ENGINE_URL = f"http://127.0.0.1:{free_port}/v1"
    page(client, sampled_run, step)
    answer = client.post(f"/runs/{sampled_run.pk}/playground/", {"prompt": "Where is it?"})
    assert answer.status_code == 422
    for do in ("deploy", "train", "dry-run", "again/train"):
        assert client.post(f"/runs/{sampled_run.pk}/do/{do}/", {"model": "x"}).status_code == 302


def test_a_failed_dry_run_goes_on_at_its_button(
    graded_run: RFTJob, engine: Any, settings: Any, client: Client, free_port: int
) -> None:
    job = services.start_dry_run(graded_run, dry_run_params(graded_run), by=None)
    url, settings.ENGINE_URL = settings.ENGINE_URL, f"http://127.0.0.1:{free_port}/v1"
    Job.objects.filter(pk=job.pk).update(max_attempts=1)
    drain(jump=True)
    job.refresh_from_db()
    assert job.state == "FAILED"
    again = f"/runs/{graded_run.pk}/do/again/dry_run/"
    assert again in page(client, graded_run, "dry-run")
    settings.ENGINE_URL = url
    client.post(again)
    drain(jump=True)
    assert flow.state_of(graded_run, flow.DRY_RUN).done


def test_after_a_stop_the_next_training_is_a_new_one_and_the_first_is_stopped(sampled_run: RFTJob, engine: Any) -> None:
    before = remote(engine)
    job = services.start_training(sampled_run, TrainParams(hyperparameters=SLOW), by=None)
    drain(limit=1)
    request_cancel(job)
    drain(jump=True)
    sampled_run.refresh_from_db()
    old = sampled_run.training_key, sampled_run.training_handle
    services.start_training(sampled_run, TrainParams(), by=None)
    sampled_run.refresh_from_db()
    assert sampled_run.training_key != old[0]
    drain(jump=True)
    assert remote(engine) == before + 2
    assert engine.job(old[1])["status"] == "cancelled"


def test_of_two_who_start_again_at_one_moment_one_wins(sampled_run: RFTJob, engine: Any) -> None:
    """The second saw the run before the first one's start was written down."""
    slow = RFTJob.objects.get(pk=sampled_run.pk)
    first = services.start_training(sampled_run, TrainParams(), by=None)
    drain(limit=1)
    sampled_run.refresh_from_db()
    params = TrainParams(connection=str(slow.connection_id), model=slow.base_model)
    assert services._new_training(slow, params, spent=True, by=None) == first
    after = RFTJob.objects.get(pk=sampled_run.pk)
    assert (after.training_key, after.training_handle) == (sampled_run.training_key, sampled_run.training_handle)
    drain(jump=True)


def test_what_was_chosen_while_training_ran_makes_it_stale(sampled_run: RFTJob, engine: Any) -> None:
    services.start_training(sampled_run, TrainParams(), by=None)
    drain(limit=1)
    splitting.split_run(sampled_run, SplitParams(ratio=0.6))
    drain(jump=True)
    state = flow.state_of(RFTJob.objects.get(pk=sampled_run.pk), flow.TRAIN)
    assert (state.done, state.stale) == (True, True)


def test_a_tuned_model_stays_with_the_connection_it_was_made_on(sampled_run: RFTJob, engine: Any) -> None:
    services.start_training(sampled_run, TrainParams(), by=None)
    drain(jump=True)
    made_on, base = sampled_run.connection, sampled_run.base_model
    other = Connection(workspace=sampled_run.workspace, kind="local", name="Another engine")
    other.set_credentials({})
    other.save(force_insert=True)
    RFTJob.objects.filter(pk=sampled_run.pk).update(connection=other, base_model="another")
    run = RFTJob.objects.get(pk=sampled_run.pk)
    assert flow.state_of(run, flow.TRAIN).stale
    trained = as_trained(run)
    assert (trained.connection, trained.base_model) == (made_on, base)
    assert deploying.deploy(RFTJob.objects.get(pk=run.pk), by=None).connection == made_on


def test_an_override_without_words_or_with_a_nul_is_refused(sampled_run: RFTJob, client: Client) -> None:
    for reason in ("", "x" * 400, "It is a trial \x00 on a throw-away dataset."):
        client.post(f"/runs/{sampled_run.pk}/do/override/", {"reason": reason})
    assert not AuditEntry.objects.filter(action="override dry run").exists()


@pytest.fixture
def cost(client: Client) -> Callable[[str], int]:
    def of(path: str) -> int:
        assert client.get(path).status_code == 200  # what is asked only once per process
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    return of


def test_the_list_of_runs_costs_the_same_for_three(graded_run: RFTJob, cost: Callable[[str], int]) -> None:
    one = cost("/runs/")
    for name in ("Second", "Third"):
        splitting.split_run(services.create_run(graded_run.dataset, name, by=None), SplitParams())
    assert cost("/runs/") == one


def test_the_strip_and_the_steps_are_asked_for_once_a_page(sampled_run: RFTJob, cost: Callable[[str], int]) -> None:
    services.start_training(sampled_run, TrainParams(), by=None)
    drain(jump=True)
    costs = {
        step: cost(f"/runs/{sampled_run.pk}/{step}/") for step in ("split", "grader", "dry-run", "train", "results")
    }
    assert max(costs.values()) <= 18, costs  # the dry run asks for its ratings

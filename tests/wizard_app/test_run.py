"""One walk through the wizard on the real engine, and what must hold when parts of it are repeated or fail."""

from __future__ import annotations

import pytest

from datasets_app.models import RawRecord
from graders_app.services import save_grader
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from rft_project.platforms.errors import PlatformError
from tests.engine.process import SLOW
from tests.factories import small_dataset
from tests.worker import drain
from wizard_app import deploying, flow, playground, reports, services, splitting
from wizard_app.core.diagnosis import Diagnosis
from wizard_app.items import rows_of
from wizard_app.jobs.dry_run import sampled
from wizard_app.models import MetricPoint, Rollout
from wizard_app.schemas import SplitParams, TrainParams
from wizard_app.services import Refused

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)


def state(run, slug):
    return flow.state_of(run, slug)


def train(run, **hyperparameters):
    services.start_training(run, TrainParams(hyperparameters=hyperparameters), by=None)
    drain(jump=True)
    run.refresh_from_db()


def test_the_same_records_split_the_same_way_and_are_frozen_once(graded_run):
    first = graded_run.snapshot
    splitting.split_run(graded_run, SplitParams(ratio=0.7))
    assert graded_run.snapshot == first
    parts = list(first.items.values_list("part", flat=True))
    assert (parts.count("train"), parts.count("valid")) == (42, 18)


def test_the_same_file_splits_and_samples_the_same_way_in_another_dataset(graded_run, workspace):
    """Primary keys differ there; nothing that is drawn may depend on them."""
    other = services.create_run(small_dataset(workspace, "Again"), "Second run", by=None)
    splitting.split_run(other, SplitParams(ratio=0.7))
    assert other.snapshot.content_hash == graded_run.snapshot.content_hash
    params = dry_run_params(graded_run)
    first, second = sampled(graded_run, params), sampled(other, params)
    assert [item.fingerprint for item in first] == [item.fingerprint for item in second]
    assert len(set(first)) == 20


def test_the_turns_of_a_session_stay_on_one_side(graded_run):
    """One record of training and one of validation turn out to be of one conversation."""
    items = graded_run.snapshot.items
    pair = [
        items.filter(part=part).order_by("pk").values_list("record_id", flat=True)[0] for part in ("train", "valid")
    ]
    graded_run.dataset.records.filter(pk__in=pair).update(session_id="call 17")
    splitting.split_run(graded_run, SplitParams(ratio=0.7))
    assert graded_run.snapshot.items.filter(record_id__in=pair).values("part").distinct().count() == 1


def test_an_edited_record_changes_neither_the_snapshot_nor_what_is_sent(graded_run):
    before = rows_of(graded_run.snapshot, "train")
    row = graded_run.dataset.records.first()
    RawRecord.objects.filter(pk=row.pk).update(body='{"input": {"messages": []}}')
    assert rows_of(graded_run.snapshot, "train") == before


def test_training_rows_hold_the_prompt_and_the_reference_but_never_the_logged_answer(graded_run):
    row = rows_of(graded_run.snapshot, "valid")[0]
    assert set(row) == {"messages", "reference_answer", "user_message"}
    assert row["messages"][-1]["role"] == "user"
    assert row["user_message"] == row["messages"][-1]["content"]


def test_another_grader_makes_the_dry_run_stale_and_deletes_nothing(sampled_run, workspace):
    assert state(sampled_run, flow.DRY_RUN).stale is False
    answers = Rollout.objects.count()
    exact = {
        "type": "string_check",
        "name": "exact",
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.reference_answer}}",
    }
    services.choose_grader(sampled_run, save_grader(workspace, "Exact", exact, by=None))
    assert state(sampled_run, flow.DRY_RUN).stale is True
    services.start_dry_run(sampled_run, dry_run_params(sampled_run), by=None)
    drain(jump=True)
    assert Rollout.objects.count() == answers  # scored anew, not asked for again
    assert set(Rollout.objects.values_list("reward", flat=True)) <= {0.0, 1.0}
    assert state(sampled_run, flow.DRY_RUN).stale is False


def test_the_dry_run_says_what_its_numbers_say(sampled_run):
    stored = sampled_run.steps.get(step=flow.DRY_RUN)
    diagnosis = Diagnosis.model_validate(stored.summary["diagnosis"])
    rewards = stored.summary["summary"]["rewards"]
    assert rewards["count"] == 60
    by_hand = list(Rollout.objects.values_list("reward", flat=True))
    assert rewards["mean"] == pytest.approx(sum(by_hand) / 60)
    assert diagnosis.verdict in ("GO", "WARN", "NO-GO")
    assert diagnosis.reasons


def test_more_answers_are_added_to_those_that_are_there(sampled_run):
    first = dict(Rollout.objects.values_list("pk", "answer"))
    services.start_dry_run(sampled_run, dry_run_params(sampled_run, answers=5), by=None)
    drain(jump=True)
    now = dict(Rollout.objects.values_list("pk", "answer"))
    assert len(now) == 100
    assert {pk: now[pk] for pk in first} == first


def test_a_stopped_engine_costs_no_answer_and_says_so(graded_run, settings):
    settings.ENGINE_URL = "http://127.0.0.1:1/v1"
    with pytest.raises(PlatformError) as refused:
        services.start_dry_run(graded_run, dry_run_params(graded_run), by=None)
    assert str(refused.value).endswith(".")
    assert Job.objects.filter(kind="dry_run").count() == 0


def test_the_whole_walk_ends_with_a_better_deployed_model(sampled_run):
    train(sampled_run)
    results = sampled_run.steps.get(step=flow.RESULTS).summary["outcome"]
    assert results["overall"]["after"] >= results["overall"]["before"] + 0.25
    assert results["overall"]["prompts"] == 18
    valid = list(MetricPoint.objects.filter(series="valid_reward").order_by("step"))
    assert valid[0].step == 0
    assert valid[-1].value > valid[0].value
    deployment = deploying.deploy(sampled_run, by=None)
    assert deploying.deploy(sampled_run, by=None) == deployment
    drain(jump=True)
    deployment.refresh_from_db()
    answers = playground.ask(sampled_run, "The parcel has not come and the tracking page says nothing.")
    assert answers.tuned in {"billing", "shipping", "returns", "account", "technical", "sales"}
    report = reports.run_report(sampled_run)
    assert report["steps"]["results"]["summary"]["outcome"] == results
    assert report["tuned_model"] == deployment.model


def test_pressing_train_twice_makes_one_job_here_and_one_on_the_platform(sampled_run, engine):
    before = len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"])
    first = services.start_training(sampled_run, TrainParams(), by=None)
    assert services.start_training(sampled_run, TrainParams(), by=None) == first
    drain(jump=True)
    assert len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"]) == before + 1


def test_a_worker_that_dies_after_the_platform_said_yes_does_not_start_a_second_job(sampled_run, engine):
    """The handle is lost with the worker; the key finds the job again."""
    before = len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"])
    services.start_training(sampled_run, TrainParams(), by=None)
    drain(limit=1)
    sampled_run.refresh_from_db()
    handle = sampled_run.training_handle
    assert handle
    type(sampled_run).objects.filter(pk=sampled_run.pk).update(training_handle="")
    drain(jump=True)
    sampled_run.refresh_from_db()
    assert sampled_run.training_handle == handle
    assert len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"]) == before + 1


def test_a_cancelled_training_is_cancelled_on_the_platform(sampled_run, engine):
    job = services.start_training(sampled_run, TrainParams(hyperparameters=SLOW), by=None)
    drain(limit=1)
    request_cancel(job)
    drain(jump=True)
    job.refresh_from_db()
    sampled_run.refresh_from_db()
    assert job.state == "CANCELLED"
    status = engine.job(sampled_run.training_handle)["status"]
    assert status in ("cancelled", "running")  # running only until its worker has heard
    assert state(sampled_run, flow.TRAIN).done is False


def test_a_no_go_closes_training_until_somebody_says_why(sampled_run, owner):
    stored = sampled_run.steps.get(step=flow.DRY_RUN)
    stored.summary["diagnosis"]["verdict"] = "NO-GO"
    stored.save(update_fields=["summary"])
    with pytest.raises(Refused, match="NO-GO"):
        services.start_training(sampled_run, TrainParams(), by=owner)
    with pytest.raises(Refused, match="Say in a sentence"):
        services.override_no_go(sampled_run, "why not", by=owner)
    services.override_no_go(sampled_run, "It is a trial on a throw-away dataset.", by=owner)
    assert state(sampled_run, flow.TRAIN).closed == ""


def test_a_field_the_grader_reads_and_records_lack_is_counted(graded_run, workspace):
    config = {
        "type": "string_check",
        "name": "tier",
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.tier}}",
    }
    summary = services.choose_grader(graded_run, save_grader(workspace, "Tier", config, by=None))
    assert summary.missing == {"tier": 60}

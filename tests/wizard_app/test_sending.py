"""Records with unreviewed findings leave this machine only on a person's word: pages, jobs and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from datasets_app import actions, bulk, consent, privacy
from datasets_app.consent import Unasked
from datasets_app.models import Consent
from graders_app.core.presets import load_preset
from graders_app.services import save_grader
from rft_project.connections.models import AuditEntry, Connection, Workspace
from rft_project.connections.services import local_connection
from rft_project.jobs.models import Job, State
from tests.factories import import_file, record, small_dataset, write_lines
from tests.worker import drain
from wizard_app import flow, playground, services, splitting
from wizard_app.items import preset_context
from wizard_app.models import RFTJob, Rollout
from wizard_app.schemas import SplitParams, TrainParams

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)
MAIL = record("My mail is joe@shop.example and the parcel has not come.", "shipping")
ANSWERS = 7 * 2  # a prompt of each topic, two answers
SENTENCE = "1 e-mail address in 1 record would be sent to Azure."


@pytest.fixture
def run(workspace: Workspace, tmp_path: Path, engine: Any) -> RFTJob:
    """Split and graded; one of its records holds an e-mail address."""
    dataset = small_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "mail.jsonl", MAIL))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    made = services.create_run(dataset, "First run", by=None)
    splitting.split_run(made, SplitParams(ratio=0.7))
    config = load_preset("label_partial_credit").build(preset_context(made.snapshot))
    services.choose_grader(made, save_grader(workspace, "Labels", config, by=None))
    return made


def connection_to(engine: Any, workspace: Workspace, settings: Any) -> Connection:
    """The engine by an address somebody entered: to us it is another machine."""
    settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(engine.url).netloc]
    made = Connection(workspace=workspace, kind="local", name="Azure")
    made.set_credentials({"base_url": engine.url})
    made.save()
    return made


@pytest.fixture
def azure(engine: Any, workspace: Workspace, settings: Any) -> Connection:
    return connection_to(engine, workspace, settings)


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def params(run: RFTJob, azure: Connection) -> Any:
    return dry_run_params(run, connection=str(azure.pk), size=4, answers=2)


def allow(run: RFTJob, connection: Connection) -> None:
    question = consent.about_snapshot(run.frozen, connection)
    assert question is not None
    consent.agree(question, by=None)


def disallow() -> None:
    Consent.objects.all().delete()


def press(client: Client, run: RFTJob, azure: Connection, **more: str) -> Any:
    fields = {"model": f"{azure.pk}|classifier", "size": "4", "answers": "2", **more}
    return client.post(f"/runs/{run.pk}/do/dry-run/", fields)


def test_a_dry_run_asks_first_and_goes_on_with_what_was_chosen(
    run: RFTJob, azure: Connection, client: Client, owner: Any
) -> None:
    answer = press(client, run, azure)
    assert answer["Location"].startswith(f"/runs/{run.pk}/sending/dry_run/?model={azure.pk}")
    assert Job.objects.filter(kind="dry_run").count() == 0
    html = client.get(answer["Location"]).content.decode()
    assert SENTENCE in html
    assert f'href="/datasets/{run.dataset_id}/privacy/">Review and redact</a>' in html
    question = consent.about_snapshot(run.frozen, azure)
    assert question is not None
    shown = {"size": "4", "answers": "2", "agreed": question.mark}
    assert [f'<input type="hidden" name="{n}" value="{v}">' in html for n, v in shown.items()] == [True] * 3

    sent = press(client, run, azure, agreed=question.mark)
    assert sent["Location"] == f"/runs/{run.pk}/dry-run/"
    drain(jump=True)
    assert (Job.objects.get(kind="dry_run").state, Rollout.objects.count()) == (State.SUCCEEDED, ANSWERS)
    entry = AuditEntry.objects.get(action="send findings")
    assert (entry.actor, entry.detail) == (owner, "1 e-mail address in 1 record to Azure")
    assert client.get(answer["Location"])["Location"] == f"/runs/{run.pk}/"  # nothing is left to ask


def test_our_own_engine_gets_everything_without_a_question(run: RFTJob) -> None:
    job = services.start_dry_run(run, dry_run_params(run, size=4, answers=2), by=None)
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, Consent.objects.count()) == (State.SUCCEEDED, 0)


def test_after_redacting_the_question_leads_to_a_new_split_and_then_there_is_none(
    run: RFTJob, azure: Connection, client: Client
) -> None:
    address = press(client, run, azure)["Location"]
    bulk.redact(run.dataset, "email", [], by=None)
    assert "All of it was redacted after the split" in client.get(address).content.decode()
    splitting.split_run(run, SplitParams(ratio=0.7))
    assert press(client, run, azure)["Location"] == f"/runs/{run.pk}/dry-run/"


def test_a_false_alarm_is_no_question(run: RFTJob, azure: Connection) -> None:
    with transaction.atomic():
        privacy.decide(run.dataset, "email", [], True, by=None)
    assert services.start_dry_run(run, params(run, azure), by=None).kind == "dry_run"


def test_a_job_that_nobody_agreed_to_sends_nothing_and_can_be_asked_about(
    run: RFTJob, azure: Connection, client: Client
) -> None:
    """The answer is gone by the time the job runs: it refuses by itself, and trying again asks."""
    allow(run, azure)
    job = services.start_dry_run(run, params(run, azure), by=None)
    disallow()
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, job.error_code, Rollout.objects.count()) == (State.FAILED, "unasked", 0)
    assert job.error_message == f"{SENTENCE} Nothing was sent; try again to decide about it."
    answer = client.post(f"/runs/{run.pk}/do/again/dry_run/")
    assert answer["Location"] == f"/runs/{run.pk}/sending/dry_run/?again=on"
    question = consent.about_snapshot(run.frozen, azure)
    assert f'action="/runs/{run.pk}/do/again/dry_run/"' in client.get(answer["Location"]).content.decode()
    client.post(f"/runs/{run.pk}/do/again/dry_run/", {"agreed": question.mark})
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, Rollout.objects.count()) == (State.SUCCEEDED, ANSWERS)


def test_training_and_comparing_ask_and_their_jobs_refuse(
    run: RFTJob, azure: Connection, client: Client, engine: Any
) -> None:
    def remote() -> int:
        return len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"])

    allow(run, azure)
    services.start_dry_run(run, params(run, azure), by=None)
    drain(jump=True)
    run.refresh_from_db()
    services.override_no_go(run, "A test of what is asked.", by=None)
    disallow()
    answer = client.post(f"/runs/{run.pk}/do/train/")
    assert answer["Location"] == f"/runs/{run.pk}/sending/train/?"
    assert SENTENCE in client.get(answer["Location"]).content.decode()
    before = remote()
    allow(run, azure)
    job = services.start_training(run, TrainParams(), by=None)
    disallow()
    drain(jump=True)
    job.refresh_from_db()
    assert (job.state, job.error_code, remote()) == (State.FAILED, "unasked", before)

    RFTJob.objects.filter(pk=run.pk).update(tuned_model="tuned")
    run.refresh_from_db()
    assert client.post(f"/runs/{run.pk}/do/compare/")["Location"] == f"/runs/{run.pk}/sending/results/?"
    compared = services.queue_evaluation(run, by=None)
    drain(jump=True)
    compared.refresh_from_db()
    assert (compared.state, compared.error_code) == (State.FAILED, "unasked")
    with pytest.raises(Unasked):
        playground.ask(run, "Where is my parcel?")


def test_the_page_of_the_question_for_owner_colleague_and_stranger(
    request: Any, run: RFTJob, azure: Connection, client_of: Any
) -> None:
    address = f"/runs/{run.pk}/sending/dry_run/?model={azure.pk}|classifier"
    found = {
        who: client_of(request.getfixturevalue(who)).get(address).status_code
        for who in ("owner", "colleague", "stranger")
    }
    assert found == {"owner": 200, "colleague": 200, "stranger": 404}


@pytest.mark.parametrize("query", ["?model=nonsense", "?model=12|classifier", ""])
def test_a_question_about_nothing_leads_back(run: RFTJob, azure: Connection, client: Client, query: str) -> None:
    assert client.get(f"/runs/{run.pk}/sending/dry_run/{query}")["Location"] == f"/runs/{run.pk}/"
    assert client.get(f"/runs/{run.pk}/sending/split/{query}")["Location"] == f"/runs/{run.pk}/"


def test_someone_elses_connection_is_no_question(run: RFTJob, stranger: Any, azure: Connection, client: Client) -> None:
    from rft_project.connections.models import Membership

    theirs = Connection(workspace=Membership.objects.get(user=stranger).workspace, kind="local", name="Theirs")
    theirs.set_credentials({"base_url": "http://127.0.0.1:9/v1"})
    theirs.save()
    address = f"/runs/{run.pk}/sending/dry_run/?model={theirs.pk}|classifier"
    assert client.get(address)["Location"] == f"/runs/{run.pk}/"


# --- run_pipeline ----------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    from datasets_app.sample import SMALL_PATH

    path = tmp_path / "traces.jsonl"
    path.write_text(SMALL_PATH.read_text() + json.dumps(MAIL) + "\n")
    return path


def pipeline(file: Path, *more: str) -> dict[str, Any]:
    report = file.with_name("report.json")
    arguments = [str(file), "--name", "trial", "--grader", "preset:label_partial_credit", "--model", "classifier"]
    try:
        call_command("run_pipeline", *arguments, "--dry-run-size", "20", "--report", str(report), *more)
    finally:
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_the_pipeline_refuses_and_sends_nothing(file: Path, azure: Connection) -> None:
    local_connection(azure.workspace)
    with pytest.raises(CommandError) as refused:
        pipeline(file, "--platform", "Azure")
    assert refused.value.returncode == 1
    assert str(refused.value) == f"{SENTENCE} Review them on the dataset's page, or pass --send-findings."
    assert (Rollout.objects.count(), Job.objects.filter(kind="dry_run").count()) == (0, 0)


def test_the_pipeline_sends_them_when_told_to(file: Path, azure: Connection) -> None:
    report = pipeline(file, "--platform", "Azure", "--send-findings")
    assert report["tuned"] > report["baseline"]
    entry = AuditEntry.objects.get(action="send findings")
    assert (entry.actor, entry.detail) == (None, "1 e-mail address in 1 record to Azure")
    assert flow.state_of(RFTJob.objects.get(), flow.RESULTS).done


def test_a_judge_on_another_connection_is_asked_about_too(run, engine, workspace, settings, owner):
    """The engine of this server answers, but the answers would be shown to a judge elsewhere."""
    judge = connection_to(engine, workspace, settings)
    judge.judge_model = "wise"
    judge.save(update_fields=["judge_model"])
    config = load_preset("correctness").build(preset_context(run.snapshot))
    services.choose_grader(run, save_grader(workspace, "Correct", config, by=None))

    with pytest.raises(Unasked) as asked:
        services.start_dry_run(run, dry_run_params(run), by=owner)

    assert (str(asked.value), asked.value.question.connection) == (SENTENCE, judge)
    job = services.start_dry_run(run, dry_run_params(run), by=owner, agreed=asked.value.question.mark)
    assert Consent.objects.get().connection == judge
    assert job.state == State.QUEUED

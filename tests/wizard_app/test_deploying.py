"""A tuned model on an emulated AWS account is deployed once, whatever happens, given another model, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection as database
from django.urls import reverse

from rft_project.connections import services as connections
from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import Job, State
from tests.emulators import bedrock
from tests.emulators.faults import Fault
from tests.emulators.policy import Policy, replies_for
from tests.worker import drain
from wizard_app import deploying, flow, services
from wizard_app.core.outcome import Pair, judge
from wizard_app.models import Deployment, RFTJob
from wizard_app.schemas import ResultsSummary, Stored, TrainResult

pytestmark = pytest.mark.django_db(transaction=True)

DEPLOYMENTS = "/model-customization/custom-model-deployments"


@pytest.fixture
def account(settings: Any) -> Iterator[bedrock.BedrockEmulator]:
    with bedrock.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.origin).netloc]
        yield running
        assert running.wrong_answers == []


def model_at(account: bedrock.BedrockEmulator, name: str) -> str:
    """A tuned model that the account holds."""
    model = f"arn:aws:bedrock:us-east-1:123456789012:custom-model/{bedrock.TRAINABLE}/{name}"
    about = {"modelArn": model, "modelName": name, "jobArn": "arn:aws:bedrock:us-east-1:123456789012:job"}
    row = {"messages": [{"role": "user", "content": "Hello"}], "reference_answer": "billing"}
    account.models[model] = (about, Policy(replies_for([row])))
    return model


@pytest.fixture
def run(graded_run: RFTJob, account: bedrock.BedrockEmulator, owner: Any) -> RFTJob:
    """A run that has trained a model there, of which a checkpoint is kept; its comparison was made."""
    connection = connections.add(graded_run.workspace, "bedrock", "Ours", account.credentials, by=owner)
    final, earlier = model_at(account, "sim0final000"), model_at(account, "sim0earlier0")
    trained = {"connection": connection, "base_model": bedrock.TRAINABLE, "training_key": "k", "tuned_model": final}
    RFTJob.objects.filter(pk=graded_run.pk).update(**trained)
    run = RFTJob.objects.get(pk=graded_run.pk)
    run.checkpoints.create(remote_id="c3", model=earlier, step=3)
    services.finish_step(run, flow.TRAIN, Stored(), TrainResult(model=final, steps=9))
    run.steps.create(step=flow.RESULTS)
    return run


def job_of(made: Deployment) -> Job:
    return Job.objects.get(pk=made.job_id)


def test_two_presses_make_one_that_is_looked_at_until_it_answers(run, account, owner, colleague, client_of) -> None:
    account.deploy_seconds = 3600.0
    made = deploying.deploy(run, by=owner)
    assert deploying.deploy(run, by=colleague) == made
    drain()
    made.refresh_from_db()
    assert (made.state, made.answers, job_of(made).state) == ("running", False, State.WAITING)
    page = client_of(owner).get(made.get_absolute_url()).content.decode()
    assert "Ours is making it ready" in page
    assert "The platform says “Creating”." in page
    assert ">Stop<" in page
    (standing,) = account.deployments.values()
    standing["active_at"] = 0.0
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, made.called) == (True, standing["customModelDeploymentArn"])
    assert list(made.served.values_list("model", flat=True)) == [run.tuned_model]
    assert len(account.deployments) == 1
    assert [entry.actor for entry in AuditEntry.objects.filter(action="deploy")] == [owner]
    page = client_of(colleague).get(made.get_absolute_url()).content.decode()
    assert f"modelId=&quot;{made.called}&quot;" in page
    assert "by owner" in page
    listed = client_of(colleague).get(reverse("wizard:deployments")).content.decode()
    assert made.get_absolute_url() in listed


def test_another_model_is_put_behind_it_and_rolled_back(run, account, owner, client_of) -> None:
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    earlier = run.checkpoints.get().model
    client = client_of(owner)
    assert "The checkpoint of step 3" in client.get(made.get_absolute_url()).content.decode()
    address = reverse("wizard:do_promote", args=[run.pk, made.pk])
    (standing,) = account.deployments.values()
    for model in (earlier, run.tuned_model):
        client.post(address, {"model": model})
        drain(jump=True)
        made.refresh_from_db()
        assert (made.answers, made.model, standing["modelArn"]) == (True, model, model)
        assert "Roll back" in client.get(made.get_absolute_url()).content.decode()
    assert list(made.served.values_list("model", flat=True)) == [run.tuned_model, earlier, run.tuned_model]
    deploying.promote(made, earlier, by=owner)
    drain(jump=True)
    beside = deploying.deploy(run, by=owner)  # of the final model, which stands behind nothing by now
    drain(jump=True)
    beside.refresh_from_db()
    assert {row["modelArn"] for row in account.deployments.values()} == {earlier, run.tuned_model}
    assert beside.called != made.called
    client.post(address, {"model": "arn:of:somebody-else"})
    made.refresh_from_db()
    assert (made.answers, made.model) == (True, earlier)


def test_a_promotion_that_is_refused_leaves_the_model_of_before(run, account, owner) -> None:
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    account.denied = {"bedrock:UpdateCustomModelDeployment"}
    deploying.promote(Deployment.objects.get(), run.checkpoints.get().model, by=owner)
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, made.model, job_of(made).state) == (True, run.tuned_model, State.FAILED)
    assert "bedrock:UpdateCustomModelDeployment" in made.remedy


def test_one_that_is_refused_has_ended_says_what_would_help_and_is_made_later(run, account, owner, client_of) -> None:
    account.denied = {"bedrock:CreateCustomModelDeployment"}
    refused = deploying.deploy(run, by=owner)
    drain(jump=True)
    refused.refresh_from_db()
    assert (refused.state, refused.ended_at is None, account.deployments) == ("failed", False, {})
    page = client_of(owner).get(refused.get_absolute_url()).content.decode()
    assert "It was not made: nothing stands" in page
    assert "bedrock:CreateCustomModelDeployment" in page
    account.denied = set()
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, made.key, made == refused) == (True, refused.key, False)


@pytest.mark.parametrize("kind", ["drop-after", "cut", "500-after", "broken-json"])
def test_a_lost_answer_makes_no_second_one(run, account, owner, kind) -> None:
    account.faults.append(Fault("POST", DEPLOYMENTS, kind))
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, list(account.deployments)) == (True, [made.called])


def test_one_that_a_lagging_list_does_not_show_is_waited_for(run, account, owner) -> None:
    account.faults.append(Fault("GET", DEPLOYMENTS, 404, skip=2))  # not before the call, not after it: the first look
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, list(account.deployments)) == (True, [made.called])


def test_stopping_after_a_lost_answer_takes_back_what_was_made(run, account, owner) -> None:
    account.faults += [Fault("POST", DEPLOYMENTS, "drop-after"), Fault("GET", DEPLOYMENTS, 404, skip=1)]
    made = deploying.deploy(run, by=owner)
    drain()
    assert (job_of(made).state, len(account.deployments)) == (State.WAITING, 1)
    made.refresh_from_db()
    assert deploying.undeploy(made, by=owner) is False
    drain(jump=True)
    made.refresh_from_db()
    assert (made.state, made.ended_at is None, account.deployments) == ("cancelled", False, {})


def test_a_lost_answer_and_a_key_that_may_look_no_more_leave_it_open(run, account, owner, client_of) -> None:
    account.faults.append(Fault("POST", DEPLOYMENTS, "drop-after"))
    account.faults += [Fault("GET", DEPLOYMENTS, 404, skip=1)]
    made = deploying.deploy(run, by=owner)
    drain()
    account.denied = {"bedrock:GetCustomModelDeployment"}
    drain(jump=True)
    made.refresh_from_db()
    assert (made.ended_at, job_of(made).state, len(account.deployments)) == (None, State.FAILED, 1)
    page = client_of(owner).get(made.get_absolute_url()).content.decode()
    assert "how it stands is not known" in page
    assert "nothing stands" not in page


def test_one_that_failed_there_is_made_anew(run, account, owner) -> None:
    account.deploy_seconds = 3600.0
    first = deploying.deploy(run, by=owner)
    drain()
    (standing,) = account.deployments.values()
    standing["failureMessage"] = "There is no capacity."
    drain(jump=True)
    first.refresh_from_db()
    assert (first.state, first.detail, account.deployments) == ("failed", "There is no capacity.", {})
    account.deploy_seconds = 0.0
    again = deploying.deploy(run, by=owner)
    drain(jump=True)
    again.refresh_from_db()
    assert (again.answers, len(account.deployments)) == (True, 1)


def test_a_model_that_is_still_behind_one_is_not_deployed_beside_it(run, account, owner) -> None:
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    deploying.promote(Deployment.objects.get(pk=made.pk), run.checkpoints.get().model, by=owner)
    with pytest.raises(services.Refused, match="still answers behind a deployment"):
        deploying.deploy(run, by=owner)


def test_another_model_wished_for_while_it_is_looked_at_is_put_there(run, account, owner) -> None:
    """The wish comes between the look and its being written down."""
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    earlier = run.checkpoints.get().model
    deploying.look(Deployment.objects.get(pk=made.pk), by=owner)
    looked_at = account.on_GetCustomModelDeployment

    def wished_meanwhile(given: Any) -> Any:
        account.on_GetCustomModelDeployment = looked_at
        deploying.promote(Deployment.objects.get(pk=made.pk), earlier, by=owner)
        database.close()
        return looked_at(given)

    account.on_GetCustomModelDeployment = wished_meanwhile
    drain(jump=True)
    made.refresh_from_db()
    (standing,) = account.deployments.values()
    assert (made.answers, made.model, standing["modelArn"]) == (True, earlier, earlier)


def test_stopping_takes_back_what_is_being_made_and_a_new_wish_has_a_new_key(run, account, owner, client_of) -> None:
    account.deploy_seconds = 3600.0
    made = deploying.deploy(run, by=owner)
    drain()
    client_of(owner).post(reverse("wizard:do_undeploy", args=[run.pk, made.pk]))
    drain(jump=True)
    made.refresh_from_db()
    assert (made.state, made.ended_at is None, account.deployments) == ("cancelled", False, {})
    account.deploy_seconds = 0.0
    again = deploying.deploy(run, by=owner)
    drain(jump=True)
    again.refresh_from_db()
    assert (again.answers, again.key == made.key, len(account.deployments)) == (True, False, 1)


def test_one_taken_back_twice_is_taken_back_once(run, account, owner) -> None:
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    made.refresh_from_db()
    deploying.undeploy(made, by=owner)
    deploying.undeploy(Deployment.objects.get(pk=made.pk), by=owner)
    assert account.deployments == {}
    assert AuditEntry.objects.filter(action="undeploy").count() == 1


def test_what_cannot_be_looked_at_is_not_thought_gone(run, account, owner, client_of) -> None:
    account.deploy_seconds = 3600.0
    made = deploying.deploy(run, by=owner)
    drain()
    account.denied = {"bedrock:GetCustomModelDeployment"}
    drain(jump=True)
    made.refresh_from_db()
    assert (made.ended_at, len(account.deployments)) == (None, 1)
    assert "how it stands is not known" in client_of(owner).get(made.get_absolute_url()).content.decode()
    account.denied, (standing,) = set(), account.deployments.values()
    standing["active_at"] = 0.0
    assert deploying.deploy(run, by=owner) == made
    drain(jump=True)
    made.refresh_from_db()
    assert (made.answers, len(account.deployments)) == (True, 1)


def test_one_that_its_platform_took_away_is_found_gone(run, account, owner, client_of) -> None:
    made = deploying.deploy(run, by=owner)
    drain(jump=True)
    check = reverse("wizard:do_look", args=[run.pk, made.pk])
    client_of(owner).post(check)
    looking = client_of(owner).get(made.get_absolute_url()).content.decode()
    assert 'aria-label="Progress"' in looking
    assert ">Stop<" not in looking  # it would take back what answers; Undeploy asks first
    drain(jump=True)
    made.refresh_from_db()
    assert made.answers
    account.deployments.clear()
    client_of(owner).post(check)
    drain(jump=True)
    made.refresh_from_db()
    assert (made.state, made.ended_at is None) == ("failed", False)


def test_a_checkpoint_is_deployed_beside_the_final_model(run, account, owner, client_of) -> None:
    earlier = run.checkpoints.get().model
    deploying.deploy(run, by=owner)
    client_of(owner).post(reverse("wizard:do_deploy", args=[run.pk]), {"model": earlier})
    drain(jump=True)
    standing = {row.model: row for row in run.deployments.all()}
    assert set(standing) == {run.tuned_model, earlier}
    assert {found["modelArn"] for found in account.deployments.values()} == set(standing)
    assert deploying.promotable(standing[earlier]) == {}  # both stand already
    with pytest.raises(services.Refused, match="Choose a model of this run's training"):
        deploying.deploy(run, model="another", by=owner)


@pytest.mark.parametrize(
    ("after", "offered", "left_out"),
    [(1.0, "Deploy your model and try it.", "Deploy all the same"), (0.1, "Deploy all the same", "Deploy your model")],
)
def test_a_model_that_is_no_better_is_not_deployed_next(run, owner, client_of, after, offered, left_out) -> None:
    pairs = [Pair(number, 0.1, after, None) for number in range(40)]
    summary = ResultsSummary(outcome=judge(pairs), base_key="b", tuned_key="t")
    services.finish_step(run, flow.RESULTS, Stored(), summary)
    page = client_of(owner).get(reverse("wizard:results", args=[run.pk])).content.decode()
    assert offered in page
    assert left_out not in page

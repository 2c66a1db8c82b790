"""Every address of a run: the owner and a colleague get it, a stranger gets 404 and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import get_resolver, reverse

from rft_project.connections.models import Membership
from rft_project.connections.services import local_connection
from rft_project.jobs.models import Job
from wizard_app import urls
from wizard_app.models import Deployment, RFTJob
from wizard_app.schemas import DryRunParams
from wizard_app.services import Refused, create_run, start_dry_run

pytestmark = pytest.mark.django_db

NAMES = [pattern.name for pattern in urls.urlpatterns]
COMMANDS = {name for name in NAMES if name.startswith("do_")}
#: Lists of one's own.
OPEN = {"runs", "deployments"}
#: A run that is split and graded: what is not open yet sends back to the step that is (302), outside htmx a region
#: sends to its page (303).
PAGES = {
    "runs": 200,
    "deployments": 200,
    "deployment": 200,
    "new_run": 200,
    "run": 302,
    "split": 200,
    "grader": 200,
    "dry_run": 200,
    "train": 302,
    "results": 302,
    "playground": 302,
    "sending": 302,
    "rate": 200,
    "report": 200,
    "dry_run_work": 303,
    "training": 303,
    "comparison": 303,
    "attack": 303,
    "repeats": 303,
    "splitting": 303,
    "standing": 303,
}


@pytest.fixture
def address(graded_run: RFTJob, settings: Any) -> Callable[[str], str]:
    settings.ENGINE_URL = "http://127.0.0.1:9/v1"  # nobody there: pages and commands say so
    connection = local_connection(graded_run.workspace)
    deployment = Deployment.objects.create(
        run=graded_run, connection=connection, handle="h", model="m", called="m", state="succeeded"
    )
    patterns = {pattern.name: pattern for pattern in get_resolver("wizard_app.urls").url_patterns}
    given = {"pk": graded_run.pk, "deployment_pk": deployment.pk, "step": "dry_run"}

    def of(name: str) -> str:
        keys = {**given, "pk": graded_run.dataset_id} if name == "new_run" else given
        return reverse(f"wizard:{name}", kwargs={key: keys[key] for key in patterns[name].pattern.converters})

    return of


def everything(run: RFTJob) -> list[Any]:
    """What a command could have changed."""
    row = RFTJob.objects.filter(pk=run.pk).values()[0]
    return [row, list(run.steps.values()), list(run.deployments.values()), Job.objects.count(), RFTJob.objects.count()]


def test_no_address_is_left_out():
    assert set(NAMES) == set(PAGES) | COMMANDS


def test_a_stranger_gets_404_for_reading_and_writing(address, graded_run, stranger, client_of):
    client, before = client_of(stranger), everything(graded_run)
    read = {name: client.get(address(name)).status_code for name in NAMES if name not in OPEN}
    written = {name: client.post(address(name), {"name": "x"}).status_code for name in NAMES if name not in OPEN}
    assert {name: read[name] for name in COMMANDS} == dict.fromkeys(COMMANDS, 405)
    assert {name: read[name] for name in read if name not in COMMANDS} == dict.fromkeys(PAGES.keys() - OPEN, 404)
    forms = {"new_run", "playground"}
    assert {name: written[name] for name in COMMANDS | forms} == dict.fromkeys(COMMANDS | forms, 404)
    assert {written[name] for name in written if name not in COMMANDS | forms} == {405}
    assert everything(graded_run) == before
    for name in OPEN:
        assert graded_run.name not in client.get(reverse(f"wizard:{name}")).content.decode()


@pytest.mark.parametrize("who", ["owner", "colleague"])
def test_owner_and_colleague_see_every_page(request, address, client_of, who):
    client = client_of(request.getfixturevalue(who))
    assert {name: client.get(address(name)).status_code for name in PAGES} == PAGES


def test_commands_of_a_colleague_answer_with_a_page_to_go_to(address, colleague, client_of):
    client = client_of(colleague)
    found = {name: client.post(address(name)).status_code for name in COMMANDS}
    assert found == {**dict.fromkeys(COMMANDS, 302), "do_trial": 303}


def test_commands_change_nothing_on_get(address, graded_run, owner, client_of):
    client, before = client_of(owner), everything(graded_run)
    assert {client.get(address(name)).status_code for name in COMMANDS} == {405}
    assert everything(graded_run) == before


def test_nobody_is_let_in_without_signing_in(address, client):
    for name in NAMES:
        for answer in (client.get(address(name)), client.post(address(name))):
            assert answer.status_code == 302
            assert answer["Location"].startswith("/sign-in/?next=")


def test_a_member_who_left_is_a_stranger_at_once(address, colleague, client_of):
    client = client_of(colleague)
    assert client.get(address("split")).status_code == 200
    Membership.objects.filter(user=colleague).delete()
    assert client.get(address("split")).status_code == 404
    assert client.post(address("do_split")).status_code == 404


def test_foreign_keys_in_a_form_reach_nothing(address, graded_run, stranger, client_of):
    """A stranger's own run, with the ids of ours in the fields of the forms and in the address."""
    from tests.factories import make_dataset

    elsewhere = Membership.objects.get(user=stranger).workspace
    own = create_run(make_dataset(elsewhere, "Own"), "Own run", by=stranger)
    RFTJob.objects.filter(pk=own.pk).update(snapshot=graded_run.snapshot)
    client = client_of(stranger)
    client.post(reverse("wizard:do_grader", args=[own.pk]), {"choice": f"saved:{graded_run.grader_id}"})
    ours = local_connection(graded_run.workspace)
    asked = {"model": f"{ours.pk}|classifier", "size": 9, "answers": 2}
    client.post(reverse("wizard:do_dry_run", args=[own.pk]), asked)
    own.refresh_from_db()
    own.grader_config = graded_run.grader_config
    with pytest.raises(Refused, match="one of this workspace's connections"):
        start_dry_run(own, DryRunParams(connection=str(ours.pk), model="classifier"), by=stranger)
    deployment = Deployment.objects.get(run=graded_run)
    taken = client.post(reverse("wizard:do_undeploy", args=[own.pk, deployment.pk]))
    own.refresh_from_db()
    deployment.refresh_from_db()
    assert (own.grader_id, own.connection_id, own.steps.count()) == (None, None, 0)
    assert (taken.status_code, deployment.ended_at) == (404, None)

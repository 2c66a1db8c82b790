"""The attack on a run's grader: a job, a region, and a question before a judge elsewhere sees records."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from graders_app.core.presets import PresetContext, load_preset
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.jobs.models import Job, State
from tests.emulators.chat import chat_server
from tests.worker import drain
from wizard_app import services
from wizard_app.attacking import start_attack
from wizard_app.models import Attack
from wizard_app.panels.attack import attack_panel

pytestmark = pytest.mark.django_db(transaction=True)
LENGTH = {
    "type": "python",
    "name": "long",
    "source": "def grade(sample, item):\n    return min(1.0, len(sample['output_text']) / 50)\n",
}


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


def choose(run, config):
    services.choose_grader(run, save_grader(run.workspace, "Tried", config, by=None))
    run.refresh_from_db()


def test_a_grader_that_cannot_be_cheated_is_told_so(graded_run, client):
    answer = client.post(reverse("wizard:do_attack", args=[graded_run.pk]))
    assert answer["Location"] == f"/runs/{graded_run.pk}/grader/#attack"
    drain()

    panel = attack_panel(graded_run)
    assert panel.job.state == State.SUCCEEDED
    assert panel.summary.sentence == f"None of {len(panel.summary.cheats)} cheats fooled it."
    assert (panel.fooled, panel.tone, panel.stale, panel.is_live) == ([], "good", False, False)
    page = client.get(reverse("wizard:grader", args=[graded_run.pk])).content.decode()
    assert panel.summary.sentence in page


def test_a_grader_of_length_is_caught_with_what_was_said(graded_run, client):
    choose(graded_run, LENGTH)
    start_attack(graded_run, by=None)
    drain()

    panel = attack_panel(graded_run)
    assert {"long", "confidence"} <= {cheat.slug for cheat in panel.fooled}
    worst = panel.fooled[0]
    assert (worst.mean, worst.reward) == (1.0, 1.0)
    assert len(worst.answer) > 50
    page = client.get(reverse("wizard:grader", args=[graded_run.pk])).content.decode()
    assert worst.trick in page
    assert "cheats fooled it" in page


def test_another_grader_makes_the_attack_one_of_the_past(graded_run):
    start_attack(graded_run, by=None)
    drain()
    choose(graded_run, LENGTH)

    assert attack_panel(graded_run).stale


def test_the_same_attack_gives_the_same_report(graded_run):
    start_attack(graded_run, by=None)
    drain()
    first = Attack.objects.get().summary
    start_attack(graded_run, by=None)
    drain()

    assert Attack.objects.get().summary == first
    assert Job.objects.filter(kind="attack").count() == 2


def test_two_people_press_at_once_and_one_attack_runs(graded_run):
    assert start_attack(graded_run, by=None) == start_attack(graded_run, by=None)


def test_a_grader_whose_judge_nobody_named_is_not_attacked(graded_run, client):
    choose(graded_run, load_preset("correctness").build(PresetContext()))
    page = client.post(reverse("wizard:do_attack", args=[graded_run.pk]), follow=True).content.decode()

    assert "This grader asks a judge; name a judge model with one of the connections first." in page
    assert not Job.objects.filter(kind="attack").exists()


def test_a_judge_is_attacked_with_few_answers_and_paid_for_once(graded_run, settings):
    choose(graded_run, load_preset("correctness").build(PresetContext()))
    with chat_server(lambda body: json.dumps({"result": 0.2})) as chat:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(chat.url).netloc]
        judge = Connection(workspace=graded_run.workspace, kind="openai", name="Judge", judge_model="wise")
        judge.set_credentials({"base_url": chat.url, "api_key": "sk-emulated"})
        judge.save()
        start_attack(graded_run, by=None)
        drain()
        asked = len(chat.asked)
        start_attack(graded_run, by=None)
        drain()

        assert len(chat.asked) == asked > 0
        logged = [item.trace.output_messages for item in graded_run.snapshot.items.all()]
        shown = " ".join(str(body["messages"]) for body in chat.asked)
        assert not [m for messages in logged for m in messages if len(m["content"]) > 30 and m["content"] in shown]
    panel = attack_panel(graded_run)
    assert max(cheat.tried for cheat in panel.summary.cheats) == 3
    # this judge gives everything the same, so whatever is said pays as well as the right answers
    assert panel.fooled == panel.summary.cheats


def test_the_region_is_polled_while_it_works_and_stops(graded_run, client):
    start_attack(graded_run, by=None)
    region = reverse("wizard:attack", args=[graded_run.pk])
    assert "hx-trigger" in client.get(region, headers={"HX-Request": "true"}).content.decode()
    client.post(reverse("wizard:do_stop_attack", args=[graded_run.pk]))

    panel = attack_panel(graded_run)
    assert (panel.job.state, panel.summary) == (State.CANCELLED, None)

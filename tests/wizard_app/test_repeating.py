"""A judge that is asked the same three times."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from graders_app.core.presets import PresetContext, load_preset
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.jobs.models import Job, State
from tests.emulators.chat import chat_server
from tests.worker import drain
from wizard_app import flow, services
from wizard_app.jobs.dry_run import result_of
from wizard_app.models import Rollout
from wizard_app.panels.calibration import repeats_panel
from wizard_app.repeating import start_repeats
from wizard_app.sampling import grader_digest
from wizard_app.services import Refused

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def judged_run(graded_run, settings):
    """A run whose dry run has answers that a judge scored; ``reply`` is what the judge says from now on."""
    config = load_preset("correctness").build(PresetContext())
    services.choose_grader(graded_run, save_grader(graded_run.workspace, "Correct", config, by=None))
    graded_run.refresh_from_db()
    items = list(graded_run.snapshot.items.filter(part="train").order_by("pk")[:15])
    mark = grader_digest(graded_run.grader_config)
    Rollout.objects.bulk_create(
        Rollout(
            run=graded_run,
            item=item,
            sampling_key="k",
            sample_index=0,
            answer=f"answer {n}",
            reward=0.5,
            grader_digest=mark,
        )
        for n, item in enumerate(items)
    )
    services.finish_step(graded_run, flow.DRY_RUN, dry_run_params(graded_run), result_of(graded_run, items, "k"))
    with chat_server(lambda body: json.dumps({"result": 0.5})) as chat:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(chat.url).netloc]
        judge = Connection(workspace=graded_run.workspace, kind="openai", name="Judge", judge_model="wise")
        judge.set_credentials({"base_url": chat.url, "api_key": "sk-emulated"})
        judge.save()
        yield graded_run, chat


def asked_again(run, chat, reply: Callable) -> str:
    chat.reply = reply
    start_repeats(run, by=None)
    drain()
    return repeats_panel(run).sentence


def test_a_judge_that_always_says_the_same_agrees_with_itself(judged_run):
    run, chat = judged_run
    sentence = asked_again(run, chat, lambda body: json.dumps({"result": 0.5}))

    assert sentence.startswith("Asked three times about 12")
    assert sentence.endswith("its scores differ by 0.00 on average: it agrees with itself.")
    assert len(chat.asked) == 12 * 2 * 2  # two parts of the grader, two repeats


def test_a_judge_of_chance_is_found_out(judged_run):
    run, chat = judged_run
    chance = random.Random(1)
    sentence = asked_again(run, chat, lambda body: json.dumps({"result": chance.choice([0, 1])}))

    assert "much of what it says is chance" in sentence


def test_a_repeat_is_paid_for_once(judged_run):
    run, chat = judged_run
    asked_again(run, chat, lambda body: json.dumps({"result": 0.5}))
    before = len(chat.asked)
    asked_again(run, chat, lambda body: json.dumps({"result": 0.9}))

    assert len(chat.asked) == before
    assert Job.objects.filter(kind="repeats").count() == 2


def test_a_judge_that_is_away_is_an_error_in_a_sentence(judged_run):
    run, chat = judged_run
    asked_again(run, chat, lambda body: 401)

    panel = repeats_panel(run)
    assert (panel.job.state, panel.sentence) == (State.FAILED, "")
    assert panel.job.error_message.startswith("The judge gave no score to any of the repeated questions")


def test_the_page_offers_it_where_a_judge_is_asked(judged_run, client_of, owner):
    run, _ = judged_run
    client = client_of(owner)
    page = reverse("wizard:rate", args=[run.pk])
    assert "Ask the judge again" in client.get(page).content.decode()

    assert client.post(reverse("wizard:do_repeats", args=[run.pk]))["Location"] == page
    drain()
    assert "it agrees with itself" in client.get(page).content.decode().replace("\u00a0", " ")


def test_other_graders_and_runs_without_answers_are_told_why_not(graded_run):
    with pytest.raises(Refused, match="make the dry run first"):
        start_repeats(graded_run, by=None)
